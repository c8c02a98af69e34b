package cuda_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"llmc/internal/dtype"
)

var attentionShapes = []shape{
	{heads: 2, kv: 2, dim: 64, q: dtype.F32, y: dtype.BF16},
	{heads: 4, kv: 2, dim: 16, q: dtype.BF16, y: dtype.F32},
	{heads: 3, kv: 1, dim: 24, q: dtype.F32, y: dtype.BF16, window: 40},
	{heads: 8, kv: 2, dim: 80, q: dtype.BF16, y: dtype.BF16, softcap: 20},
	{heads: 8, kv: 1, dim: 128, q: dtype.BF16, y: dtype.BF16, window: 100, softcap: 5},
	{heads: 2, kv: 1, dim: 256, q: dtype.F32, y: dtype.F32},
	{heads: 4, kv: 2, dim: 208, q: dtype.F32, y: dtype.BF16},
	{heads: 2, kv: 2, dim: 5, q: dtype.BF16, y: dtype.BF16},
	{heads: 1, kv: 1, dim: 21, q: dtype.F32, y: dtype.F32},
	{heads: 71, kv: 1, dim: 20, q: dtype.F32, y: dtype.BF16},
}

// turnedShapes have keys that turn as they are read.
var turnedShapes = []shape{
	{heads: 4, kv: 1, dim: 16, q: dtype.BF16, y: dtype.F32, rotary: rotary{"longrope", "half", 16}},
	{heads: 3, kv: 1, dim: 24, q: dtype.F32, y: dtype.BF16, window: 40, rotary: rotary{"dynamic", "interleaved", 20}},
	{heads: 2, kv: 1, dim: 80, q: dtype.BF16, y: dtype.BF16, softcap: 20, rotary: rotary{"dynamic", "half", 70}},
	{heads: 20, kv: 1, dim: 20, q: dtype.F32, y: dtype.F32, rotary: rotary{"longrope", "interleaved", 4}},
	{heads: 1, kv: 1, dim: 256, q: dtype.BF16, y: dtype.F32, rotary: rotary{"dynamic", "half", 256}},
	{heads: 2, kv: 2, dim: 5, q: dtype.BF16, y: dtype.BF16, rotary: rotary{"longrope", "half", 2}},
}

