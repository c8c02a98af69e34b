package compiler

import (
	"llmc/compiler/gguf"
	"llmc/compiler/hf"
)

// openCheckpoint opens a model with its weights, whatever form it has.
func openCheckpoint(path string) (*hf.Checkpoint, error) {
	if gguf.Is(path) {
		return gguf.Open(path)
	}
	return hf.Open(path)
}
