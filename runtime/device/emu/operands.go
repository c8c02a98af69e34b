package emu

import (
	"math"
	"strings"

	"llmc/runtime/device/emu/ptxtext"
)

// numberBits is a literal as the pattern of type t.
func numberBits(n ptxtext.Number, t typ) uint64 {
	switch {
	case !n.Float:
		return n.Bits & lowBits(t.width())
	case t.bits == 64:
		return n.Bits
	case t.bits == 32:
		return uint64(n.Float32Bits())
	}
	f, ok := formatOf(t)
	if !ok {
		return uint64(n.Float32Bits())
	}
	return f.round(math.Float64frombits(n.Bits), roundNearest, false)
}

// constReg returns a register that always holds bits.
func (d *decoder) constReg(bits uint64) int32 {
	if r, ok := d.consts[bits]; ok {
		return r
	}
	r := d.newReg("constant")
	d.consts[bits] = r
	d.prog.constants = append(d.prog.constants, constant{r, bits})
	return r
}

// constant returns the bits of a register of constReg.
func (d *decoder) constant(r int32) (bits uint64, ok bool) {
	for _, c := range d.prog.constants {
		if c.reg == r {
			return c.bits, true
		}
	}
	return 0, false
}

// src returns the register of a source operand whose width must be that of t.
func (d *decoder) src(o *ptxtext.Operand, t typ) int32 { return d.source(o, t, false) }

// wide is src for instructions whose registers may be wider than the type (ld, st, cvt).
func (d *decoder) wide(o *ptxtext.Operand, t typ) int32 { return d.source(o, t, true) }

func (d *decoder) source(o *ptxtext.Operand, t typ, wide bool) int32 {
	switch o.Kind {
	case ptxtext.NumberOperand:
		return d.constReg(numberBits(o.Num, t))
	case ptxtext.NameOperand:
	default:
		d.errorf(o.Pos, "expected a register or a constant of %s", d.in.Name())
		return 0
	}
	if o.Not || o.Alt != "" {
		d.errorf(o.Pos, "expected a plain operand of %s", d.in.Name())
		return 0
	}
	if r, ok := d.specialReg(o); ok {
		return r
	}
	s, ok := d.lookup(o.Name)
	if !ok && o.Name == "WARP_SZ" {
		return d.constReg(warpSize)
	}
	if !ok {
		d.errorf(o.Pos, "unknown name %s", o.Name)
		return 0
	}
	switch s.kind {
	case symVar:
		return d.addressOf(s.v, o.Off)
	case symVector:
		return d.part(o, s)
	case symReg:
		d.checkWidth(o, s.t, t, wide)
		if o.Off != 0 {
			return d.offset(s, o.Off)
		}
		return s.reg
	}
	d.errorf(o.Pos, "%s cannot be an operand of %s", o.Name, d.in.Name())
	return 0
}

func (d *decoder) checkWidth(o *ptxtext.Operand, have, want typ, wide bool) {
	if have.width() == want.width() || wide && have.width() > want.width() {
		return
	}
	d.errorf(o.Pos, "register %s has %d bits, %s needs %d", o.Name, have.width(), d.in.Name(), want.width())
}

// offset emits the addition of a constant to a register.
func (d *decoder) offset(s symbol, off int64) int32 {
	r, mask := d.newReg("sum"), lowBits(s.t.width())
	saved := d.dsts
	d.dsts = []int32{r}
	d.emit(apply1(r, s.reg, each1(func(a uint64) uint64 { return (a + uint64(off)) & mask })), ClassInt)
	d.dsts = saved
	return r
}

func (d *decoder) part(o *ptxtext.Operand, s symbol) int32 {
	i := strings.Index("xyzw", o.Part)
	if o.Part == "" || i < 0 {
		i = strings.Index("rgba", o.Part)
	}
	if o.Part == "" || len(o.Part) != 1 || i < 0 || i >= len(s.parts) {
		d.errorf(o.Pos, "vector register %s has no component %q", o.Name, o.Part)
		return 0
	}
	return s.parts[i]
}

