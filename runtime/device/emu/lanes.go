package emu

import "math/bits"

// Functions over all lanes of registers. They compute every lane, whatever the mask, and must be total; the caller keeps the
// lanes that do not execute. Destination and source may be the same register.
type (
	lanes1 func(d, a *vec)
	lanes2 func(d, a, b *vec)
	lanes3 func(d, a, b, c *vec)
)

func firstLane(mask uint32) int { return bits.TrailingZeros32(mask) & 31 }

// keep copies the executing lanes of the scratch register to r.
func (w *warp) keep(r int32) {
	d := &w.regs[r]
	for m := w.exec; m != 0; m &= m - 1 {
		i := bits.TrailingZeros32(m) & 31
		d[i] = w.tmp[i]
	}
	w.init[r] |= w.exec
}

func apply1(d, a int32, f lanes1) func(w *warp) signal {
	return func(w *warp) signal {
		if w.exec&^w.init[a] != 0 {
			w.defined(a)
			return goOn
		}
		if w.exec == allLanes {
			f(&w.regs[d], &w.regs[a])
			w.init[d] = allLanes
			return goOn
		}
		f(&w.tmp, &w.regs[a])
		w.keep(d)
		return goOn
	}
}

func apply2(d, a, b int32, f lanes2) func(w *warp) signal {
	return func(w *warp) signal {
		if w.exec&^(w.init[a]&w.init[b]) != 0 {
			w.defined(a, b)
			return goOn
		}
		if w.exec == allLanes {
			f(&w.regs[d], &w.regs[a], &w.regs[b])
			w.init[d] = allLanes
			return goOn
		}
		f(&w.tmp, &w.regs[a], &w.regs[b])
		w.keep(d)
		return goOn
	}
}

func apply3(d, a, b, c int32, f lanes3) func(w *warp) signal {
	return func(w *warp) signal {
		if w.exec&^(w.init[a]&w.init[b]&w.init[c]) != 0 {
			w.defined(a, b, c)
			return goOn
		}
		if w.exec == allLanes {
			f(&w.regs[d], &w.regs[a], &w.regs[b], &w.regs[c])
			w.init[d] = allLanes
			return goOn
		}
		f(&w.tmp, &w.regs[a], &w.regs[b], &w.regs[c])
		w.keep(d)
		return goOn
	}
}

func each1(f func(a uint64) uint64) lanes1 {
	return func(d, a *vec) {
		for i := range d {
			d[i] = f(a[i])
		}
	}
}

func each2(f func(a, b uint64) uint64) lanes2 {
	return func(d, a, b *vec) {
		for i := range d {
			d[i] = f(a[i], b[i])
		}
	}
}

func each3(f func(a, b, c uint64) uint64) lanes3 {
	return func(d, a, b, c *vec) {
		for i := range d {
			d[i] = f(a[i], b[i], c[i])
		}
	}
}

func copyLanes(d, a *vec) { *d = *a }

// op1, op2 and op3 decode the common forms d, a; d, a, b; d, a, b, c with one type for all operands.
func (d *decoder) op1(t typ, f lanes1, c Class) {
	if !d.nargs(2, 2) {
		return
	}
	a := d.src(&d.in.Args[1], t)
	d.emit(apply1(d.dst(&d.in.Args[0], t), a, f), c)
}

func (d *decoder) op2(t typ, f lanes2, c Class) { d.op2Types(t, t, t, f, c) }

func (d *decoder) op2Types(td, ta, tb typ, f lanes2, c Class) {
	if !d.nargs(3, 3) {
		return
	}
	a, b := d.src(&d.in.Args[1], ta), d.src(&d.in.Args[2], tb)
	d.emit(apply2(d.dst(&d.in.Args[0], td), a, b, f), c)
}

func (d *decoder) op3(t typ, f lanes3, c Class) { d.op3Types(t, t, t, t, f, c) }

func (d *decoder) op3Types(td, ta, tb, tc typ, f lanes3, c Class) {
	if !d.nargs(4, 4) {
		return
	}
	a, b, e := d.src(&d.in.Args[1], ta), d.src(&d.in.Args[2], tb), d.src(&d.in.Args[3], tc)
	d.emit(apply3(d.dst(&d.in.Args[0], td), a, b, e, f), c)
}

// lastType is the last type among the modifiers, which types most instructions.
func (d *decoder) lastType() (typ, bool) {
	list := typesOf(d.in)
	if len(list) == 0 {
		d.errorf(d.in.Pos, "%s has no type", d.in.Name())
		return typ{}, false
	}
	return list[len(list)-1], true
}
