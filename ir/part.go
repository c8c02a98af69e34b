package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// Part says what a card has of a weight that Module.Cards of them share: of each block of rows the same share, the first card the first one. A matrix
// has N rows in all blocks together, a stack of matrices as many in each of them. Of a table that is looked up it is a share of the columns, which are one block.
type Part struct {
	Of      string  // the whole weight
	Blocks  []int64 // rows of the whole, or columns
	Columns bool
}

// dim is the dimension of a type of which a card has a part.
func (p *Part) dim(t Type) int {
	if p.Columns {
		return len(t.Dims) - 1
	}
	return max(0, len(t.Dims)-2)
}

// Whole is the weight that w is a part of, one of so many.
func (w *Weight) Whole(cards int64) *Weight {
	whole := &Weight{Axis: w.Axis, Segment: w.Segment, Stored: w.Stored, Recipe: w.Recipe}
	whole.Value = Value{Name: w.Part.Of, Type: w.Type, Weight: whole}
	whole.Type.Dims = append(w.Type.Dims[:0:0], w.Type.Dims...)
	i := w.Part.dim(whole.Type)
	whole.Type.Dims[i] = whole.Type.Dims[i].Scale(cards)
	return whole
}

// Rows lists the runs of rows that a card has of the whole, one matrix of a stack after the other, as pairs of the first row and the one behind the last.
func (p *Part) Rows(matrices, cards, card int64) (runs [][2]int64) {
	start := int64(0)
	for range matrices {
		for _, n := range p.Blocks {
			share := n / cards
			runs = append(runs, [2]int64{start + card*share, start + (card+1)*share})
			start += n
		}
	}
	return runs
}

// String prints the blocks, such as "64 32 32".
func (p *Part) String() string {
	var words []string
	for _, n := range p.Blocks {
		words = append(words, strconv.FormatInt(n, 10))
	}
	return strings.Join(words, " ")
}

// parseBlocks undoes String.
func parseBlocks(text string) (blocks []int64, err error) {
	for _, word := range strings.Fields(text) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("blocks %q are not numbers of rows", clip(text))
		}
		blocks = append(blocks, n)
	}
	return blocks, nil
}

// check wants blocks that the cards share evenly, and that are all rows of the whole.
func (p *Part) check(whole *Weight, cards int64) error {
	if cards < 2 || cards > MaxCards {
		return fmt.Errorf("a part of %%%s, and the module is for %d cards", clip(p.Of), cards)
	}
	if p.Columns && len(whole.Type.Dims) != 2 {
		return fmt.Errorf("columns of %v, which is no table", whole.Type)
	}
	rows := whole.Type.Dims[p.dim(whole.Type)].K
	for _, n := range p.Blocks {
		if n < cards || n%cards != 0 || n > maxDim {
			return fmt.Errorf("block of %d, which %d cards do not share evenly", n, cards)
		}
		rows -= n
	}
	if rows != 0 || !validName(p.Of) {
		return fmt.Errorf("blocks %v of %%%s are not all of it", p, clip(p.Of))
	}
	return nil
}
