package compiler_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/cli"
)

func diffedPlan(t *testing.T, o compiler.Options) *engine.Plan {
	t.Helper()
	if o.Model == "" {
		o.Model = "../testdata/demo"
	}
	o.Out = filepath.Join(t.TempDir(), "x.plan")
	_, err := compiler.Build(t.Context(), o)
	check(t, err)
	plan, err := engine.Open(o.Out)
	check(t, err)
	t.Cleanup(func() { _ = plan.Close() })
	return plan
}

func compared(t *testing.T, before, after *engine.Plan) *dump.Comparison {
	t.Helper()
	c, err := compiler.Diff(t.Context(), before, after, compiler.DiffOptions{Values: true, Threads: 2, Progress: &cli.Progress{}})
	check(t, err)
	return c
}

// TestDiffOfFormats compares the errors that it finds between exact and rounded numbers with those that the build has measured on its way.
func TestDiffOfFormats(t *testing.T) {
	exact := diffedPlan(t, compiler.Options{Quant: "bf16", Archs: []string{"x86-64-v3"}})
	coded := diffedPlan(t, compiler.Options{Quant: "int4", Archs: []string{"x86-64-v3"}})
	section, err := coded.Section(engine.KindAccuracy, "")
	check(t, err)
	var a compiler.Accuracy
	check(t, json.Unmarshal(section, &a))
	measured := map[string]float64{}
	for _, w := range a.Weights {
		measured[w.Name] = w.Error
	}
	c := compared(t, exact, coded)
	found := 0
	for _, v := range c.Values {
		if v.Missing != 0 {
			t.Errorf("%s: %d rows are not found", v.Name, v.Missing)
		}
		if want, rounded := measured[v.Name]; rounded && strings.Contains(v.Name, "layers.") {
			found++
			if math.Abs(v.Error-want) > 1e-3*want {
				t.Errorf("%s: the error is %g, the build measured %g", v.Name, v.Error, want)
			}
		}
	}
	if found < 16 || len(c.Layers) != 5 || c.Layers[1].Formats[0] == "" || c.Layers[1].Formats[0] == c.Layers[1].Formats[1] || !(c.Layers[1].Error > 0.01 && c.Layers[1].Error < 0.2) {
		t.Errorf("%d weights are found; layers %+v", found, c.Layers)
	}
	var page, text strings.Builder
	check(t, c.WriteHTML(&page, [2]string{"<a>", "b"}))
	check(t, c.WriteText(&text))
	for _, piece := range []string{"&lt;a&gt;", "model.layers.3", "Layer by layer"} {
		if !strings.Contains(page.String(), piece) {
			t.Errorf("the page lacks %q", piece)
		}
	}
	if !strings.Contains(text.String(), "model.layers.3") || strings.Contains(page.String(), "ZgotmplZ") {
		t.Errorf("text %s", text.String())
	}
}

// TestDiffOfTargets compares the same numbers in the order and packing of another device.
func TestDiffOfTargets(t *testing.T) {
	c := compared(t, diffedPlan(t, compiler.Options{Quant: "bf16", Archs: []string{"x86-64-v3"}}), diffedPlan(t, compiler.Options{Quant: "bf16", Archs: []string{"sm80"}}))
	for _, v := range c.Values {
		if v.Error != 0 || v.Missing != 0 {
			t.Errorf("%+v", v)
		}
	}
	if len(c.Values) < 20 || c.Same {
		t.Errorf("%d weights", len(c.Values))
	}
}

// TestDiffOfOneWeight changes a number of the checkpoint: one weight of one layer is another.
func TestDiffOfOneWeight(t *testing.T) {
	model := demoCopy(t)
	o := compiler.Options{Model: model, Quant: "int8", Archs: []string{"x86-64-v3"}}
	before := diffedPlan(t, o)
	info, err := os.Stat(filepath.Join(model, "model.safetensors"))
	check(t, err)
	f, err := os.OpenFile(filepath.Join(model, "model.safetensors"), os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteAt([]byte{0x80, 0x3f}, info.Size()/2&^1) // 1 in bf16
	check(t, err)
	check(t, f.Close())
	changed := 0
	for _, l := range compared(t, before, diffedPlan(t, o)).Layers {
		changed += l.Changed
		if l.Changed > 0 && !(l.Error > 0 && l.WorstError >= l.Error && l.Worst != "") {
			t.Errorf("layer %+v", l)
		}
	}
	if changed != 1 {
		t.Errorf("%d weights are changed", changed)
	}
}
