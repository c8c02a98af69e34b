package cuda_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
)

// applied is a module that applies a function to the rows of a table.
func applied(t *testing.T, rows, cols int, f func(b *ir.Builder, x *ir.Value) *ir.Value) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("applied")
	step := b.Step()
	b.Return(b.SelectRows(f(b, b.Gather(b.Weight("x", dtype.BF16, rows, cols), step.IDs)), step.Rows))
	m, err := b.Module()
	check(t, err)
	return m
}

// TestActivations compares every activation with its definition: near zero, where others round to nothing, and far from it. What counts is the
// error beside x, which all results are of the size of.
func TestActivations(t *testing.T) {
	const rows, cols = 12, 67
	table := make([]float32, cols*cols)
	for i := range table {
		x := (float64(i%cols)/cols - 0.5) * math.Pow(4, float64(i/cols)-5)
		table[i] = dtype.BF16ToF32(dtype.F32ToBF16(float32(x)))
	}
	names := []string{"softcap"}
	for _, a := range ir.Activations {
		names = append(names, a.Name)
	}
	for _, name := range names {
		m := applied(t, cols, cols, func(b *ir.Builder, x *ir.Value) *ir.Value {
			if name == "softcap" {
				return b.Softcap(x, 30)
			}
			return b.Activation(name, x)
		})
		weights := tensors{"x": table}
		plan := compile(t, m, weights, "sm80", "bf16", cols)
		got := run(t, plan, cols, upTo(rows))
		batch := &interp.Batch{}
		batch.Add(0, 0, rows, upTo(rows)...)
		batch.SampleAll()
		want, err := interp.New(m, weights).Run("step", batch)
		check(t, err)
		for r := range got {
			for c, y := range got[r] {
				w := float64(want[0].Row(r)[c])
				bound := 3e-7*math.Max(math.Abs(w), math.Min(1, math.Abs(float64(table[r*cols+c])))) + 1e-30
				if most, bounded := map[string]float64{"softcap": 30, "sigmoid": 1}[name]; bounded {
					bound = most * 0x1p-22
				}
				if off := math.Abs(float64(y) - w); !(off <= bound) {
					t.Fatalf("%s(%v) = %v, want %v", name, table[r*cols+c], y, w)
				}
			}
		}
	}
}

// feedForward is the two kinds of layers that activations are found in: between two products, and at a gate.
func feedForward(t *testing.T, act string, vocab, hidden, features int, bias bool) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("feed_forward")
	step := b.Step()
	linear := func(x *ir.Value, name string, n, k int) *ir.Value {
		var added *ir.Value
		if bias {
			added = b.Weight(name+".bias", dtype.F32, n)
		}
		return b.Linear(x, b.Weight(name, dtype.BF16, n, k), added)
	}
	x := b.Gather(b.Weight("embed", dtype.BF16, vocab, hidden), step.IDs)
	x = b.Add(x, linear(b.Activation(act, linear(x, "in", features, hidden)), "out", hidden, features))
	gate, up := linear(x, "gate", features, hidden), linear(x, "up", features, hidden)
	x = b.Add(x, linear(b.Mul(b.Activation(act, gate), up), "down", hidden, features))
	b.Return(b.Linear(b.SelectRows(x, step.Rows), b.Weight("head", dtype.BF16, vocab, hidden), nil))
	m, err := b.Module()
	check(t, err)
	return m
}

// TestActivationsInProducts wants products to apply every activation, with whole tiles, which round, and with rests.
func TestActivationsInProducts(t *testing.T) {
	const vocab = 40
	for i, a := range ir.Activations {
		for j, target := range gpuTargets {
			format := []string{"bf16", "int8", "fp8", "int4-g32"}[(i+j)%4]
			features := []int{128, 72}[(i+j)%2]
			t.Run(fmt.Sprintf("%s/%s/%s/%d", a.Name, target, format, features), func(t *testing.T) {
				m := feedForward(t, a.Name, vocab, 96, features, i%2 == 0)
				weights, err := interp.NewRandomWeights(m, 5)
				check(t, err)
				plan := compile(t, m, weights, target, format, vocab)
				var kinds []string
				for _, op := range m.Func("step").Ops {
					kinds = append(kinds, op.Kind.Name)
				}
				if !slices.Contains(kinds, "linear_act") || !slices.Contains(kinds, "linear_swiglu") || slices.Contains(kinds, a.Name) {
					t.Errorf("%v", kinds)
				}
				ids := upTo(vocab)
				long := run(t, plan, vocab, ids)
				compare(t, m, weights, ids, long, 0.01)
				for r, row := range run(t, plan, vocab, ids[:3]) {
					if !slices.Equal(row, long[r]) {
						t.Errorf("row %d differs in a step of 3 tokens", r)
					}
				}
			})
		}
	}
}