// addressOf returns a register that holds the address of a variable in its own space.
func (d *decoder) addressOf(v *variable, off int64) int32 {
	if !v.dyn && v.space != spaceGlobal {
		return d.constReg(v.addr + uint64(off))
	}
	r := d.newReg(v.name)
	d.prog.specials = append(d.prog.specials, special{r, func(w *warp, x *vec) {
		base := uint64(w.cta.launch.dynBase)
		if v.space == spaceGlobal {
			base = w.cta.launch.globals[v.addr].addr
		}
		for i := range x {
			x[i] = base + uint64(off)
		}
	}})
	return r
}

// dst returns the register of a destination of type t.
func (d *decoder) dst(o *ptxtext.Operand, t typ) int32 { return d.destination(o, t, false) }

func (d *decoder) wideDst(o *ptxtext.Operand, t typ) int32 { return d.destination(o, t, true) }

func (d *decoder) destination(o *ptxtext.Operand, t typ, wide bool) int32 {
	if o.Kind == ptxtext.SinkOperand {
		return d.newReg("_")
	}
	s, ok := d.lookup(o.Name)
	if o.Kind != ptxtext.NameOperand || !ok || s.kind != symReg && s.kind != symVector || o.Off != 0 || o.Not {
		d.errorf(o.Pos, "expected a destination register of %s", d.in.Name())
		return 0
	}
	r := s.reg
	if s.kind == symVector {
		r = d.part(o, s)
	}
	d.checkWidth(o, s.t, t, wide)
	d.dsts = append(d.dsts, r)
	return r
}

// regBits is the declared width of a register operand, or that of t for constants and sinks.
func (d *decoder) regBits(o *ptxtext.Operand, t typ) int {
	if s, ok := d.lookup(o.Name); ok && o.Kind == ptxtext.NameOperand && (s.kind == symReg || s.kind == symVector) {
		return s.t.width()
	}
	return t.width()
}

// predDst returns the register of a predicate destination.
func (d *decoder) predDst(name string, pos ptxtext.Pos) int32 {
	if name == "_" {
		return d.newPred("_")
	}
	s, ok := d.lookup(name)
	if !ok || s.kind != symPred {
		d.errorf(pos, "%q is not a predicate", name)
		return 0
	}
	return s.reg
}

// pred is a predicate source: register and negation.
type pred struct {
	reg int32
	not bool
}

func (p pred) value(w *warp) uint32 {
	v := w.preds[p.reg]
	if p.not {
		v = ^v
	}
	return v
}

func (d *decoder) predSrc(o *ptxtext.Operand) pred {
	if o.Kind == ptxtext.NumberOperand {
		if o.Num.Int() != 0 {
			return pred{predTrue, o.Not}
		}
		return pred{predFalse, o.Not}
	}
	s, ok := d.lookup(o.Name)
	if o.Kind != ptxtext.NameOperand || !ok || s.kind != symPred {
		d.errorf(o.Pos, "expected a predicate of %s", d.in.Name())
		return pred{}
	}
	return pred{s.reg, o.Not}
}

func (p pred) ok(w *warp) bool {
	if w.exec&^w.predInit[p.reg] != 0 {
		w.uninitPredIn(p.reg)
		return false
	}
	return true
}

func (w *warp) uninitPredIn(p int32) {
	saved := w.active
	w.active = w.exec
	w.uninitPred(p)
	w.active = saved
}

// elements lists the operands of {a,b,..}, of a vector register, or of a single register.
func (d *decoder) elements(o *ptxtext.Operand) []ptxtext.Operand {
	if o.Kind == ptxtext.VectorOperand {
		return o.List
	}
	if s, ok := d.lookup(o.Name); ok && s.kind == symVector && o.Part == "" && o.Kind == ptxtext.NameOperand {
		list := make([]ptxtext.Operand, len(s.parts))
		for i := range list {
			list[i] = *o
			list[i].Part = "xyzw"[i : i+1]
		}
		return list
	}
	return []ptxtext.Operand{*o}
}

// isPred reports whether an operand is a predicate register.
func (d *decoder) isPred(o *ptxtext.Operand) bool {
	s, ok := d.lookup(o.Name)
	return o.Kind == ptxtext.NameOperand && ok && s.kind == symPred
}

// setPred writes predicate bits of the executing lanes.
func (w *warp) setPred(p int32, bits uint32) {
	w.preds[p] = w.preds[p]&^w.exec | bits&w.exec
	w.predInit[p] |= w.exec
}
