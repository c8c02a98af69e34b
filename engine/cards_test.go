package engine

import (
	"slices"
	"strings"
	"testing"
)

// cardsWeights are weights as plans have them: a matrix in panels, a stack of such, a vector.
var cardsWeights = map[string]*WeightEntry{
	"matrix": {Name: "matrix", Layout: "frag.bf16", Shape: []int64{128, 64}, Bytes: 8 * 2048},
	"stack":  {Name: "stack", Layout: "frag.bf16", Shape: []int64{3, 64, 64}, Bytes: 12 * 2048},
	"table":  {Name: "table", Layout: "frag.bf16", Shape: []int64{20, 128}, Bytes: 2 * 4096},
	"codes":  {Name: "codes", Layout: "frag.u8", Shape: []int64{16, 128}, Bytes: 2112},
	"vector": {Name: "vector", DType: "f32", Shape: []int64{128}, Bytes: 512},
}

// What a card has are ranges of bytes that together with the other cards' are all, each once, and as long as the part.
func TestCardsHaveRanges(t *testing.T) {
	for _, c := range []struct {
		weight  string
		blocks  []int64
		columns bool
		cards   int
		want    []ByteRange // of card 1
	}{
		{"matrix", []int64{128}, false, 2, []ByteRange{{4 * 2048, 8 * 2048}}},
		{"matrix", []int64{64, 32, 32}, false, 2, []ByteRange{{2 * 2048, 4 * 2048}, {5 * 2048, 6 * 2048}, {7 * 2048, 8 * 2048}}},
		{"matrix", []int64{128}, false, 8, []ByteRange{{2048, 2 * 2048}}},
		{"stack", []int64{64}, false, 2, []ByteRange{{2 * 2048, 4 * 2048}, {6 * 2048, 8 * 2048}, {10 * 2048, 12 * 2048}}},
		{"table", []int64{128}, true, 2, []ByteRange{{2048, 4096}, {6144, 8192}}},
		{"vector", []int64{64, 64}, false, 4, []ByteRange{{64, 128}, {320, 384}}},
	} {
		w := cardsWeights[c.weight]
		p := &Program{Cards: c.cards, Weights: []string{w.Name}, Shares: []Share{{c.blocks, c.columns}}}
		part, err := p.PartOf(0, w)
		if err != nil {
			t.Fatalf("%s in %v: %v", c.weight, c.blocks, err)
		}
		covered := make([]int, w.Bytes)
		for card := range c.cards {
			bytes := int64(0)
			for _, r := range p.Ranges(0, w, card) {
				bytes += r.To - r.From
				for i := r.From; i < r.To; i++ {
					covered[i]++
				}
			}
			if bytes != part.Bytes {
				t.Errorf("%s in %v: card %d has %d bytes, its part %d", c.weight, c.blocks, card, bytes, part.Bytes)
			}
		}
		if slices.ContainsFunc(covered, func(n int) bool { return n != 1 }) {
			t.Errorf("%s in %v: bytes that %d cards do not have once each", c.weight, c.blocks, c.cards)
		}
		if got := p.Ranges(0, w, 1); !slices.Equal(got, c.want) {
			t.Errorf("%s in %v: card 1 of %d has %v", c.weight, c.blocks, c.cards, got)
		}
	}
}

// Blocks that cards can not share are refused.
func TestCardsRefuseBlocks(t *testing.T) {
	for _, c := range []struct {
		weight  string
		blocks  []int64
		columns bool
		cards   int
		want    string
	}{
		{"matrix", []int64{64}, false, 2, "blocks of 64 rows of 128"},
		{"matrix", []int64{96, 48}, false, 2, "block of 48 rows"},
		{"matrix", []int64{48, 80}, false, 2, "block of 48 rows, which 2 cards do not share in whole panels of 16"},
		{"matrix", []int64{-128, 256}, false, 2, "block of -128 rows"},
		{"vector", []int64{127, 1}, false, 2, "block of 127 rows"},
		{"table", []int64{128}, true, 4, "which 4 cards do not share in whole fragments of 64"},
		{"table", []int64{64, 64}, true, 2, "columns in blocks of [64 64]"},
		{"codes", []int64{128}, true, 2, "has no columns that GPUs share"},
		{"stack", []int64{64}, true, 1, "columns in blocks"},
	} {
		p := &Program{Cards: c.cards, Weights: []string{c.weight}, Shares: []Share{{c.blocks, c.columns}}}
		if _, err := p.PartOf(0, cardsWeights[c.weight]); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s in %v: %v", c.weight, c.blocks, err)
		}
	}
}

// TestCardsNames wants names of sections that say what they are for, and nothing else.
func TestCardsNames(t *testing.T) {
	for _, c := range []struct {
		kind, name string
		ok         bool
	}{
		{KindCardsProgram, "step/sm90/2", true}, {KindCardsProgram, "step/sm90/16", true}, {KindCardsPTX, "sm90/4", true},
		{KindCardsProgram, "step/sm90", false}, {KindCardsProgram, "sm90/2", false}, {KindCardsProgram, "step/sm90/1", false}, {KindCardsProgram, "step/sm90/02", false},
		{KindCardsProgram, "step/sm90/17", false}, {KindCardsPTX, "step/sm90/2", false}, {KindCardsPTX, "sm90", false}, {KindCardsPTX, "/2", false},
	} {
		if err := findKind(c.kind).check(c.name, 1); (err == nil) != c.ok {
			t.Errorf("%s %q: %v", c.kind, c.name, err)
		}
	}
}
