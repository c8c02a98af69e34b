package compiler_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"llmc/compiler/hf"
)

// openRecorded reads golden.json of a checkpoint into what says of it what a test needs, and opens the tensors beside it.
func openRecorded(t *testing.T, dir string, into any) *hf.File {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	check(t, err)
	check(t, json.Unmarshal(text, into))
	tensors, err := hf.OpenFile(filepath.Join(dir, "golden.safetensors"))
	check(t, err)
	t.Cleanup(func() { tensors.Close() })
	return tensors
}
