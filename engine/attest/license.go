package attest

import (
	"bufio"
	"bytes"
	"strings"

	"llmc/engine"
)

// spdxLicenses are names of licences that the Hub has in model cards and SPDX writes otherwise, or that are SPDX's own in small letters (huggingface.co/docs/hub/repositories-licenses).
var spdxLicenses = map[string]string{
	"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-3-clause-clear": "BSD-3-Clause-Clear",
	"bsl-1.0": "BSL-1.0", "cc0-1.0": "CC0-1.0", "cc-by-2.0": "CC-BY-2.0", "cc-by-3.0": "CC-BY-3.0", "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-3.0": "CC-BY-SA-3.0", "cc-by-sa-4.0": "CC-BY-SA-4.0",
	"cc-by-nc-2.0": "CC-BY-NC-2.0", "cc-by-nc-3.0": "CC-BY-NC-3.0", "cc-by-nc-4.0": "CC-BY-NC-4.0", "cc-by-nd-4.0": "CC-BY-ND-4.0", "cc-by-nc-nd-3.0": "CC-BY-NC-ND-3.0",
	"cc-by-nc-nd-4.0": "CC-BY-NC-ND-4.0", "cc-by-nc-sa-2.0": "CC-BY-NC-SA-2.0", "cc-by-nc-sa-3.0": "CC-BY-NC-SA-3.0", "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0", "afl-3.0": "AFL-3.0",
	"artistic-2.0": "Artistic-2.0", "ecl-2.0": "ECL-2.0", "epl-1.0": "EPL-1.0", "epl-2.0": "EPL-2.0", "eupl-1.1": "EUPL-1.1", "eupl-1.2": "EUPL-1.2", "agpl-3.0": "AGPL-3.0-only",
	"gpl-2.0": "GPL-2.0-only", "gpl-3.0": "GPL-3.0-only", "lgpl-2.1": "LGPL-2.1-only", "lgpl-3.0": "LGPL-3.0-only", "isc": "ISC", "mpl-2.0": "MPL-2.0", "ms-pl": "MS-PL", "ncsa": "NCSA",
	"osl-3.0": "OSL-3.0", "postgresql": "PostgreSQL", "unlicense": "Unlicense", "wtfpl": "WTFPL", "zlib": "Zlib", "odbl": "ODbL-1.0", "pddl": "PDDL-1.0", "lppl-1.3c": "LPPL-1.3c", "ofl-1.1": "OFL-1.1",
}

// maxLicenseName bounds names in documents.
const maxLicenseName = 100

// licenseOf returns the licence that a plan's model card declares, as SPDX writes it; own is one that SPDX has no name for.
func licenseOf(plan *engine.Plan) (declared string, own *extracted) {
	text, _ := plan.Section(engine.KindLicense, "")
	card, _ := plan.Section(engine.KindCard, "")
	front := frontMatter(card)
	name := strings.ToLower(front["license"])
	if id := spdxLicenses[name]; id != "" {
		return id, nil
	}
	if name == "other" && front["license_name"] != "" {
		name = front["license_name"]
	}
	if name == "" || name == "unknown" {
		if len(text) == 0 {
			return noAssertion, nil
		}
		name = "model"
	}
	said := string(text)
	if said == "" {
		said = "The model card names this licence and holds no text of it. " + front["license_link"]
	}
	name = name[:min(len(name), maxLicenseName)]
	id := "LicenseRef-" + strings.Map(idRune, name)
	return id, &extracted{ID: id, Name: strings.ToValidUTF8(name, "?"), Text: strings.TrimSpace(strings.ToValidUTF8(said, "?"))}
}

// idRune leaves what an SPDX identifier may have.
func idRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
		return r
	}
	return '-'
}

// frontMatter reads the plain "key: value" lines of the YAML at the head of a model card: what a licence is named with.
func frontMatter(card []byte) map[string]string {
	found := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(card))
	if !lines.Scan() || strings.TrimSpace(lines.Text()) != "---" {
		return found
	}
	for lines.Scan() {
		line := lines.Text()
		if strings.TrimSpace(line) == "---" {
			break
		}
		key, value, ok := strings.Cut(line, ":")
		if ok && !strings.HasPrefix(line, " ") {
			found[strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return found
}
