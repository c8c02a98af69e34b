package cuda_test

import (
	"fmt"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
)

// norms has every kernel of norms: of a row, of a sum of rows, read as numbers of f32 and by a product.
func norms(t *testing.T, vocab, width int, centered bool) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("norms")
	step := b.Step()
	norm := func(x *ir.Value, name string, bias bool) *ir.Value {
		w := b.Weight(name, dtype.F32, width)
		switch {
		case !centered:
			return b.RMSNorm(x, w, 1e-5)
		case bias:
			return b.LayerNorm(x, w, b.Weight(name+".bias", dtype.F32, width), 1e-5)
		}
		return b.LayerNorm(x, w, nil, 1e-5)
	}
	x := b.Gather(b.Weight("embed", dtype.BF16, vocab, width), step.IDs)
	x = b.Add(x, norm(x, "first", false))
	x = b.Add(x, norm(x, "second", true))
	x = b.Add(x, b.Linear(norm(x, "third", true), b.Weight("inner", dtype.BF16, width, width), nil))
	y := norm(b.Add(norm(x, "fourth", true), x), "fifth", false)
	b.Return(b.Linear(b.SelectRows(y, step.Rows), b.Weight("head", dtype.BF16, vocab, width), nil))
	m, err := b.Module()
	check(t, err)
	return m
}

// TestNorms compares norms of rows of every kind of length, of numbers far from zero too, with the interpreter.
func TestNorms(t *testing.T) {
	for _, centered := range []bool{false, true} {
		for _, width := range []int{1, 5, 64, 511, 514, 1000} {
			t.Run(fmt.Sprintf("%v/%d", centered, width), func(t *testing.T) {
				const vocab = 24
				m := norms(t, vocab, width, centered)
				weights, err := interp.NewRandomWeights(m, 3)
				check(t, err)
				embed, err := weights.Tensor("embed")
				check(t, err)
				for i := range embed { // a mean that is large beside the deviation
					embed[i] += float32(i/width) * 8
				}
				plan := compile(t, m, weights, "sm80", "bf16", vocab)
				kinds := map[string]int{}
				for _, op := range m.Func("step").Ops {
					kinds[op.Kind.Name]++
				}
				if fused := map[bool]string{false: "add_rmsnorm", true: "add_layernorm"}[centered]; kinds[fused] < 3 {
					t.Errorf("%v", kinds)
				}
				ids := upTo(vocab)
				compare(t, m, weights, ids, run(t, plan, vocab, ids), 1e-2)
			})
		}
	}
}
