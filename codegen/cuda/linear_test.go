package cuda_test

import (
	"fmt"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
)

// integers are tensors of small whole numbers, so that every sum is exact. With peak, each run of 32 numbers has a number of that
// size, which fixes the scales of integer formats at one.
type integers struct {
	shapes map[string]int
	peak   int
}

// Tensor implements interp.Weights.
func (w integers) Tensor(name string) ([]float32, error) {
	data := make([]float32, w.shapes[name])
	state := uint32(len(name)*7919 + len(data))
	for i := range data {
		state = state*1664525 + 1013904223
		data[i] = float32(int(state>>16)%7 - 3)
		if w.peak != 0 && name != "x" && i%32 == 5 {
			data[i] = float32(w.peak)
		}
	}
	return data, nil
}

// TestLinearExact multiplies whole numbers in every format and over sizes that fill no tile: each result is exact.
func TestLinearExact(t *testing.T) {
	for _, format := range []struct {
		name string
		peak int
	}{{"bf16", 0}, {"int8", 127}, {"int4-g32", -8}, {"int4-g64", -8}, {"int4-g128", -8}} {
		for _, size := range [][3]int{{16, 64, 1}, {70, 160, 3}, {33, 576, 17}, {130, 200, 40}} {
			t.Run(fmt.Sprintf("%s/%v", format.name, size), func(t *testing.T) {
				n, k, tokens := size[0], size[1], size[2]
				k = (k + 31) / 32 * 32 // whole runs
				weights := integers{map[string]int{"x": max(n, tokens) * k, "w": n * k, "bias": n}, format.peak}
				b := ir.NewBuilder("product")
				step := b.Step()
				x := b.Gather(b.Weight("x", dtype.BF16, max(n, tokens), k), step.IDs)
				y := b.Linear(x, b.Weight("w", dtype.F32, n, k), b.Weight("bias", dtype.F32, n))
				b.Return(b.SelectRows(y, step.Rows))
				m, err := b.Module()
				check(t, err)
				plan := compile(t, m, weights, "sm80", format.name, n)
				ids := make([]int32, tokens)
				for i := range ids {
					ids[i] = int32(i)
				}
				compare(t, m, weights, ids, run(t, plan, n, ids), 0)
			})
		}
	}
}
