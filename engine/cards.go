package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"llmc/engine/layout"
)

// MaxCards bounds how many GPUs share a model.
const MaxCards = 16

// cardsName names the program that each of several cards runs.
func cardsName(function, target string, cards int) string {
	return programName(function, target) + "/" + strconv.Itoa(cards)
}

// cardsCodeName names the code of a target's programs for so many cards.
func cardsCodeName(target string, cards int) string { return target + "/" + strconv.Itoa(cards) }

// splitCards takes a name of cardsName or cardsCodeName apart: what it is of, and the number of cards.
func splitCards(name string) (of string, cards int, ok bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", 0, false
	}
	cards, err := strconv.Atoi(name[i+1:])
	return name[:i], cards, err == nil && cards >= 2 && cards <= MaxCards && strconv.Itoa(cards) == name[i+1:]
}

// checkCardsName wants a section's name to be one of cardsName or cardsCodeName.
func checkCardsName(kind, name string) error {
	of, _, ok := splitCards(name)
	switch {
	case ok && kind == KindCardsProgram && isProgramName(of), ok && kind == KindCardsPTX && of != "" && !strings.Contains(of, "/"):
		return nil
	}
	return fmt.Errorf("%w: section %s: %q does not end in a number of cards, 2 to %d", ErrFormat, kind, name, MaxCards)
}

// CardsContents returns the sections of the programs that each of several cards runs, and of their code.
func CardsContents(programs []*Program, ptx string) (contents []Content, err error) {
	for _, p := range programs {
		c, err := encodeContent(KindCardsProgram, cardsName(p.Func, p.Target, p.Cards), toWire(p))
		if err != nil {
			return nil, err
		}
		contents = append(contents, c)
	}
	return append(contents, Content{Kind: KindCardsPTX, Name: cardsCodeName(programs[0].Target, programs[0].Cards), Data: []byte(ptx)}), nil
}

// Cards lists for how many cards together the plan has programs of a target, beside those for one.
func (p *Plan) Cards(target string) (numbers []int) {
	for _, name := range p.Names(KindCardsPTX) {
		if of, cards, ok := splitCards(name); ok && of == target {
			numbers = append(numbers, cards)
		}
	}
	return numbers
}

// CardsPTX is the code of CardsPrograms.
func (p *Plan) CardsPTX(target string, cards int) ([]byte, error) {
	if cards <= 1 {
		return p.Section(KindPTX, target)
	}
	return p.Section(KindCardsPTX, cardsCodeName(target, cards))
}

// Share is what a card has of a weight: of each block of rows the same share, the first card the first one; of a table, of its columns. Without blocks it is all.
type Share struct {
	Blocks  []int64
	Columns bool
}

// ShareOf is what a card has of weight number i.
func (p *Program) ShareOf(i int) Share {
	if p.Shares == nil {
		return Share{}
	}
	return p.Shares[i]
}

// PartOf describes what a card has of weight number i of a program, as a weight of its own.
func (p *Program) PartOf(i int, w *WeightEntry) (*WeightEntry, error) {
	switch s := p.ShareOf(i); {
	case s.Blocks == nil:
		return w, nil
	case s.Columns:
		return w.columns(s.Blocks, int64(p.Cards))
	default:
		return w.rows(s.Blocks, int64(p.Cards))
	}
}

// rows is a weight of which a card has its share of each block of rows.
func (w *WeightEntry) rows(blocks []int64, cards int64) (*WeightEntry, error) {
	if len(w.Shape) < 1 || len(w.Shape) > 3 {
		return nil, fmt.Errorf("weight %s of shape %v has no rows to share", w.Name, w.Shape)
	}
	dim, panel := max(0, len(w.Shape)-2), int64(1)
	if w.Layout != "" {
		packed, err := w.Packed()
		if err != nil {
			return nil, fmt.Errorf("weight %s: %w", w.Name, err)
		}
		if panel = layout.FragmentRows; int64(packed.PanelRows()) != panel {
			return nil, fmt.Errorf("weight %s of layout %s is none that GPUs share", w.Name, w.Layout)
		}
	}
	sum := int64(0)
	for _, n := range blocks {
		if n < 1 || n > w.Shape[dim]-sum || n%(cards*panel) != 0 {
			return nil, fmt.Errorf("weight %s: block of %d rows, which %d cards do not share in whole panels of %d", w.Name, n, cards, panel)
		}
		sum += n
	}
	if sum != w.Shape[dim] {
		return nil, fmt.Errorf("weight %s: blocks of %d rows of %d", w.Name, sum, w.Shape[dim])
	}
	return w.over(dim, cards), nil
}

// tableColumns is what columns of a table are shared in: whole fragments, and no padding.
const tableColumns = 64

// columns is a table of which a card has its share of the columns: fragments of numbers, which follow one another along them.
func (w *WeightEntry) columns(blocks []int64, cards int64) (*WeightEntry, error) {
	if len(w.Shape) != 2 || len(blocks) != 1 || blocks[0] != w.Shape[1] || blocks[0]%(cards*tableColumns) != 0 {
		return nil, fmt.Errorf("weight %s of shape %v: columns in blocks of %v, which %d cards do not share in whole fragments of %d", w.Name, w.Shape, blocks, cards, tableColumns)
	}
	f, err := layout.NewFragments(w.Layout, int(w.N()), int(w.K()))
	if err != nil || f.ScaleBytes != 0 {
		return nil, fmt.Errorf("weight %s of layout %q has no columns that GPUs share", w.Name, w.Layout)
	}
	return w.over(1, cards), nil
}

// over is the weight with a dimension divided.
func (w *WeightEntry) over(dim int, cards int64) *WeightEntry {
	part := *w
	part.Shape = slices.Clone(w.Shape)
	part.Shape[dim] /= cards
	part.Bytes /= cards
	return &part
}

// ByteRange is From <= at < To.
type ByteRange struct{ From, To int64 }

// Ranges lists what card number card has of weight number i of a program, in bytes of the weight: one behind the other they are the part.
func (p *Program) Ranges(i int, w *WeightEntry, card int) (ranges []ByteRange) {
	share, cards, own := p.ShareOf(i), int64(p.Cards), int64(card)
	if share.Blocks == nil {
		return []ByteRange{{0, w.Bytes}}
	}
	if share.Columns { // of each panel of rows
		panel := w.Bytes / ((w.N() + layout.FragmentRows - 1) / layout.FragmentRows)
		for at := int64(0); at < w.Bytes; at += panel {
			ranges = append(ranges, ByteRange{at + own*panel/cards, at + (own+1)*panel/cards})
		}
		return ranges
	}
	matrices, rows := int64(1), w.Shape[max(0, len(w.Shape)-2)]
	if len(w.Shape) == 3 {
		matrices = w.Shape[0]
	}
	// Blocks are whole panels, all of one size, so the bytes of all rows are in proportion.
	all, start := matrices*rows, int64(0)
	bytes := func(row int64) int64 { return w.Bytes / all * row }
	if w.Layout != "" {
		bytes = func(row int64) int64 { return w.Bytes / (all / layout.FragmentRows) * (row / layout.FragmentRows) }
	}
	for range matrices {
		for _, n := range share.Blocks {
			first := start + own*(n/cards)
			r := ByteRange{bytes(first), bytes(first + n/cards)}
			if last := len(ranges) - 1; last >= 0 && ranges[last].To == r.From {
				ranges[last].To = r.To
			} else {
				ranges = append(ranges, r)
			}
			start += n
		}
	}
	return ranges
}
