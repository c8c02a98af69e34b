package passes

import (
	"fmt"

	"llmc/internal/sym"
	"llmc/ir"
)

// planMemory gives each activation a place in an arena of slots. Values whose lives do not meet share a slot. Lives are
// counted in epochs: what one epoch reads may not be overwritten in the same epoch. Views lie in what they show.
// The sizes of slots are forms of T, B and R, to be evaluated at load.
//
// Before:
//
//	func @f(%x: f32[T,32]) -> (f32[T,16]) {
//	  %a = silu[silu] %x : f32[T,32]
//	  sync
//	  %b = silu[silu] %a : f32[T,32]
//	  sync
//	  %c = silu[silu] %b : f32[T,32]
//	  %d = slice %c {start=16, len=16} : f32[T,16]
//	  sync
//	  %y = silu[silu] %d : f32[T,16]
//	  return %y
//	}
//
// After:
//
//	func @f(%x: f32[T,32]) -> (f32[T,16]) {
//	  slots [128*T, 128*T]
//	  %a = silu[silu] %x : f32[T,32] $0+0/128
//	  sync
//	  %b = silu[silu] %a : f32[T,32] $1+0/128
//	  sync
//	  %c = silu[silu] %b : f32[T,32] $0+0/128
//	  %d = slice %c {start=16, len=16} : f32[T,16] $0+64/128
//	  sync
//	  %y = silu[silu] %d : f32[T,16] $1+0/64
//	  return %y
//	}
func planMemory(c *Context) error {
	for _, f := range c.Module.Funcs {
		f.Slots = nil
		lives := livesOf(f)
		var busy []int // last epoch in which a slot is needed
		for _, life := range lives {
			c.at(life.value)
			stride, err := c.Options.Target.RowBytes(life.value.Type)
			if err != nil {
				return fmt.Errorf("function @%s: %s: %w", f.Name, describe(life.value), err)
			}
			size := life.value.Type.Rows().Scale(stride)
			slot := bestSlot(f.Slots, busy, life, size)
			if slot == len(f.Slots) {
				f.Slots, busy = append(f.Slots, size), append(busy, 0)
				c.fired("slot")
			}
			f.Slots[slot], busy[slot] = f.Slots[slot].Max(size), life.last
			life.value.Place = &ir.Place{Slot: slot, Stride: stride}
		}
		placeViews(f)
	}
	return nil
}

// life is how long an activation is needed, views of it included.
type life struct {
	value       *ir.Value
	first, last int // epochs
}

// livesOf returns the activations of a scheduled function in order of definition.
func livesOf(f *ir.Func) []*life {
	epoch := epochs(f)
	var lives []*life
	of := map[*ir.Value]*life{}
	for _, op := range f.Ops {
		for _, a := range op.Args {
			if a == nil {
				continue
			}
			if l := of[base(a)]; l != nil {
				l.last = max(l.last, epoch[op])
			}
		}
		if op.Kind.Has(ir.View) {
			continue
		}
		for _, r := range op.Results {
			if !r.Type.IsToken() {
				l := &life{r, epoch[op], epoch[op]}
				lives, of[r] = append(lives, l), l
			}
		}
	}
	for _, r := range f.Results {
		if l := of[base(r)]; l != nil {
			l.last = len(f.Ops) // read after the function
		}
	}
	return lives
}

// typicalStep weighs sizes against each other; no result depends on it but the choice of slots.
var typicalStep = sym.Bind(1024, 64, 64, 1024)

// weight is the size of a form in a typical step.
func weight(d sym.Dim) int64 {
	n, err := d.Eval(typicalStep)
	if err != nil {
		return 1 << 62
	}
	return n
}

// bestSlot returns the free slot that grows least, and of those the smallest; len(slots) when a new one is cheaper.
func bestSlot(slots []sym.Dim, busy []int, l *life, size sym.Dim) int {
	best, growth, room := len(slots), weight(size), int64(0)
	for i, s := range slots {
		if busy[i] >= l.first {
			continue
		}
		grown := weight(s.Max(size)) - weight(s)
		if grown < growth || grown == growth && best < len(slots) && weight(s) < room {
			best, growth, room = i, grown, weight(s)
		}
	}
	return best
}

// placeViews puts each view at its columns of what it shows.
func placeViews(f *ir.Func) {
	for _, op := range f.Ops {
		if !op.Kind.Has(ir.View) {
			continue
		}
		whole, part := op.Args[0], op.Result()
		if whole.Place == nil { // of a parameter
			continue
		}
		place := *whole.Place
		place.Offset += op.Int("start") * int64(part.Type.DType.Size())
		part.Place = &place
	}
}

// checkPlanned looks for activations without a place, outside of their slot, or in the way of another.
func checkPlanned(_ *ir.Module, f *ir.Func) error {
	lives := livesOf(f)
	for i, a := range lives {
		p := a.value.Place
		if p == nil {
			return fmt.Errorf("%s has no place", describe(a.value))
		}
		if size := a.value.Type.Rows().Scale(p.Stride); p.Offset != 0 || f.Slots[p.Slot].Max(size) != f.Slots[p.Slot] {
			return fmt.Errorf("%s takes %v bytes at %d of a slot of %v", describe(a.value), size, p.Offset, f.Slots[p.Slot])
		}
		for _, b := range lives[:i] {
			if b.value.Place.Slot == p.Slot && b.first <= a.last && a.first <= b.last {
				return fmt.Errorf("%s and %s live at the same time in slot %d", describe(b.value), describe(a.value), p.Slot)
			}
		}
	}
	return nil
}
