// Package ucd answers questions about Unicode characters the way the HuggingFace tokenizers library does.
// That library mixes several versions of the Unicode Character Database: regular expressions and \w use 16.0,
// the Rust standard library 17.0, the category tests of its BERT parts 8.0, its normalization forms and script
// names 9.0. Go's tables are 15.0. This package owns those differences and nothing else; it knows no tokenizer.
package ucd

import (
	"sync"
	"unicode"
)

// Class is a set of general categories; every code point has exactly one bit (unassigned ones and controls none),
// and White in addition where the White_Space property holds.
type Class uint16

// The categories that splitting patterns tell apart.
const (
	Lu Class = 1 << iota
	Ll
	Lt
	Lm
	Lo
	M
	Nd
	No // Nl and No: numbers that are no decimal digits
	P
	S
	White

	L = Lu | Ll | Lt | Lm | Lo
	N = Nd | No
)

const pageBits = 8

// Classes maps every code point to its Class: two levels, equal pages shared.
type Classes struct {
	ASCII [128]Class
	index [(unicode.MaxRune + 1) >> pageBits]uint16
	pages [][1 << pageBits]Class
}

// Table is the class table of Unicode 16.0, built on first use.
var Table = sync.OnceValue(buildClasses)

// Of gives the class of r; runes that are no code points have none.
func (t *Classes) Of(r rune) Class {
	if uint32(r) > unicode.MaxRune {
		return 0
	}
	return t.pages[t.index[r>>pageBits]][r&(1<<pageBits-1)]
}

// categoryTables is in the order of the bits.
var categoryTables = []struct {
	class Class
	table *unicode.RangeTable
}{
	{Lu, unicode.Lu}, {Ll, unicode.Ll}, {Lt, unicode.Lt}, {Lm, unicode.Lm}, {Lo, unicode.Lo}, {M, unicode.M},
	{Nd, unicode.Nd}, {No, unicode.Nl}, {No, unicode.No}, {P, unicode.P}, {S, unicode.S}, {White, unicode.White_Space},
}

func buildClasses() *Classes {
	t := &Classes{pages: make([][1 << pageBits]Class, 1)} // page 0: no class
	uniform := map[Class]uint16{}
	set := func(lo, hi, stride rune, c Class) {
		for r := lo; r <= hi; {
			page := r >> pageBits
			if stride == 1 && r&(1<<pageBits-1) == 0 && r+(1<<pageBits)-1 <= hi && t.index[page] == 0 {
				t.index[page] = uniformPage(t, uniform, c)
				r += 1 << pageBits
				continue
			}
			if t.index[page] == 0 {
				t.index[page] = uint16(len(t.pages))
				t.pages = append(t.pages, [1 << pageBits]Class{})
			}
			t.pages[t.index[page]][r&(1<<pageBits-1)] |= c
			r += stride
		}
	}
	for _, row := range categoryTables {
		for _, r := range row.table.R16 {
			set(rune(r.Lo), rune(r.Hi), rune(r.Stride), row.class)
		}
		for _, r := range row.table.R32 {
			set(rune(r.Lo), rune(r.Hi), rune(r.Stride), row.class)
		}
	}
	for _, r := range cameWith16 {
		set(r.lo, r.hi, 1, r.class)
	}
	for r := range t.ASCII {
		t.ASCII[r] = t.Of(rune(r))
	}
	return t
}

// uniformPage gives the page whose code points all have class c. Only a range that fills a page uses it, so no
// later range can touch it: general categories do not overlap.
func uniformPage(t *Classes, uniform map[Class]uint16, c Class) uint16 {
	if p, ok := uniform[c]; ok {
		return p
	}
	var page [1 << pageBits]Class
	for i := range page {
		page[i] = c
	}
	t.pages = append(t.pages, page)
	uniform[c] = uint16(len(t.pages) - 1)
	return uniform[c]
}

// Spans gives the ranges of code points that have a bit of mask, in order.
func (t *Classes) Spans(mask Class) [][2]rune {
	var spans [][2]rune
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if t.index[r>>pageBits] == 0 {
			r |= 1<<pageBits - 1
			continue
		}
		if t.Of(r)&mask == 0 {
			continue
		}
		if n := len(spans); n > 0 && spans[n-1][1] == r-1 {
			spans[n-1][1] = r
		} else {
			spans = append(spans, [2]rune{r, r})
		}
	}
	return spans
}
