package compiler_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler/hf"
	"llmc/internal/golden"
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
			g.compareF32(t, model, info)
		})
	}
}
