package cuda_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/runtime/device/emu"
)

// latentNetwork is a model of one layer of latent attention.
type latentNetwork struct {
	latentShape
	nope, value, hidden, vocab int
	style                      string
}

// build writes it as models do: the matrices of heads go to the queries and to what attention gives.
func (c latentNetwork) build(t *testing.T) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("latent")
	step := b.Step(b.LatentCache("kv", 1, c.rank, c.rope, c.cache))
	frequencies := make([]float32, c.rope/2)
	for i := range frequencies {
		frequencies[i] = float32(math.Pow(100, -2*float64(i)/float64(c.rope)))
	}
	turn := ir.Rope{InvFreq: b.Constant("inv_freq", frequencies, 1, c.rope/2), Style: c.style, Factor: 1.25}
	x := b.Gather(b.Weight("x", dtype.BF16, c.vocab, c.hidden), step.IDs)
	normed := b.RMSNorm(x, b.Weight("norm", dtype.F32, c.hidden), 1e-5)
	linear := func(name string, n int) *ir.Value {
		return b.Linear(normed, b.Weight(name, dtype.BF16, n, c.hidden), nil)
	}
	heads := func(name string, n, k int) *ir.Value {
		var parts []*ir.Recipe
		for h := range c.heads {
			parts = append(parts, ir.TensorRows(fmt.Sprintf("%s%d", name, h), 0, int64(n)))
		}
		return b.Stack(name, "", dtype.BF16, ir.ConcatRows(parts...), c.heads, n, k)
	}
	latent := b.RMSNorm(linear("c", c.rank), b.Weight("c.norm", dtype.F32, c.rank), 1e-6)
	token := b.LatentWrite(step.Token, latent, b.Rope(linear("k", c.rope), step, turn, 1, c.rope), 0)
	q := b.LinearHeads(linear("q", c.heads*c.nope), heads("keys", c.rank, c.nope))
	y := b.LatentAttention(q, b.Rope(linear("r", c.heads*c.rope), step, turn, c.heads, c.rope), token, 0, c.heads, c.scale())
	y = b.LinearHeads(y, heads("values", c.value, c.rank))
	x = b.Add(x, b.Linear(y, b.Weight("o", dtype.BF16, c.hidden, c.heads*c.value), nil))
	b.Return(b.Linear(b.SelectRows(x, step.Rows), b.Weight("head", dtype.BF16, c.vocab, c.hidden), nil), token)
	m, err := b.Module()
	check(t, err)
	return m
}

var latentNetworks = []struct {
	latentNetwork
	format string
}{
	{latentNetwork{latentShape{4, 32, 16, dtype.BF16}, 24, 16, 64, 48, "interleaved"}, "bf16"},
	{latentNetwork{latentShape{3, 48, 8, dtype.F16}, 20, 10, 72, 48, "half"}, "f16"},
	{latentNetwork{latentShape{20, 16, 4, dtype.I8}, 6, 7, 64, 48, "interleaved"}, "int8"},
	{latentNetwork{latentShape{4, 64, 16, dtype.F8E4M3}, 32, 64, 64, 48, "interleaved"}, "int4-g32"},
	{latentNetwork{latentShape{4, 64, 16, dtype.U4}, 32, 64, 64, 48, "half"}, "bf16"},
	{latentNetwork{latentShape{4, 320, 64, dtype.U4}, 32, 64, 64, 48, "interleaved"}, "int4-g32"},
	{latentNetwork{latentShape{4, 64, 16, dtype.BF16}, 32, 64, 64, 48, "half"}, "fp8"},
	{latentNetwork{latentShape{2, 128, 16, dtype.BF16}, 128, 64, 128, 48, "half"}, "fp8-block"},
	{latentNetwork{latentShape{4, 32, 16, dtype.BF16}, 24, 16, 64, 48, "interleaved"}, "int8-w8a8"},
	{latentNetwork{latentShape{4, 512, 64, dtype.BF16}, 128, 128, 64, 48, "interleaved"}, "bf16"}, // heads as wide as DeepSeek's
}

// TestLatentNetworks compares logits with the interpreter, and wants the same bits for a token whatever the number of tokens beside it.
func TestLatentNetworks(t *testing.T) {
	for i, c := range latentNetworks {
		for j, target := range gpuTargets {
			if !thorough() && i%3 != j {
				continue
			}
			t.Run(fmt.Sprint(target, c), func(t *testing.T) {
				m := c.build(t)
				weights, err := interp.NewRandomWeights(m, 5)
				check(t, err)
				plan := compile(t, m, weights, target, c.format, c.vocab)
				ids := sequence(map[bool]int{true: 21, false: 5}[c.rank < 512], c.vocab)
				whole := run(t, plan, c.vocab, ids)
				tolerance := 0.02
				if c.cache == dtype.F8E4M3 || c.cache == dtype.U4 {
					tolerance = 0.03
				}
				compare(t, m, weights, ids, whole, tolerance)
				for r, row := range runOn(t, emu.Options{}, plan, c.vocab, ids[:min(len(ids), 9)], 2) {
					if !slices.Equal(row, whole[r]) {
						t.Fatalf("row %d differs in steps of 2 tokens", r)
					}
				}
			})
		}
	}
}
