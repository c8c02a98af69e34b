package compiler

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseGate(t *testing.T) {
	gate, err := ParseGate("weight_error<=0.01, worst < 0.5")
	if err != nil || len(gate) != 2 || gate[0] != (GateRule{"weight_error", 0.01, false}) || gate[1] != (GateRule{"worst", 0.5, true}) {
		t.Errorf("gate %v, %v", gate, err)
	}
	for _, text := range []string{"weight_error", "ppl<1", "worst<=", "worst<=x", "worst<=-1", "worst<=nan", "worst>1", "worst<1,", "<1"} {
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
