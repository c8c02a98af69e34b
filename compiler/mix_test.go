package compiler_test

import (
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
)

// TestBudgetsBuyAccuracy: with as many bits as one format takes for all, matrices that have formats of their own take no more and the model diverges less. What was chosen is in the provenance.
func TestBudgetsBuyAccuracy(t *testing.T) {
	dir := t.TempDir()
	one := calibratedBuild(t, filepath.Join(dir, "one"), "rtn", compiler.Options{Quant: "int4-g32"})
	out := filepath.Join(dir, "mixed")
	mixed := calibratedBuild(t, out, "rtn", compiler.Options{Budget: compiler.Budget{Bits: one.BitsPerWeight}})
	if mixed.BitsPerWeight > one.BitsPerWeight || mixed.BitsPerWeight < one.BitsPerWeight-0.3 || !strings.Contains(mixed.Quant, ",") {
		t.Errorf("%.3f bits a weight in %s, of %.3f", mixed.BitsPerWeight, mixed.Quant, one.BitsPerWeight)
	}
	if a, b := *mixed.Accuracy.Text.KL, *one.Accuracy.Text.KL; !(a < b) {
		t.Errorf("divergence is %g with formats of their own (%s), %g with one", a, mixed.Quant, b)
	}
	t.Logf("%s: divergence %.4f, %.4f with one format", mixed.Quant, *mixed.Accuracy.Text.KL, *one.Accuracy.Text.KL)
	plan, err := engine.Open(out)
	check(t, err)
	defer plan.Close()
	again := compiler.Options{Calibration: &compiler.Calibration{}}
	check(t, again.SetRecorded(plan))
	if len(again.Override) == 0 || again.Quant == "" || again.Quant == compiler.Auto {
		t.Errorf("a rebuild would take %s with %v", again.Quant, again.Override)
	}
	small := compiler.Options{Model: "../testdata/demo", Out: filepath.Join(dir, "small"), Archs: []string{"x86-64-v3"}, Budget: compiler.Budget{Bits: 5}}
	if _, err := compiler.Build(t.Context(), small); err == nil || !strings.Contains(err.Error(), "--calib") {
		t.Errorf("a budget without a text: %v", err)
	}
}
