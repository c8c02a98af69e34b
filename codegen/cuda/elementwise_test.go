package cuda_test

import (
	"fmt"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
)

// TestElementwise compares what is done with rows between products, where no product takes it over, with the interpreter: of rows that fill a CTA's
// threads, and that do not.
func TestElementwise(t *testing.T) {
	for _, c := range []struct {
		kernel string
		apply  func(b *ir.Builder, s ir.Step, x, y *ir.Value) *ir.Value
	}{
		{"cuda.add", func(b *ir.Builder, s ir.Step, x, y *ir.Value) *ir.Value { return b.Add(x, y) }},
		{"cuda.mul", func(b *ir.Builder, s ir.Step, x, y *ir.Value) *ir.Value { return b.Mul(x, y) }},
		{"cuda.scale", func(b *ir.Builder, s ir.Step, x, y *ir.Value) *ir.Value { return b.Add(b.Scale(x, 0.37), y) }},
		{"cuda.swiglu", func(b *ir.Builder, s ir.Step, x, y *ir.Value) *ir.Value { return b.Mul(b.SiLU(x), y) }},
		{"cuda.scale_positions", func(b *ir.Builder, s ir.Step, x, y *ir.Value) *ir.Value {
			return b.Add(b.ScalePositions(x, s, 0.3, 3), y)
		}},
		{"cuda.columns", func(b *ir.Builder, s ir.Step, x, y *ir.Value) *ir.Value {
			return b.Add(b.Columns(x, reversed(b, y)), y)
		}},
	} {
		for _, cols := range []int{9, 67, 256, 1030} {
			t.Run(fmt.Sprintf("%s/%d", c.kernel, cols), func(t *testing.T) {
				b := ir.NewBuilder("elementwise")
				step := b.Step()
				x := b.Gather(b.Weight("x", dtype.BF16, cols, cols), step.IDs)
				y := b.Gather(b.Weight("second", dtype.BF16, cols, cols), step.IDs)
				b.Return(b.SelectRows(c.apply(b, step, x, y), step.Rows))
				m, err := b.Module()
				check(t, err)
				weights := fractions{map[string]int{"x": cols * cols, "second": cols * cols}}
				plan := compile(t, m, weights, "sm80", "bf16", cols)
				wantKernels(t, plan, "sm80", c.kernel)
				compare(t, m, weights, upTo(9), run(t, plan, cols, upTo(9)), 1e-6)
			})
		}
	}
}

// reversed is an order of the columns of x from the last to the first.
func reversed(b *ir.Builder, x *ir.Value) *ir.Value {
	n, _ := x.Type.Cols()
	order := make([]float32, n)
	for i := range order {
		order[i] = float32(int(n) - 1 - i)
	}
	return b.Constant("order", order, int(n))
}
