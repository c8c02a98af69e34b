package attest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"llmc/engine"
)

// What plans are built by, as URIs.
const (
	BuildType    = "urn:llmc:build:v1" // parameters: docs/registry.md
	LocalBuilder = "urn:llmc:local"    // a machine of which nothing is said
)

// provenance is the predicate of SLSA 1.0 (slsa.dev/spec/v1.0/provenance), without times: a plan knows none.
type provenance struct {
	Definition struct {
		Type         string     `json:"buildType"`
		External     parameters `json:"externalParameters"`
		Internal     internal   `json:"internalParameters"`
		Dependencies []resource `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	Run struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version"`
		} `json:"builder"`
	} `json:"runDetails"`
}

// parameters are what whoever built the plan has chosen.
type parameters struct {
	Model    string   `json:"model,omitempty"`
	Revision string   `json:"revision,omitempty"`
	Targets  []string `json:"targets"`
	Options  []option `json:"options"`
}

type option struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type internal struct {
	Plan string `json:"plan"` // the plan's own digest, which 'llmc inspect' prints
}

// resource is a file that the build has read.
type resource struct {
	Name   string            `json:"name"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// Provenance says what a plan was built from, by what, and how. It implements Kind.Make.
func Provenance(plan *engine.Plan, builder string) (any, error) {
	from, err := plan.Provenance()
	if err != nil {
		return nil, fmt.Errorf("provenance: %w; plans of 'llmc build' say what they are built from", err)
	}
	var p provenance
	p.Definition.Type, p.Definition.Internal.Plan = BuildType, plan.Digest()
	p.Definition.External = parameters{Model: from.Model, Revision: from.Revision, Targets: targets(plan), Options: []option{}}
	for _, o := range from.Options {
		p.Definition.External.Options = append(p.Definition.External.Options, option(o))
	}
	for _, f := range from.Files {
		r := resource{Name: f.Name}
		if len(f.SHA256) > 0 {
			r.Digest = map[string]string{"sha256": hex.EncodeToString(f.SHA256)}
		}
		if u := hubURL(from); u != "" && !strings.HasPrefix(f.Name, "lora.") { // else of an adapter, which is another's
			r.URI = u + "#" + (&url.URL{Path: f.Name}).EscapedPath()
		}
		p.Definition.Dependencies = append(p.Definition.Dependencies, r)
	}
	p.Run.Builder.ID, p.Run.Builder.Version = builder, map[string]string{"llmc": from.Compiler}
	if builder == "" {
		p.Run.Builder.ID = LocalBuilder
	}
	return &p, nil
}

// CheckBuilder wants a URI.
func CheckBuilder(id string) error {
	if u, err := url.Parse(id); err != nil || u.Scheme == "" {
		return errors.New("expected a URI, such as https://github.com/ORG/REPO/.github/workflows/build.yml@refs/heads/main")
	}
	return nil
}

// hubURL is the package URL of the repository of the Hub that the model is of; "" if it is of none.
func hubURL(from *engine.Provenance) string {
	if from.Model == "" || strings.Count(from.Model, "/") > 1 {
		return ""
	}
	u := "pkg:huggingface/" + (&url.URL{Path: from.Model}).EscapedPath()
	if from.Revision != "" {
		u += "@" + url.PathEscape(from.Revision)
	}
	return u
}

// targets lists those that the plan has programs for.
func targets(plan *engine.Plan) []string {
	all := []string{}
	for _, f := range plan.Functions() {
		for _, t := range plan.Targets(f) {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}
