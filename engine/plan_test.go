package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func openPlan(t testing.TB, path string) *Plan {
	t.Helper()
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fixture.plan")
	spec := fixtureSpec(t)
	digest := writePlan(t, path, spec, 1, 1000, 0)
	p := openPlan(t, path)
	if p.Digest() != digest {
		t.Errorf("digest %s, the writer said %s", p.Digest(), digest)
	}
	if diff := cmp.Diff(fixtureInfo(), p.Info()); diff != "" {
		t.Errorf("info (-written +read):\n%s", diff)
	}
	if got := p.Targets("step"); !slices.Equal(got, []string{"x86-64-v3", "x86-64-v4-vnni"}) {
		t.Errorf("targets %v", got)
	}
	program, err := p.Program("step", "x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fixtureProgram("x86-64-v3"), program); diff != "" {
		t.Errorf("program (-written +read):\n%s", diff)
	}
	for _, c := range spec.Sections {
		if got, err := p.Section(c.Kind, c.Name); err != nil || !bytes.Equal(got, c.Data) {
			t.Errorf("section %s %s: %q, %v", c.Kind, c.Name, got, err)
		}
	}
	for i, want := range spec.Weights {
		entry, data, err := p.Weight(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, weightBytes(i, want.Bytes)) || entry.Recipe != want.Recipe || !slices.Equal(entry.Shape, want.Shape) {
			t.Errorf("weight %s differs: %+v", want.Name, entry)
		}
	}
	rules, err := p.Rules()
	if err != nil || len(rules) != 1 || rules[0].Rule != "qkv" {
		t.Errorf("rules %v, %v", rules, err)
	}
	provenance, err := p.Provenance()
	if err != nil || provenance.Files[0].Name != "model.safetensors" {
		t.Errorf("provenance %v, %v", provenance, err)
	}
	if err := p.Verify(context.Background(), 2, nil); err != nil {
		t.Error(err)
	}
}

func TestNotInPlan(t *testing.T) {
	p := openPlan(t, fixturePlan(t))
	_, _, weightErr := p.Weight("absent")
	_, programErr := p.Program("step", "x86-64-v4")
	_, sectionErr := p.Section(KindTemplate, "tool_use")
	_, weightsErr := p.Section(KindWeights, "")
	for _, err := range []error{weightErr, programErr, sectionErr, weightsErr} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%v is not ErrNotFound", err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "absent.plan")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}
