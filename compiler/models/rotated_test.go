package models

import (
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
	"llmc/ir/interp"
)

// Any range of rows of a turned matrix is what the interpreter makes of all of them, to the bit.
func TestReadRowsOfTurnedMatrices(t *testing.T) {
	m, c, err := importRandom(t, small(t, nil), Options{})
	if err != nil {
		t.Fatal(err)
	}
	const name, norm = "model.layers.1.mlp.down_proj.weight", "model.layers.0.input_layernorm.weight"
	tensor := c.Lookup(name)
	if tensor == nil || m.Module == nil {
		t.Fatalf("no tensor %s", name)
	}
	rows, cols := tensor.Rows(), tensor.Cols()
	random := rand.New(rand.NewPCG(1, 2))
	for _, r := range []*ir.Recipe{
		ir.Rotate(ir.TensorRows(name, 0, rows), nil, "r40", "", cols),
		ir.Rotate(ir.TensorRows(name, 0, rows), nil, "h8", "r32", cols),
		ir.Rotate(ir.TensorRows(name, 0, rows), ir.Constant(slices.Repeat([]float32{2, 0.5}, int(cols)/2)), "r20", "r8", cols),
		ir.InterleaveRows(4, ir.Rotate(ir.TensorRows(name, 0, rows), nil, "", "r16", cols), ir.TensorRows(name, 8, 16)),
		ir.Rotate(ir.Rotate(ir.TensorRows(name, 0, rows), nil, "r40", "", cols), nil, "", "r32", cols),
	} {
		w := &ir.Weight{Recipe: r}
		w.Type = ir.Tensor(dtype.F32, sym.Const(r.Rows(cols)), sym.Const(cols))
		want, err := interp.Elements(w, source{c})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			lo := random.Int64N(r.Rows(cols))
			hi := lo + 1 + random.Int64N(r.Rows(cols)-lo)
			got := make([]float32, (hi-lo)*cols)
			if err := ReadRows(c, r, got, 2, lo, hi); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want[lo*cols:hi*cols]) {
				t.Fatalf("%v: rows %d:%d differ", r, lo, hi)
			}
		}
	}
	biases := make([]float32, 32)
	if err := ReadRows(c, ir.Rotate(ir.TensorRows(norm, 0, 32), nil, "", "r16", 1), biases, 1, 0, 32); err != nil || slices.Equal(biases, make([]float32, 32)) {
		t.Errorf("a vector is turned to %v: %v", biases, err)
	}
}
