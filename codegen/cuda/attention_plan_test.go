package cuda_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
)

// TestAttentionPlan runs plans of two layers of attention alone, from tokens to logits, so that the places of layers, heads and pages are
// those that the device gives them.
func TestAttentionPlan(t *testing.T) {
	for _, size := range []struct{ heads, kv, dim int }{{4, 2, 64}, {3, 1, 20}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const layers = 2
			width, qkv := size.heads*size.dim, (size.heads+2*size.kv)*size.dim
			b := ir.NewBuilder("attention")
			scale := 1 / (16 * float64(width) * math.Sqrt(float64(size.dim))) // queries and keys are sums of width products of about 4
			cache := b.PagedCache("kv", layers, size.kv, size.dim, dtype.BF16)
			step := b.Step(cache)
			token := step.Token
			frequencies := make([]float32, size.dim/2)
			for i := range frequencies {
				frequencies[i] = 1 / float32(1+i)
			}
			rope := ir.Rope{InvFreq: b.Constant("inv_freq", frequencies, 1, size.dim/2), Style: "half"}
			shapes := map[string]int{"x": width * width, "norm": width}
			x := b.Gather(b.Weight("x", dtype.BF16, width, width), step.IDs)
			for layer := range layers {
				name := fmt.Sprintf("qkv%d", layer)
				shapes[name] = qkv * width
				normed := b.RMSNorm(x, b.Weight("norm", dtype.F32, width), 1e-5)
				all := b.Linear(normed, b.Weight(name, dtype.F32, qkv, width), nil)
				q := b.Rope(b.Slice(all, 0, width), step, rope, size.heads, size.dim)
				k := b.Rope(b.Slice(all, width, size.kv*size.dim), step, rope, size.kv, size.dim)
				token = b.KVWrite(token, k, b.Slice(all, width+size.kv*size.dim, size.kv*size.dim), layer)
				x = b.Add(x, b.Attention(q, token, step, ir.Attention{Layer: layer, Heads: size.heads, KVHeads: size.kv, Dim: size.dim, Scale: scale}))
			}
			b.Return(b.SelectRows(x, step.Rows), token)
			m, err := b.Module()
			check(t, err)
			weights := integers{shapes: shapes}
			plan := compile(t, m, weights, "sm80", "bf16", width)
			ids := make([]int32, 40)
			for i := range ids {
				ids[i] = int32(i * 7 % width)
			}
			whole := run(t, plan, width, ids)
			compare(t, m, weights, ids, whole, 0.01)
			for r, row := range runSteps(t, plan, width, ids, 7) {
				if !slices.Equal(row, whole[r]) {
					t.Fatalf("row %d differs in steps of 7 tokens", r)
				}
			}
		})
	}
}
