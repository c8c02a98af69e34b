package gguf

import (
	"math"
	"testing"

	"llmc/compiler/hf"
)

// TestBlocks wants the numbers that the gguf package for Python makes of random blocks, bit for bit (testdata/blocks.py).
func TestBlocks(t *testing.T) {
	file, err := hf.OpenFile("testdata/blocks.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, kind := range tensorTypes {
		if kind.decode == nil {
			continue
		}
		blocks, numbers := file.Tensor(kind.name+".blocks"), file.Tensor(kind.name+".numbers")
		if blocks == nil || numbers == nil {
			t.Errorf("%s: no vectors", kind.name)
			continue
		}
		if numbers.Cols() != kind.block || blocks.Cols() != kind.bytes {
			t.Errorf("%s: blocks of %d elements in %d bytes, want %d in %d", kind.name, kind.block, kind.bytes, numbers.Cols(), blocks.Cols())
			continue
		}
		src, want := make([]byte, blocks.Elements()), make([]float32, numbers.Elements())
		if err := blocks.ReadRaw(src, 0, blocks.Rows()); err != nil {
			t.Fatal(err)
		}
		if err := numbers.ReadRows(want, 0, numbers.Rows()); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(want))
		kind.decode(got, src)
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Errorf("%s: element %d is %g, want %g", kind.name, i, got[i], want[i])
				break
			}
		}
	}
}