// storedShapes have caches of every other format.
var storedShapes = []shape{
	{heads: 2, kv: 2, dim: 64, q: dtype.F32, y: dtype.BF16, cache: dtype.F16},
	{heads: 8, kv: 2, dim: 80, q: dtype.BF16, y: dtype.BF16, softcap: 20, cache: dtype.F16, window: 40},
	{heads: 2, kv: 1, dim: 21, q: dtype.F32, y: dtype.F32, cache: dtype.F16, rotary: rotary{"dynamic", "half", 10}},
	{heads: 4, kv: 2, dim: 64, q: dtype.F32, y: dtype.F32, cache: dtype.I8},
	{heads: 20, kv: 1, dim: 80, q: dtype.BF16, y: dtype.BF16, softcap: 20, cache: dtype.I8, window: 100},
	{heads: 8, kv: 1, dim: 128, q: dtype.BF16, y: dtype.F32, cache: dtype.I8},
	{heads: 2, kv: 1, dim: 208, q: dtype.F32, y: dtype.F32, cache: dtype.I8, softcap: 5},
	{heads: 1, kv: 1, dim: 21, q: dtype.F32, y: dtype.F32, cache: dtype.I8},
	{heads: 4, kv: 1, dim: 24, q: dtype.F32, y: dtype.F32, cache: dtype.I8, rotary: rotary{"longrope", "half", 16}},
	{heads: 4, kv: 2, dim: 64, q: dtype.F32, y: dtype.F32, cache: dtype.F8E4M3},
	{heads: 20, kv: 1, dim: 20, q: dtype.F32, y: dtype.BF16, cache: dtype.F8E4M3},
	{heads: 8, kv: 1, dim: 128, q: dtype.BF16, y: dtype.BF16, cache: dtype.F8E4M3, softcap: 20},
	{heads: 2, kv: 1, dim: 256, q: dtype.F32, y: dtype.F32, cache: dtype.F8E4M3, window: 40},
	{heads: 2, kv: 1, dim: 5, q: dtype.BF16, y: dtype.BF16, cache: dtype.F8E4M3},
	{heads: 4, kv: 1, dim: 80, q: dtype.F32, y: dtype.F32, cache: dtype.F8E4M3, rotary: rotary{"dynamic", "interleaved", 70}},
	{heads: 4, kv: 2, dim: 64, q: dtype.F32, y: dtype.F32, cache: dtype.U4},
	{heads: 20, kv: 1, dim: 80, q: dtype.BF16, y: dtype.BF16, softcap: 20, cache: dtype.U4, window: 100},
	{heads: 8, kv: 1, dim: 128, q: dtype.BF16, y: dtype.F32, cache: dtype.U4},
	{heads: 20, kv: 1, dim: 128, q: dtype.F32, y: dtype.BF16, cache: dtype.U4, window: 40},
	{heads: 18, kv: 1, dim: 256, q: dtype.F32, y: dtype.F32, cache: dtype.U4},
	{heads: 2, kv: 1, dim: 256, q: dtype.BF16, y: dtype.F32, cache: dtype.U4},
	{heads: 20, kv: 1, dim: 192, q: dtype.BF16, y: dtype.F32, cache: dtype.U4, softcap: 5},
	{heads: 4, kv: 2, dim: 16, q: dtype.F32, y: dtype.F32, cache: dtype.U4, alibi: true},
	{heads: 18, kv: 1, dim: 32, q: dtype.F32, y: dtype.F32, cache: dtype.U4, sinks: true},
	{heads: 2, kv: 1, dim: 96, q: dtype.F32, y: dtype.F32, cache: dtype.U4, ahead: 1 << 30},
	{heads: 1, kv: 1, dim: 21, q: dtype.F32, y: dtype.F32, cache: dtype.U4},
	{heads: 71, kv: 1, dim: 20, q: dtype.F32, y: dtype.BF16, cache: dtype.U4},
	{heads: 4, kv: 1, dim: 80, q: dtype.F32, y: dtype.F32, cache: dtype.U4, rotary: rotary{"dynamic", "interleaved", 70}},
	{heads: 4, kv: 1, dim: 128, q: dtype.BF16, y: dtype.F32, cache: dtype.U4, rotary: rotary{"longrope", "half", 128}},
}

// biasedShapes have scores of more than queries and keys.
var biasedShapes = []shape{
	{heads: 2, kv: 2, dim: 64, q: dtype.F32, y: dtype.BF16, alibi: true},
	{heads: 22, kv: 1, dim: 20, q: dtype.F32, y: dtype.F32, alibi: true, cache: dtype.I8},
	{heads: 8, kv: 1, dim: 64, q: dtype.BF16, y: dtype.BF16, sinks: true, window: 40},
	{heads: 20, kv: 1, dim: 24, q: dtype.F32, y: dtype.F32, sinks: true, cache: dtype.F8E4M3},
	{heads: 8, kv: 1, dim: 128, q: dtype.F32, y: dtype.F32, sinks: true, alibi: true, softcap: 20, window: 100},
}

// chunkedShapes see their own chunk of positions.
var chunkedShapes = []shape{
	{heads: 4, kv: 2, dim: 16, q: dtype.F32, y: dtype.BF16, chunk: 32},
	{heads: 8, kv: 1, dim: 64, q: dtype.BF16, y: dtype.F32, chunk: 100, cache: dtype.I8},
	{heads: 3, kv: 1, dim: 24, q: dtype.F32, y: dtype.F32, chunk: 75, window: 40},
}

// aheadShapes see positions behind their own.
var aheadShapes = []shape{
	{heads: 2, kv: 2, dim: 64, q: dtype.F32, y: dtype.BF16, ahead: 1 << 30},
	{heads: 4, kv: 2, dim: 16, q: dtype.BF16, y: dtype.F32, window: 17, ahead: 16},
	{heads: 3, kv: 1, dim: 24, q: dtype.F32, y: dtype.F32, window: 40, ahead: 70, cache: dtype.I8},
	{heads: 20, kv: 1, dim: 20, q: dtype.F32, y: dtype.BF16, ahead: 5},
	{heads: 2, kv: 1, dim: 208, q: dtype.BF16, y: dtype.F32, ahead: 1 << 30, softcap: 20},
}

