package attest_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"llmc/engine"
	"llmc/engine/attest"
	"llmc/internal/golden"
)

// planWith writes a plan that has a card, a licence and an origin.
func planWith(t *testing.T, card, license string, origin *engine.Provenance) *engine.Plan {
	t.Helper()
	info, err := engine.InfoContent(&engine.ModelInfo{Name: "tiny", Vocab: 10, MaxContext: 8, BOS: -1})
	check(t, err)
	from, err := engine.ProvenanceContent(origin)
	check(t, err)
	spec := engine.Spec{Sections: []engine.Content{info, from, {Kind: engine.KindCard, Data: []byte(card)}}}
	if license != "" {
		spec.Sections = append(spec.Sections, engine.Content{Kind: engine.KindLicense, Data: []byte(license)})
	}
	path := filepath.Join(t.TempDir(), "x.plan")
	w, err := engine.NewWriter(path, spec)
	check(t, err)
	defer w.Abort()
	_, err = w.Finish()
	check(t, err)
	plan, err := engine.Open(path)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var origin = engine.Provenance{Compiler: "0.0.0+other", Model: "org/tiny model", Revision: "0123abc", Options: []engine.Option{{Name: "quant", Value: "int4"}},
	Files: []engine.SourceFile{{Name: "config.json", Bytes: 2, SHA256: []byte{0xab, 0xcd}}, {Name: "lora.1/a b.safetensors", Bytes: 3}}}

// TestGolden holds both documents to what is in testdata.
func TestGolden(t *testing.T) {
	plan := planWith(t, "---\nlanguage:\n- en\nlicense: apache-2.0\n---\n# Tiny\nlicense: mit\n", "", &origin)
	for _, kind := range attest.Kinds {
		made, err := kind.Make(plan, "")
		check(t, err)
		data, err := json.MarshalIndent(made, "", " ")
		check(t, err)
		text := strings.ReplaceAll(string(data), plan.Digest(), "DIGEST") + "\n"
		path := filepath.Join("testdata", kind.Name+".json")
		golden.File(t, path, []byte(text))
	}
}

// TestLicenses reads what model cards say.
func TestLicenses(t *testing.T) {
	for card, want := range map[string]string{
		"": "NOASSERTION", "license: mit": "NOASSERTION", "---\nlicense: MIT\n---\n": "MIT", "---\r\nlicense: \"cc-by-4.0\"\r\n---\r\n": "CC-BY-4.0", "---\nlicense: unknown\n---\n": "NOASSERTION",
		"---\nlicense: other\nlicense_name: my terms/1\n---\n": "LicenseRef-my-terms-1", "---\nlicense: llama3.2\n---": "LicenseRef-llama3.2", "---\n  license: mit\n": "NOASSERTION",
		"---\nlicense: \xff\xfe\n": "LicenseRef---",
	} {
		made, err := attest.SBOM(planWith(t, card, "", &origin), "")
		check(t, err)
		data, err := json.Marshal(made)
		check(t, err)
		if !strings.Contains(string(data), `"licenseDeclared":"`+want+`"`) || strings.Contains(want, "Ref") != strings.Contains(string(data), `"licenseId":"`+want) {
			t.Errorf("%q: no %s in %s", card, want, data)
		}
	}
	made, err := attest.SBOM(planWith(t, "", "All rights are mine.", &origin), "")
	check(t, err)
	if data, _ := json.Marshal(made); !strings.Contains(string(data), `"LicenseRef-model"`) || !strings.Contains(string(data), "All rights are mine.") {
		t.Errorf("a licence's text is lost: %s", data)
	}
}
