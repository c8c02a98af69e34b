package compiler_test

import (
	"archive/zip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/cpu"
)

// TestFamiliesGGUF wants of files that llama.cpp's converter made (testdata/scripts/make_gguf.py) the logits that transformers gave for the checkpoints that it converted.
func TestFamiliesGGUF(t *testing.T) {
	archive, err := zip.OpenReader("../testdata/gguf.zip")
	check(t, err)
	defer archive.Close()
	read := func(name string) []byte {
		f, err := archive.Open(name)
		check(t, err)
		defer f.Close()
		data, err := io.ReadAll(f)
		check(t, err)
		return data
	}
	tested := 0
	for _, f := range archive.File {
		name, ok := strings.CutSuffix(f.Name, ".gguf")
		if !ok {
			continue
		}
		tested++
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.gguf")
			check(t, os.WriteFile(path, read(f.Name), 0o600))
			var golden struct {
				IDs    []int32     `json:"ids"`
				Logits [][]float32 `json:"logits"`
			}
			check(t, json.Unmarshal(read(name+".json"), &golden))
			model, vocab := openGGUF(t, path)
			rows := forward(t, model, vocab, golden.IDs, true)
			got, want := slices.Concat(rows[len(rows)-len(golden.Logits):]...), slices.Concat(golden.Logits...)
			if most, _ := relative(got, want); !(most <= 1e-5) {
				t.Errorf("logits are off by %.2g of their range", most)
			}
		})
	}
	if tested < 25 {
		t.Errorf("%d files", tested)
	}
}

// openGGUF builds a plan of f32 and loads it.
func openGGUF(t *testing.T, path string) (engine.Model, int) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "engine.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: path, Out: out, Quant: "f32"})
	check(t, err)
	plan, err := engine.Open(out)
	check(t, err)
	model, err := (cpu.Device{}).Load(plan, compiler.VerifySettings())
	check(t, err)
	t.Cleanup(func() { model.Close(); plan.Close() })
	return model, plan.Info().Vocab
}