func (c shape) String() string {
	biases := ""
	if c.alibi {
		biases += "_alibi"
	}
	if c.sinks {
		biases += "_sinks"
	}
	if c.ahead > 0 {
		biases += fmt.Sprintf("_ahead%d", c.ahead)
	}
	if c.buckets.Count > 0 {
		biases += fmt.Sprintf("_relative%v", c.buckets)
	}
	if c.ofText {
		biases += "_text"
	}
	if c.chunk > 0 {
		biases += fmt.Sprintf("_of%d", c.chunk)
	}
	return fmt.Sprintf("%d_%d_%d_w%d_c%v_%v_%v_%v%v%s", c.heads, c.kv, c.dim, c.window, c.softcap, c.q, c.y, c.stored(), c.rotary, biases)
}

// TestAttention runs steps that mix long and short chunks with single tokens, at contexts around the sizes of tiles and pages.
func TestAttention(t *testing.T) {
	for i, c := range slices.Concat(turnedShapes, attentionShapes, storedShapes, biasedShapes, chunkedShapes, aheadShapes, relativeShapes, textShapes) {
		t.Run(c.String(), func(t *testing.T) {
			a := newAttention(t, c, []string{"sm80", "sm89"}[i%2])
			worst := 0.0
			for j, chunks := range [][]chunk{
				{{newHistory(c, 1, 1), 0, 1}},
				{{newHistory(c, 15, 2), 14, 15}, {newHistory(c, 16, 3), 0, 16}, {newHistory(c, 65, 4), 64, 65}},
				{{newHistory(c, 300, 5), 299, 300}, {newHistory(c, 64, 6), 17, 64}, {newHistory(c, 17, 7), 16, 17}, {newHistory(c, 63, 8), 62, 63}},
				{{newHistory(c, 140, 9), 60, 140}},
			} {
				if !thorough() && (i+j)%2 != 0 || !everywhere() && i%4 != j && !(i%4 == 0 && j == 2) { // one token at the first position says little
					continue
				}
				rows := a.step([]int{16, 32, 64, 48, 128}[(i+j)%5], chunks...)
				worst = max(worst, compareRows(t, c, rows, chunks))
			}
			t.Logf("largest difference %.2g", worst)
		})
	}
}

// compareRows wants the results of plain arithmetic. Weights are rounded to bf16, so that they are off by 2^-9 of their sum at most, or to f16.
func compareRows(t *testing.T, c shape, rows [][]float32, chunks []chunk) (worst float64) {
	t.Helper()
	r := 0
	for b, chunk := range chunks {
		top := 0.0
		for _, v := range chunk.v {
			top = max(top, math.Abs(float64(v)))
		}
		for p := chunk.from; p < chunk.to; p++ {
			for h := range c.heads {
				for d, want := range chunk.attend(p, h) {
					tolerance := 1.0/256*top + 1e-6
					if c.stored() != dtype.BF16 {
						tolerance = 1.0/1024*top + 1e-6
					}
					if c.y == dtype.BF16 {
						tolerance += math.Abs(want) / 256
					}
					off := math.Abs(float64(rows[r][h*c.dim+d]) - want)
					if worst = max(worst, off); !(off <= tolerance) {
						t.Fatalf("sequence %d position %d head %d channel %d: %v, want %v", b, p, h, d, rows[r][h*c.dim+d], want)
					}
				}
			}
			r++
		}
	}
	return worst
}

