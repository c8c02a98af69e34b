package cuda_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/runtime/device/emu"
)

// planShape is a model of two layers of attention alone.
type planShape struct {
	heads, kv, dim int
	cache          dtype.Type
	alibi, sinks   bool
}

// plan compiles the model, and returns it with its weights.
func (c planShape) plan(t *testing.T, target string) (*engine.Plan, *ir.Module, integers) {
	t.Helper()
	const layers = 2
	width, qkv := c.heads*c.dim, (c.heads+2*c.kv)*c.dim
	b := ir.NewBuilder("attention")
	scale := 1 / (16 * float64(width) * math.Sqrt(float64(c.dim))) // queries and keys are sums of width products of about 4
	cache := b.PagedCache("kv", layers, c.kv, c.dim, c.cache)
	step := b.Step(cache)
	token := step.Token
	frequencies := make([]float32, c.dim/2)
	for i := range frequencies {
		frequencies[i] = 1 / float32(1+i)
	}
	rope := ir.Rope{InvFreq: b.Constant("inv_freq", frequencies, 1, c.dim/2), Style: "half"}
	attend := ir.Attention{Heads: c.heads, KVHeads: c.kv, Dim: c.dim, Scale: scale}
	if c.alibi {
		attend.ALiBi = b.Constant("slopes", shape{heads: c.heads}.slopes(), c.heads)
	}
	if c.sinks {
		attend.Sinks = b.Constant("sinks", randoms(c.heads, 5, 2), c.heads)
	}
	shapes := map[string]int{"x": width * width, "norm": width}
	x := b.Gather(b.Weight("x", dtype.BF16, width, width), step.IDs)
	for layer := range layers {
		name := fmt.Sprintf("qkv%d", layer)
		shapes[name] = qkv * width
		normed := b.RMSNorm(x, b.Weight("norm", dtype.F32, width), 1e-5)
		all := b.Linear(normed, b.Weight(name, dtype.F32, qkv, width), nil)
		q := b.Rope(b.Slice(all, 0, width), step, rope, c.heads, c.dim)
		k := b.Rope(b.Slice(all, width, c.kv*c.dim), step, rope, c.kv, c.dim)
		token = b.KVWrite(token, k, b.Slice(all, width+c.kv*c.dim, c.kv*c.dim), layer)
		attend.Layer = layer
		x = b.Add(x, b.Attention(q, token, step, attend))
	}
	b.Return(b.SelectRows(x, step.Rows), token)
	m, err := b.Module()
	check(t, err)
	weights := integers{shapes: shapes}
	return compile(t, m, weights, target, "bf16", width), m, weights
}

// TestAttentionPlan runs plans from tokens to logits, so that the places of layers, heads and pages are those that the device gives them.
func TestAttentionPlan(t *testing.T) {
	for i, c := range []planShape{
		{4, 2, 64, dtype.BF16, false, false}, {3, 1, 20, dtype.BF16, true, true}, {4, 2, 32, dtype.F16, false, true},
		{2, 1, 24, dtype.I8, true, false}, {2, 2, 32, dtype.F8E4M3, false, false}, {3, 1, 20, dtype.F8E4M3, false, true},
	} {
		target := []string{"sm80", "sm89", "sm90"}[i%3]
		t.Run(fmt.Sprint(target, c), func(t *testing.T) {
			plan, m, weights := c.plan(t, target)
			width := c.heads * c.dim
			ids := make([]int32, 40)
			for i := range ids {
				ids[i] = int32(i * 7 % width)
			}
			whole := run(t, plan, width, ids)
			tolerance := 0.01
			if c.cache == dtype.F8E4M3 {
				tolerance = 0.03 // a number at the middle of two codes may become the other one
			}
			compare(t, m, weights, ids, whole, tolerance)
			for r, row := range runOn(t, emu.Options{Races: true}, plan, width, ids, 7) {
				if !slices.Equal(row, whole[r]) {
					t.Fatalf("row %d differs in steps of 7 tokens", r)
				}
			}
		})
	}
}

// TestAttentionPlanInPieces wants the same logits of the last tokens of a long sequence in a step of their own, when the work list has few items and
// so gives pieces to several CTAs, as at the end of the whole sequence.
func TestAttentionPlanInPieces(t *testing.T) {
	c := planShape{3, 1, 20, dtype.I8, false, false}
	plan, _, _ := c.plan(t, "sm80")
	width := c.heads * c.dim
	ids := make([]int32, 533)
	for i := range ids {
		ids[i] = int32(i * 7 % width)
	}
	whole := runOn(t, emu.Options{}, plan, width, ids, len(ids))
	for r, row := range runOn(t, emu.Options{Races: true}, plan, width, ids, 530) {
		if !slices.Equal(row, whole[r]) {
			t.Fatalf("row %d differs", r)
		}
	}
}
