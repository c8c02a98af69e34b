package compiler_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/engine"
)

// Targets of GPUs share one set of weights of fp8, those of CPUs that multiply bf16 hold its codes as that.
func TestFloat8Targets(t *testing.T) {
	out := filepath.Join(t.TempDir(), "demo.plan")
	options := compiler.Options{Model: "../testdata/demo", Out: out, Archs: []string{"sm80", "sm89", "sm90"}, Quant: "fp8", Check: true}
	report, err := compiler.Build(context.Background(), options)
	check(t, err)
	if report.Quant != "fp8" || report.BitsPerWeight < 8 || report.BitsPerWeight > 8.3 || !(report.Accuracy.WeightError < 1.0/28) {
		t.Errorf("%s, %g bits, error %g", report.Quant, report.BitsPerWeight, report.Accuracy.WeightError)
	}
	plan, err := engine.Open(out)
	check(t, err)
	defer plan.Close()
	for _, w := range plan.Weights() {
		if want := w.Layout != ""; want != (w.Format == "fp8") || want != (w.Layout == "frag.e4m3") {
			t.Errorf("weight %s is %s in layout %q", w.Name, w.Format, w.Layout)
		}
	}
	for target, inputs := range map[string]string{"sm80": "bf16", "sm89": "e4m3t", "sm90": "e4m3t"} {
		program, err := plan.Program("step", target)
		check(t, err)
		for _, l := range program.Launches {
			if x := l.Operands[0]; l.Kernel == "cuda.linear" && program.Buffers[x.Index].TypeName() != inputs {
				t.Errorf("%s: %s reads %s", target, l.Label, program.Buffers[x.Index].TypeName())
			}
		}
	}

	for _, format := range []string{"fp8-tensor", "fp8-block"} { // scales that rows share do not depend on who finds them
		const target = "x86-64-v3" // has no code to be written: weights are numbers before they are packed for whatever target
		one, _ := buildFor(t, 1, format, target)
		many, _ := buildFor(t, 5, format, target)
		first, _ := read(t, one, target)
		if second, _ := read(t, many, target); !slices.Equal(first, second) {
			t.Errorf("%s: weights depend on the number of threads", format)
		}
	}

	for _, c := range []struct {
		format, target, layout string
		bits                   float64
	}{
		{"fp8-tensor", "x86-64-v4", "e4m3s", 8}, {"fp8-block", "x86-64-v3", "e4m3s.g128", 8}, {"fp8", "x86-64-v4-vnni", "e4m3s", 8},
		{"fp8-tensor", "x86-64-v4-bf16", "bf16s", 16}, {"fp8-block", "x86-64-v4-amx", "bf16s.g128", 16}, // which multiply bf16
	} {
		options.Archs, options.Quant = []string{c.target}, c.format
		report, err := compiler.Build(context.Background(), options)
		check(t, err)
		plan, err := engine.Open(out)
		check(t, err)
		defer plan.Close()
		for _, w := range plan.Weights() {
			if w.Layout != "" && (w.Format != c.format || w.Layout != c.layout) || report.BitsPerWeight < c.bits || report.BitsPerWeight > c.bits+0.3 {
				t.Errorf("%s: weight %s is %s in layout %s, %g bits", c.format, w.Name, w.Format, w.Layout, report.BitsPerWeight)
			}
		}
	}
}