// TestAttentionIsInvariant wants the same bits for a position however the prompt is cut, whatever else is in the step, and for every
// size of page.
func TestAttentionIsInvariant(t *testing.T) {
	for i, c := range []shape{
		{heads: 4, kv: 1, dim: 64, q: dtype.BF16, y: dtype.F32},
		{heads: 3, kv: 1, dim: 24, q: dtype.BF16, y: dtype.F32, window: 50, softcap: 10},
		{heads: 2, kv: 2, dim: 80, q: dtype.F32, y: dtype.F32, window: 70},
		{heads: 2, kv: 1, dim: 208, q: dtype.BF16, y: dtype.F32, softcap: 30},
		turnedShapes[0], turnedShapes[1],
		{heads: 4, kv: 1, dim: 24, q: dtype.F32, y: dtype.F32, cache: dtype.I8, window: 50},
		{heads: 3, kv: 1, dim: 20, q: dtype.BF16, y: dtype.F32, cache: dtype.F8E4M3, alibi: true, sinks: true},
		{heads: 4, kv: 1, dim: 64, q: dtype.F32, y: dtype.F32, cache: dtype.U4, window: 50}, {heads: 2, kv: 1, dim: 256, q: dtype.BF16, y: dtype.F32, cache: dtype.U4},
		aheadShapes[0], aheadShapes[1], relativeShapes[1], textShapes[0],
	} {
		t.Run(c.String(), func(t *testing.T) {
			const length = 150
			a := newAttention(t, c, "sm80")
			h, other := newHistory(c, length, 11), newHistory(c, 200, 12)
			whole := a.step(16, chunk{h, 0, length})
			for j, cuts := range []struct {
				page int
				ends []int
			}{{32, []int{1, 2, 64, 65, 100, length}}, {48, []int{70, 71, 140, 149, length}}} {
				if !everywhere() && i%2 != j {
					continue
				}
				from := 0
				for _, to := range cuts.ends {
					alone := a.step(cuts.page, chunk{h, from, to})
					n := to - from
					among := a.step(cuts.page, chunk{other, 190, 200}, chunk{h, from, to}, chunk{other, 5, 6})
					for i := range n {
						if p := from + i; !slices.Equal(alone[i], whole[p]) || !slices.Equal(among[10+i], whole[p]) {
							t.Fatalf("position %d differs in the chunk %d..%d with pages of %d", p, from, to, cuts.page)
						}
					}
					from = to
				}
			}
		})
	}
}

// TestAttentionInPieces wants the same bits however the splits of an item are shared out, as results of plain arithmetic.
func TestAttentionInPieces(t *testing.T) {
	for i, c := range []shape{
		{heads: 4, kv: 2, dim: 16, q: dtype.BF16, y: dtype.F32},
		{heads: 20, kv: 1, dim: 24, q: dtype.F32, y: dtype.F32, window: 300, softcap: 10},
		{heads: 71, kv: 1, dim: 20, q: dtype.F32, y: dtype.BF16, window: 290},
		{heads: 2, kv: 1, dim: 208, q: dtype.F32, y: dtype.F32},
		{heads: 4, kv: 2, dim: 64, q: dtype.F32, y: dtype.F32, cache: dtype.I8},
		{heads: 18, kv: 1, dim: 21, q: dtype.F32, y: dtype.F32, cache: dtype.F8E4M3},
		{heads: 18, kv: 1, dim: 16, q: dtype.F32, y: dtype.F32, cache: dtype.U4}, {heads: 8, kv: 2, dim: 128, q: dtype.BF16, y: dtype.F32, cache: dtype.U4},
		{heads: 4, kv: 1, dim: 16, q: dtype.BF16, y: dtype.F32, rotary: rotary{"longrope", "half", 16}},
		biasedShapes[1], biasedShapes[4], aheadShapes[0], {heads: 20, kv: 1, dim: 20, q: dtype.F32, y: dtype.F32, window: 290, ahead: 300},
		relativeShapes[4], textShapes[1],
	} {
		t.Run(c.String(), func(t *testing.T) {
			a := newAttention(t, c, []string{"sm80", "sm89"}[i%2])
			chunks := []chunk{{newHistory(c, 700, 21), 699, 700}, {newHistory(c, 514, 22), 510, 514}, {newHistory(c, 30, 23), 28, 30}, {newHistory(c, 257, 24), 255, 257}}
			whole := a.step(16, chunks...)
			compareRows(t, c, whole, chunks)
			for j, share := range []int{1, 2} {
				if !everywhere() && i/2%2 != j { // i%2 is the target
					continue
				}
				a.share = share
				for r, row := range a.step(64, chunks...) {
					if !slices.Equal(row, whole[r]) {
						t.Fatalf("row %d differs in pieces of %d splits", r, share)
					}
				}
			}
		})
	}
}
