package attest

import (
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"strings"

	"llmc/engine"
	"llmc/internal/version"
)

const (
	noAssertion = "NOASSERTION"

	// noTime stands for when the document was made, which SPDX must be told: a plan knows no time, and the same plan gives the same document.
	noTime = "1970-01-01T00:00:00Z"
)

// Names of elements of a document.
const (
	documentID = "SPDXRef-DOCUMENT"
	planID     = "SPDXRef-plan"
	modelID    = "SPDXRef-model"
	compilerID = "SPDXRef-llmc"
)

// document is SPDX 2.3 (spdx.github.io/spdx-spec/v2.3) as JSON has it. Files of the checkpoint are packages of one file, since SPDX wants a SHA-1 of what it calls a file.
type document struct {
	Version   string `json:"spdxVersion"`
	License   string `json:"dataLicense"`
	ID        string `json:"SPDXID"`
	Name      string `json:"name"`
	Namespace string `json:"documentNamespace"`
	Creation  struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
		Comment  string   `json:"comment,omitempty"`
	} `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Licenses      []extracted    `json:"hasExtractedLicensingInfos,omitempty"`
	Relationships []relationship `json:"relationships"`
}

type spdxPackage struct {
	ID        string        `json:"SPDXID"`
	Name      string        `json:"name"`
	Version   string        `json:"versionInfo,omitempty"`
	FileName  string        `json:"packageFileName,omitempty"`
	Location  string        `json:"downloadLocation"`
	Analyzed  bool          `json:"filesAnalyzed"`
	Checksums []checksum    `json:"checksums,omitempty"`
	Concluded string        `json:"licenseConcluded"`
	Declared  string        `json:"licenseDeclared"`
	Copyright string        `json:"copyrightText"`
	Comment   string        `json:"comment,omitempty"`
	Purpose   string        `json:"primaryPackagePurpose"`
	Refs      []externalRef `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// extracted is a licence that SPDX has no name for.
type extracted struct {
	ID   string `json:"licenseId"`
	Name string `json:"name"`
	Text string `json:"extractedText"`
}

// SBOM lists what a plan is made of: the model with the files of its checkpoint and its licence, and llmc with the modules in it, where the llmc that asks is the one that has built
// the plan. It implements Kind.Make.
func SBOM(plan *engine.Plan, _ string) (any, error) {
	from, err := plan.Provenance()
	if err != nil {
		return nil, fmt.Errorf("sbom: %w; plans of 'llmc build' say what they are built from", err)
	}
	info := plan.Info()
	d := &document{Version: "SPDX-2.3", License: "CC0-1.0", ID: documentID, Name: info.Name + " plan", Namespace: "urn:llmc:sbom:" + plan.Digest()}
	if info.Name == "" {
		d.Name = "plan"
	}
	d.Creation.Created, d.Creation.Creators = noTime, []string{"Tool: llmc-" + from.Compiler}
	d.Creation.Comment = "The time is not known: the same plan gives the same document."
	declared, own := licenseOf(plan)
	if own != nil {
		d.Licenses = []extracted{*own}
	}
	name := info.Name
	if from.Model != "" {
		name = from.Model
	}
	if name == "" {
		name = "model"
	}
	d.add("", "", spdxPackage{ID: planID, Name: d.Name, Declared: declared, Purpose: "OTHER", Comment: "digest " + plan.Digest() + ", targets " + strings.Join(targets(plan), ", ")})
	d.relate(documentID, "DESCRIBES", planID)
	d.add(planID, "GENERATED_FROM", spdxPackage{ID: modelID, Name: name, Version: from.Revision, Declared: declared, Purpose: "OTHER", Refs: purl(hubURL(from))})
	for i, f := range from.Files {
		p := spdxPackage{ID: fmt.Sprintf("SPDXRef-file-%d", i), Name: f.Name, FileName: f.Name, Declared: noAssertion, Purpose: "FILE", Comment: fmt.Sprintf("%d bytes", f.Bytes)}
		if len(f.SHA256) > 0 {
			p.Checksums = []checksum{{"SHA256", hex.EncodeToString(f.SHA256)}}
		}
		d.add(modelID, "CONTAINS", p)
	}
	d.addCompiler(from.Compiler)
	return d, nil
}

// add adds a package that another is related to.
func (d *document) add(from, how string, p spdxPackage) {
	p.Location, p.Concluded, p.Copyright = noAssertion, noAssertion, noAssertion
	d.Packages = append(d.Packages, p)
	if from != "" {
		d.relate(from, how, p.ID)
	}
}

func (d *document) relate(from, how, to string) {
	d.Relationships = append(d.Relationships, relationship{from, how, to})
}

// addCompiler adds llmc, with the modules of this program if it is the one that has built the plan.
func (d *document) addCompiler(built string) {
	d.add("", "", spdxPackage{ID: compilerID, Name: "llmc", Version: built, Declared: noAssertion, Purpose: "APPLICATION"})
	d.relate(compilerID, "BUILD_TOOL_OF", planID)
	info, ok := debug.ReadBuildInfo()
	if !ok || built != version.Full() {
		return
	}
	for i, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		d.add(compilerID, "DEPENDS_ON", spdxPackage{ID: fmt.Sprintf("SPDXRef-module-%d", i), Name: m.Path, Version: m.Version, Declared: noAssertion, Purpose: "LIBRARY",
			Refs: purl("pkg:golang/" + m.Path + "@" + m.Version)})
	}
}

func purl(locator string) []externalRef {
	if locator == "" {
		return nil
	}
	return []externalRef{{"PACKAGE-MANAGER", "purl", locator}}
}
