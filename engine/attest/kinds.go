// Package attest says of a plan where it comes from, from what the plan itself holds: SLSA provenance and a bill of materials in SPDX. It owns what they say; engine/sign signs them,
// engine/oci stores them beside the plan. The same plan gives the same bytes.
package attest

import (
	"fmt"
	"slices"
	"strings"

	"llmc/engine"
)

// Kind is something that is said of a plan.
type Kind struct {
	Name      string // of the flag
	Predicate string // type of the predicate of an in-toto statement
	// Make makes the predicate, for JSON. builder is the URI of who has built the plan, "" for LocalBuilder.
	Make      func(plan *engine.Plan, builder string) (any, error)
	Statement bool   // it is used as the statement that it is in; else alone
	Article   string // names it in a sentence
	Doc       string
}

// Kinds are all of them.
var Kinds = []*Kind{
	{Name: "provenance", Predicate: "https://slsa.dev/provenance/v1", Make: Provenance, Statement: true, Article: "a provenance",
		Doc: "where the plan comes from: SLSA provenance 1.0 with the checkpoint's files, its repository and revision, options, targets and the compiler's version"},
	{Name: "sbom", Predicate: "https://spdx.dev/Document", Make: SBOM, Article: "a bill of materials",
		Doc: "a bill of materials, SPDX 2.3: the checkpoint's files with their digests, the model's licence, and the Go modules of llmc"},
}

// Find returns a kind by its name.
func Find(name string) (*Kind, error) {
	i := slices.IndexFunc(Kinds, func(k *Kind) bool { return k.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no attestation is called %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return Kinds[i], nil
}

// Names lists the names.
func Names() []string {
	var names []string
	for _, k := range Kinds {
		names = append(names, k.Name)
	}
	return names
}
