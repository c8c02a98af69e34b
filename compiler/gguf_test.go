package compiler_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime/device/cpu"
)

// ggufGoldens returns what transformers gave for the dequantized weights of every shared GGUF file, by the file's path.
func ggufGoldens(t *testing.T) map[string]*goldenFile {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(golden.Shared(t, "checkpoints"), "*gguf*", "model-*.gguf"))
	all := map[string]*goldenFile{}
	for _, path := range paths {
		dir, name := filepath.Split(path)
		stem := filepath.Join(dir, strings.TrimSuffix(strings.Replace(name, "model", "golden", 1), ".gguf"))
		text, err := os.ReadFile(stem + ".json")
		check(t, err)
		g := &goldenFile{dir: path}
		check(t, json.Unmarshal(text, g))
		g.tensors, err = hf.OpenFile(stem + ".safetensors")
		check(t, err)
		t.Cleanup(func() { g.tensors.Close() })
		all[path] = g
	}
	if len(all) < 5 {
		t.Fatalf("found only %d GGUF files", len(all))
	}
	return all
}

// TestGoldensGGUF wants the logits and greedy tokens that transformers gives with the dequantized weights.
func TestGoldensGGUF(t *testing.T) {
	for path, g := range ggufGoldens(t) {
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			model, info := open(t, path, "f32")
			g.sameF32(t, model, info.Vocab)
		})
	}
}

// TestGGUFIsKept builds files in their own codes: Q4_0 as int4, Q8_0 as two digits of 4 bits, F16 as numbers. Every weight is the file's, and the function the imported one.
func TestGGUFIsKept(t *testing.T) {
	formats := map[string]string{"model-Q4_0.gguf": "Q4_0 int4-g32", "model-Q8_0.gguf": "Q8_0, two digits int4-g32-zp", "model-F16.gguf": "bf16"}
	for path, g := range ggufGoldens(t) {
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "engine.plan")
			report, err := compiler.Build(t.Context(), compiler.Options{Model: path, Out: out})
			check(t, err)
			if want := formats[filepath.Base(path)]; report.Quant != want || report.Accuracy.WeightError != 0 {
				t.Errorf("weights are %s, off by %g, want %s", report.Quant, report.Accuracy.WeightError, want)
			}
			plan, err := engine.Open(out)
			check(t, err)
			defer plan.Close()
			model, err := (cpu.Device{}).Load(plan, compiler.VerifySettings())
			check(t, err)
			defer model.Close()
			if v := verifiedPlan(t, cpu.Device{}, plan, path); !v.OK || v.FirstBadWeight != "" {
				t.Errorf("%+v", v)
			}
			got := slices.Concat(forward(t, model, plan.Info().Vocab, g.Prompts[2].IDs, true)...)
			if most, _ := relative(got, g.tensor(t, "p33.logits_all")); !(most <= 1.5e-2) {
				t.Errorf("logits are off by %.2g of their range", most)
			}
			again := filepath.Join(t.TempDir(), "again.plan")
			_, err = compiler.Refit(t.Context(), compiler.RefitOptions{Plan: out, Model: path, Out: again})
			check(t, err)
			if !sameBytes(t, out, again) {
				t.Error("refit with its own weights gives other bytes")
			}
		})
	}
}
