package oci_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"llmc/engine"
	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/internal/cachedir"
	"llmc/internal/golden"
)

// recipe says what a test's plan is made of, beside the programs and weights of the plan in testdata.
type recipe struct {
	code    string // of a section that no weight depends on
	layers  int
	bytes   int64 // of a layer
	changed int   // the layer whose numbers are others; -1: none
	targets []string
	sources bool // it says what it was built from
}

var usual = recipe{code: "first", layers: 16, bytes: 60_000, changed: -1, targets: []string{"x86-64-v3", "x86-64-v4-vnni"}}

var provenanced = recipe{code: "first", layers: 1, bytes: 1000, changed: -1, targets: []string{"x86-64-v3"}, sources: true}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a plan and returns its path.
func (r recipe) write(t testing.TB) string {
	t.Helper()
	base, err := engine.Open(filepath.Join(golden.Root(t), "testdata", "plans", "v1.plan"))
	check(t, err)
	defer base.Close()
	var spec engine.Spec
	for _, target := range r.targets {
		p, err := base.Program("step", target)
		check(t, err)
		c, err := engine.ProgramContent(p)
		check(t, err)
		spec.Sections = append(spec.Sections, c)
	}
	for _, kind := range []string{engine.KindInfo, engine.KindTokenizer} {
		data, err := base.Section(kind, "")
		check(t, err)
		spec.Sections = append(spec.Sections, engine.Content{Kind: kind, Data: data})
	}
	if r.sources {
		sum := sha256.Sum256(nil)
		c, err := engine.ProvenanceContent(&engine.Provenance{Compiler: "0.1.0+test", Model: "org/model", Revision: "abc", Files: []engine.SourceFile{{Name: "config.json", SHA256: sum[:]}}})
		check(t, err)
		spec.Sections = append(spec.Sections, c, engine.Content{Kind: engine.KindCard, Data: []byte("---\nlicense: apache-2.0\n---\n")})
	}
	spec.Sections = append(spec.Sections, engine.Content{Kind: engine.KindPTX, Name: "sm80", Data: []byte(r.code)},
		engine.Content{Kind: engine.KindIR, Name: "import", Data: bytes.Repeat([]byte("func\n"), 3000)})
	var data [][]byte
	for _, w := range base.Weights() {
		_, b, err := base.Weight(w.Name)
		check(t, err)
		spec.Weights, data = append(spec.Weights, w), append(data, bytes.Clone(b))
	}
	for i := range r.layers {
		seed := uint64(i)
		if i == r.changed {
			seed += 1000
		}
		b := make([]byte, r.bytes)
		_, _ = rand.NewChaCha8(sha256.Sum256([]byte(fmt.Sprint(seed)))).Read(b)
		spec.Weights = append(spec.Weights, engine.WeightEntry{Name: fmt.Sprintf("layers.%d.up", i), DType: "u8", Shape: []int64{r.bytes}, Bytes: r.bytes})
		data = append(data, b)
	}
	path := filepath.Join(t.TempDir(), "test.plan")
	w, err := engine.NewWriter(path, spec)
	check(t, err)
	defer w.Abort()
	for i, b := range data {
		_, err := w.Weight(i).WriteAt(b, 0)
		check(t, err)
	}
	_, err = w.Finish()
	check(t, err)
	return path
}

func openPlan(t testing.TB, path string) *engine.Plan {
	t.Helper()
	plan, err := engine.Open(path)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan
}

func ref(t testing.TB, text string) oci.Ref {
	t.Helper()
	r, err := oci.ParseRef(text)
	check(t, err)
	return r
}

// same wants two files to have the same bytes.
func same(t testing.TB, got, want string) {
	t.Helper()
	a, err := os.ReadFile(got)
	check(t, err)
	b, err := os.ReadFile(want)
	check(t, err)
	if !bytes.Equal(a, b) {
		t.Errorf("%s has %d bytes that are not the %d of %s", got, len(a), len(b), want)
	}
}

// registry is a registry and a client for it.
func registry(t testing.TB) (*ocitest.Registry, string, *oci.Client) {
	r, host := ocitest.Start(t)
	t.Setenv(cachedir.Variable, t.TempDir())
	return r, host, oci.Quick(&oci.Client{}, nil)
}

// push pushes a plan.
func push(t testing.TB, c *oci.Client, path, to string) *oci.Pushed {
	t.Helper()
	p, err := c.Push(t.Context(), openPlan(t, path), ref(t, to))
	check(t, err)
	return p
}
