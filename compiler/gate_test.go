package compiler

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler/calib"
)

func TestParseGate(t *testing.T) {
	gate, err := ParseGate("weight_error<=0.01, worst < 0.5,ppl<=+2.5%")
	if err != nil || len(gate) != 3 || gate[0] != (GateRule{Figure: "weight_error", Bound: 0.01}) || gate[1] != (GateRule{Figure: "worst", Bound: 0.5, Strict: true}) ||
		gate[2] != (GateRule{Figure: "ppl", Bound: 2.5, Relative: true}) || gate[2].String() != "ppl<=+2.5%" {
		t.Errorf("gate %v, %v", gate, err)
	}
	for _, text := range []string{"weight_error", "bits<1", "kl<+1%", "ppl<+1", "ppl<+x%", "worst<=", "worst<=x", "worst<=-1", "worst<=nan", "worst>1", "worst<1,", "<1"} {
		if gate, err := ParseGate(text); err == nil {
			t.Errorf("%q accepted as %v", text, gate)
		}
	}
}

func TestGateFigures(t *testing.T) {
	report := Accuracy{WeightError: 0.02, Worst: &WeightLoss{Name: "w", Error: 0.5}}
	for text, want := range map[string]string{
		"weight_error<=0.02": "", "weight_error<0.02": "weight_error is 0.02", "worst<=0.5,weight_error<1": "", "worst<=0.4": `worst is 0.5 (weight "w")`,
	} {
		gate, err := ParseGate(text)
		if err != nil {
			t.Fatal(err)
		}
		err = gate.check(&report)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestGateOnATextNamesTheWeightsToBlame(t *testing.T) {
	ref, kl := 20.0, 0.1
	report := Accuracy{Text: &calib.Quality{PPL: 20.5, PPLRef: &ref, KL: &kl}, Weights: []WeightLoss{{Name: "a", Error: 0.9, Output: 0.01}, {Name: "b", Output: 0.25}, {Name: "c", Output: 0.125}}}
	report.WorstOutput = &report.Weights[1]
	for text, want := range map[string]string{
		"ppl<=+2.5%": "", "ppl<+2.5%": "ppl is 20.5 (+2.5% from 20)", "ppl<=20.4": "are of b 25.0%, c 12.5%, a 1.0%;", "kl<0.1": "kl is 0.1", "worst_output<=0.2": `worst_output is 0.25 (weight "b")`,
	} {
		gate, err := ParseGate(text)
		if err != nil {
			t.Fatal(err)
		}
		err = gate.check(&report)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	gate, _ := ParseGate("ppl<=+1%")
	_, err := Build(t.Context(), Options{Model: "../testdata/checkpoints/qwen3-v5", Out: filepath.Join(t.TempDir(), "x.plan"), Gate: gate})
	if err == nil || !strings.Contains(err.Error(), "--calib") {
		t.Errorf("a gate on a text that is not there: %v", err)
	}
}

func TestGateLeavesNoPlan(t *testing.T) {
	for text, passes := range map[string]bool{"weight_error<=0.5": true, "weight_error<=0.0001": false} {
		gate, err := ParseGate(text)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		out := filepath.Join(dir, "x.plan")
		_, err = Build(context.Background(), Options{Model: "../testdata/checkpoints/qwen3-v5", Out: out, Archs: []string{"x86-64-v3"}, Quant: "int4", Gate: gate})
		entries, readErr := os.ReadDir(dir)
		if readErr != nil || passes != (err == nil) || passes != (len(entries) == 1) {
			t.Errorf("%s: %v, files %v (%v)", text, err, entries, readErr)
		}
	}
}
