package engine

import (
	"fmt"
	"slices"

	"llmc/internal/sym"
)

// Auxiliary is an entry of the plan's code that serves a program beside those of its launches.
type Auxiliary struct {
	Name string // a row of Auxiliaries
	Code Code   // without a limit
}

// CopyPages copies pages of the KV pool: all layers of all caches, as they are.
const CopyPages = "copy_pages"

// BeginStep runs before a step's launches where they sample: it puts tokens in place of ids that stand for the answers of the step before, and clears
// the cells of the buffer "found". Such an id is -1-n for cell n: one of FoundBest, FoundEdited and FoundToken of a row.
const BeginStep = "begin_step"

// CountTokens brings the input "seen" up to date before a step begins, which may still be BeginStep's to do.
const CountTokens = "count_tokens"

// SeenChangeBytes is the size of an entry of CountTokens' list: a row of "seen", times two, plus one for a token of the prompt; and the token, or -1-n
// for the one in cell n as for BeginStep.
const SeenChangeBytes = 8

// Auxiliaries lists what auxiliary entries there are, and the parameters that they take, slots of 8 bytes each. In their grids T is the
// number of things that they work on.
var Auxiliaries = []struct{ Name, Params string }{
	{CopyPages, "the address of page 0; that of the list, for each copy the page to read and the page to write, i32; the number T of copies; the bytes of a page"},
	{BeginStep, "the addresses of ids and found; the numbers of tokens, of rows and of the vocabulary"},
	{CountTokens, "the addresses of seen, found and the list; the number T of entries; the size of the vocabulary"},
}

// FindAuxiliary returns the program's entry of that name, nil where it has none.
func (p *Program) FindAuxiliary(name string) *Auxiliary {
	for i := range p.Auxiliary {
		if p.Auxiliary[i].Name == name {
			return &p.Auxiliary[i]
		}
	}
	return nil
}

// checkAuxiliary wants known names, each once, on devices that take code from the plan, launched by T alone.
func (p *Program) checkAuxiliary(device string) error {
	for i := range p.Auxiliary {
		a := &p.Auxiliary[i]
		known := false
		for _, row := range Auxiliaries {
			known = known || row.Name == a.Name
		}
		if !known || device == "cpu" {
			return fmt.Errorf("auxiliary entry %q of device %s: this release has none such; use a newer one or build the plan again", a.Name, device)
		}
		if slices.ContainsFunc(p.Auxiliary[:i], func(o Auxiliary) bool { return o.Name == a.Name }) {
			return fmt.Errorf("auxiliary entry %s occurs twice", a.Name)
		}
		if err := a.Code.check(); err != nil {
			return fmt.Errorf("auxiliary %s: %w", a.Name, err)
		}
		if a.Code.Limit.Max != 0 {
			return fmt.Errorf("auxiliary %s: limit %v; it must serve all", a.Name, a.Code.Limit)
		}
		for _, e := range a.Code.Grid {
			if only := sym.Const(e.Of.K).Add(sym.Of(sym.T).Scale(e.Of.Coef[sym.T])); e.Of != only {
				return fmt.Errorf("auxiliary %s: grid of %v; it may depend on T alone", a.Name, e)
			}
		}
	}
	return nil
}

// PageCopy is a KV page to copy onto another one.
type PageCopy struct{ From, To int32 }

// CheckCopies wants pages that exist, and copies that do the same in whatever order: none writes what another one reads or writes.
func CheckCopies(list []PageCopy, pages int) error {
	written := make(map[int32]bool, len(list))
	for _, c := range list {
		if c.From < 0 || c.To < 0 || int(c.From) >= pages || int(c.To) >= pages {
			return fmt.Errorf("copy of page %d to %d: there are %d pages", c.From, c.To, pages)
		}
		if written[c.To] {
			return fmt.Errorf("copy of page %d to %d: another copy of the list writes it", c.From, c.To)
		}
		written[c.To] = true
	}
	for _, c := range list {
		if written[c.From] {
			return fmt.Errorf("copy of page %d to %d: the list writes page %d too", c.From, c.To, c.From)
		}
	}
	return nil
}
