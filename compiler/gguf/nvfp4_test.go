package gguf

import (
	"bytes"
	"math"
	"testing"

	"llmc/compiler/gguf/gguftest"
)

// TestScalesOfNVFP4 multiplies a matrix by the tensor beside it, and refuses those that are none.
func TestScalesOfNVFP4(t *testing.T) {
	with := func(dims []uint64, numbers ...float32) *gguftest.Writer {
		w := tiny()
		block := append([]byte{0x38, 0, 0, 0, 0x71}, make([]byte, 31)...) // elements 0 and 8 are 0.5 and 6
		var data bytes.Buffer
		for _, x := range numbers {
			gguftest.Put(&data, x)
		}
		w.Tensors = append(w.Tensors, gguftest.Tensor{Name: "x.weight", Kind: 40, Dims: []uint64{64, 1}, Data: block},
			gguftest.Tensor{Name: "x.scale", Dims: dims, Data: data.Bytes()})
		return w
	}
	c, err := Open(with([]uint64{1}, 0.25).Save(t, "model.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	row := make([]float32, 64)
	if err := c.Lookup("x.weight").ReadRows(row, 0, 1); err != nil || row[0] != 0.125 || row[8] != 1.5 || c.Lookup("x.scale") != nil {
		t.Errorf("%v, %v", row[:16], err)
	}
	refused(t, with([]uint64{2}, 1, 1).Save(t, "model.gguf"), `tensor "x.scale": must hold 1 numbers of F32, has shape [2] of F32`)
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), 1e-40, 1e35} {
		refused(t, with([]uint64{1}, bad).Save(t, "model.gguf"), "which is no scale of a weight")
	}
}
