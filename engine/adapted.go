package engine

import (
	"fmt"
	"slices"

	"llmc/internal/sym"
)

// Adapted is what runs in place of a launch in a step in which some row has an adapter that adds to its product, on devices that take code from the plan:
// y = finish(x * transpose(w) + ranks * transpose(b)) with ranks = x * transpose(a) rounded to bf16. Steps without adapters run the launch itself, of which a
// row that has none gets the same bits here.
//
// The matrices of the adapter in a place are bf16 in fragments (see engine/layout), ranks padded with zeros to a multiple of 16: a is [ranks, k padded to 64],
// b [n, ranks], in panels of 16 rows and steps of 16 columns, step by step in a panel. An AdapterRecord of each place says where they are.
type Adapted struct {
	Launch  int // of the program, one of a kernel in AdaptedKernels whose rows are those of T or of R
	Modules int // matrices that its weight was fused of, within 1..AdapterModules: so many times an adapter's rank are the ranks of its product at most
	// Down computes ranks, of which each CTA has an item of rows and 16 ranks. In its grid T is the number of items and R that of parts of 16 ranks. Its
	// parameters are the addresses of x, or of raw where the launch has that; of items; of the records; of ranks; then the bytes from a row of ranks to the next.
	Down Code
	// Code are entries as those of the launch, with parameters behind its own: the addresses of the places of its rows, i32 each, 0 for rows without an
	// adapter; of the records; of ranks; then the bytes from a row of ranks to the next.
	Code []Code
}

// AdaptedKernels are those of launches that adapters may add to.
var AdaptedKernels = []string{"cuda.linear", "cuda.linear_swiglu", "cuda.linear_act", "cuda.linear_add", "cuda.linear_rope_kv"}

// Sizes of what devices and the code of Adapted tell each other.
const (
	// AdapterItemBytes is the size of an item: the place, the first row, the number of rows, and a word that says nothing; i32 each.
	AdapterItemBytes = 16
	// AdapterItemRows is the rows of an item at most. All have one adapter.
	AdapterItemRows = 16
	// AdapterRecordBytes is the size of a record: the addresses of b, of spans and of a, u64; the parts of 16 ranks that there are, 0 where the adapter adds
	// nothing to the product; and a word that says nothing, u32. Spans are, for each panel of 16 outputs, the first step of b that is not all zeros and
	// the one behind the last such, u32. There is a record for each place from 0 on, which is that of rows without an adapter.
	AdapterRecordBytes = 32
	// AdapterSpanBytes is the size of a span.
	AdapterSpanBytes = 8
	// AdapterPart is the ranks of a part, the rows of a panel and the columns of a step.
	AdapterPart = 16
)

// AdaptedOf returns what runs in place of a launch in steps with adapters, nil where nothing adds to it.
func (p *Program) AdaptedOf(launch int) *Adapted {
	i, ok := slices.BinarySearchFunc(p.Adapted, launch, func(a Adapted, launch int) int { return a.Launch - launch })
	if !ok {
		return nil
	}
	return &p.Adapted[i]
}

// Rows is T or R: what the rows of the launch are.
func (a *Adapted) Rows(p *Program) sym.Dim {
	l := &p.Launches[a.Launch]
	return p.Buffers[FindKernel(l.Kernel).Operand(l, "x").Index].Rows
}

// checkAdapted wants launches in order, each a product of tokens or of sampled rows. They have been checked themselves.
func (p *Program) checkAdapted(target *Target) error {
	for i := range p.Adapted {
		a := &p.Adapted[i]
		if a.Launch < 0 || a.Launch >= len(p.Launches) || i > 0 && a.Launch <= p.Adapted[i-1].Launch {
			return fmt.Errorf("adapted launch %d of %d: launches ascend", a.Launch, len(p.Launches))
		}
		if err := p.checkAdaptedLaunch(a, target); err != nil {
			return fmt.Errorf("adapted launch %d (%s): %w", a.Launch, p.Launches[a.Launch].Label, err)
		}
	}
	return nil
}

func (p *Program) checkAdaptedLaunch(a *Adapted, target *Target) error {
	if l := &p.Launches[a.Launch]; target.Device == "cpu" || !slices.Contains(AdaptedKernels, l.Kernel) {
		return fmt.Errorf("kernel %s of device %s takes no adapters by code of the plan", l.Kernel, target.Device)
	}
	if rows := a.Rows(p); rows != sym.Of(sym.T) && rows != sym.Of(sym.R) {
		return fmt.Errorf("%v rows; it must be T or R", rows)
	}
	if a.Modules < 1 || a.Modules > AdapterModules {
		return fmt.Errorf("%d modules, outside 1 to %d", a.Modules, AdapterModules)
	}
	if err := a.Down.check(); err != nil {
		return err
	}
	if a.Down.Limit.Max != 0 {
		return fmt.Errorf("entry %s: limit %v; it must serve all", a.Down.Entry, a.Down.Limit)
	}
	for _, e := range a.Down.Grid {
		if only := sym.Const(e.Of.K).Add(sym.Of(sym.T).Scale(e.Of.Coef[sym.T])).Add(sym.Of(sym.R).Scale(e.Of.Coef[sym.R])); e.Of != only {
			return fmt.Errorf("entry %s: grid of %v; it may depend on T and R alone", a.Down.Entry, e)
		}
	}
	if len(a.Code) == 0 {
		return fmt.Errorf("no entries")
	}
	if target.SM < earlySM && (a.Down.Early || slices.ContainsFunc(a.Code, func(c Code) bool { return c.Early })) {
		return fmt.Errorf("target %s has no early entries", target.Name)
	}
	return checkCodes(a.Code)
}

func adaptedFromWire(list []adaptedWire) ([]Adapted, error) {
	var all []Adapted
	for _, w := range list {
		a := Adapted{Launch: int(w.Launch), Modules: int(w.Modules)}
		var err error
		if a.Down, err = oneCode(w.Down); err == nil {
			a.Code, err = codesFromWire(w.Code)
		}
		if err != nil {
			return nil, fmt.Errorf("adapted launch %d: %w", w.Launch, err)
		}
		all = append(all, a)
	}
	return all, nil
}
