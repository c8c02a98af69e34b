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

// CardsPrograms are the programs of all functions that each of so many cards runs, in the order of Functions; those for one card alone where that is 1 or less.
func (p *Plan) CardsPrograms(target string, cards int) ([]*Program, error) {
	return p.programs(target, cards)
}

// CardsPTX is their code.
func (p *Plan) CardsPTX(target string, cards int) ([]byte, error) {
	if cards <= 1 {
		return p.Section(KindPTX, target)
	}
	return p.Section(KindCardsPTX, cardsCodeName(target, cards))
}

// PartOf describes what a card has of weight number i of a program: all of it, or rows of each block.
func (p *Program) PartOf(i int, w *WeightEntry) (*WeightEntry, error) {
	if p.Blocks == nil || p.Blocks[i] == nil {
		return w, nil
	}
	return w.part(p.Blocks[i], int64(p.Cards))
}

// part is a weight of which a card has its share of each block of rows.
func (w *WeightEntry) part(blocks []int64, cards int64) (*WeightEntry, error) {
	part, rows, panel := *w, max(0, len(w.Shape)-2), int64(1)
	if len(w.Shape) < 1 || len(w.Shape) > 3 {
		return nil, fmt.Errorf("weight %s of shape %v has no rows to share", w.Name, w.Shape)
	}
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
		if n < 1 || n > w.Shape[rows]-sum || n%(cards*panel) != 0 {
			return nil, fmt.Errorf("weight %s: block of %d rows, which %d cards do not share in whole panels of %d", w.Name, n, cards, panel)
		}
		sum += n
	}
	if sum != w.Shape[rows] {
		return nil, fmt.Errorf("weight %s: blocks of %d rows of %d", w.Name, sum, w.Shape[rows])
	}
	part.Shape = slices.Clone(w.Shape)
	part.Shape[rows] /= cards
	part.Bytes /= cards
	return &part, nil
}

// ByteRange is From <= at < To.
type ByteRange struct{ From, To int64 }

// Ranges lists what card number card has of weight number i of a program, in bytes of the weight: one behind the other they are the part.
func (p *Program) Ranges(i int, w *WeightEntry, card int) (ranges []ByteRange) {
	if p.Blocks == nil || p.Blocks[i] == nil {
		return []ByteRange{{0, w.Bytes}}
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
		for _, n := range p.Blocks[i] {
			share := n / int64(p.Cards)
			first := start + int64(card)*share
			r := ByteRange{bytes(first), bytes(first + share)}
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
