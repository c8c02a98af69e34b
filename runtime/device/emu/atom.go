package emu

import (
	"encoding/binary"
	"math"
	"math/bits"

	"llmc/runtime/device/emu/ptxtext"
)

// atomicOps computes the new content from the old one and the operands (PTX ISA, "atom").
var atomicOps = map[string]func(t typ) func(old, b, c uint64) uint64{
	"exch": func(typ) func(old, b, c uint64) uint64 { return func(_, b, _ uint64) uint64 { return b } },
	"cas": func(typ) func(old, b, c uint64) uint64 {
		return func(old, b, c uint64) uint64 {
			if old == b {
				return c
			}
			return old
		}
	},
	"and": func(typ) func(old, b, c uint64) uint64 { return func(old, b, _ uint64) uint64 { return old & b } },
	"or":  func(typ) func(old, b, c uint64) uint64 { return func(old, b, _ uint64) uint64 { return old | b } },
	"xor": func(typ) func(old, b, c uint64) uint64 { return func(old, b, _ uint64) uint64 { return old ^ b } },
	"inc": func(typ) func(old, b, c uint64) uint64 {
		return func(old, b, _ uint64) uint64 {
			if old >= b {
				return 0
			}
			return old + 1
		}
	},
	"dec": func(typ) func(old, b, c uint64) uint64 {
		return func(old, b, _ uint64) uint64 {
			if old == 0 || old > b {
				return b
			}
			return old - 1
		}
	},
	"add": atomicAdd,
	"min": func(t typ) func(old, b, c uint64) uint64 { return atomicPick(t, false) },
	"max": func(t typ) func(old, b, c uint64) uint64 { return atomicPick(t, true) },
}

func atomicAdd(t typ) func(old, b, c uint64) uint64 {
	switch fm, ok := formatOf(t); {
	case t.float() && t.bits == 64:
		return func(old, b, _ uint64) uint64 { return double(math.Float64frombits(old) + math.Float64frombits(b)) }
	case t.float() && t.bits == 32:
		return func(old, b, _ uint64) uint64 { return single(float32From(old, false)+float32From(b, false), false) }
	case ok:
		return func(old, b, _ uint64) uint64 {
			out := uint64(0)
			for s := 0; s < t.width(); s += 16 {
				out |= fm.finish(oddAdd(fm.input(old>>s, false), fm.input(b>>s, false)), false, false, false) << s
			}
			return out
		}
	}
	return func(old, b, _ uint64) uint64 { return old + b }
}

func atomicPick(t typ, high bool) func(old, b, c uint64) uint64 {
	if fm, ok := formatOf(t); ok {
		return func(old, b, _ uint64) uint64 {
			out := uint64(0)
			for s := 0; s < t.width(); s += t.bits {
				x, y := old>>s&lowBits(t.bits), b>>s&lowBits(t.bits)
				if (fm.value(x) < fm.value(y)) == high || fm.value(x) != fm.value(x) {
					x = y
				}
				out |= x << s
			}
			return out
		}
	}
	return func(old, b, _ uint64) uint64 {
		less := old < b
		if t.signed() {
			less = signExtend(old, t.bits) < signExtend(b, t.bits)
		}
		if less == high {
			return b
		}
		return old
	}
}

// atomicInst is a decoded atom or red.
type atomicInst struct {
	access
	f    func(old, b, c uint64) uint64
	dsts []int32 // nil for red
	b, c []int32
}

// decodeAtomic decodes atom and red, including vectors.
func decodeAtomic(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	op := ""
	for _, m := range d.in.Mods {
		if atomicOps[m] != nil {
			op = m
		}
	}
	args := d.in.Args
	a := &atomicInst{}
	if op == "" || t.bits == 128 {
		d.unsupported("operation or type")
		return
	}
	var dst *ptxtext.Operand
	if d.in.Op == "atom" {
		dst, args = &args[0], args[1:]
	}
	want := 2
	if op == "cas" {
		want = 3
	}
	if hasMod(d.in, "L2::cache_hint") {
		want++
	}
	if len(args) != want {
		d.errorf(d.in.Pos, "%s: wrong number of operands", d.in.Name())
		return
	}
	a.f = atomicOps[op](t)
	a.space, a.base, a.off = d.address(&args[0], spaceOf(d.in))
	a.sync, a.strong = orderRelaxed, true
	for _, m := range d.in.Mods {
		if o, ok := strongWords[m]; ok {
			a.sync = o
		}
	}
	d.atomicOperands(a, t, dst, args, op == "cas")
	a.size = t.size()
	a.total = a.size * len(a.b)
	d.emit(a.run, ClassAtomic)
}

func (d *decoder) atomicOperands(a *atomicInst, t typ, dst *ptxtext.Operand, args []ptxtext.Operand, cas bool) {
	for _, o := range d.elements(&args[1]) {
		a.b = append(a.b, d.src(&o, t))
	}
	if cas {
		a.c = append(a.c, d.src(&args[2], t))
	}
	if dst == nil {
		return
	}
	list := d.elements(dst)
	if len(list) != len(a.b) {
		d.errorf(d.in.Pos, "%s: vectors of %d and %d elements", d.in.Name(), len(list), len(a.b))
		return
	}
	for i := range list {
		a.dsts = append(a.dsts, d.dst(&list[i], t))
	}
}

func (a *atomicInst) run(w *warp) signal {
	if !w.defined(a.base) || !w.defined(a.b...) || !w.defined(a.c...) {
		return goOn
	}
	w.cta.progress++
	w.turn++
	for m := w.exec; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros32(m) & 31
		p := w.resolve(a.space, lane, w.regs[a.base][lane]+a.off, a.total, true)
		if p.bytes == nil {
			return goOn
		}
		step := func() {
			if w.note(lane, p, accessKind{write: true, atomic: true, strong: true, sync: a.sync}) {
				a.apply(w, lane, p.bytes)
			}
		}
		if p.space == spaceGlobal {
			w.strongly(p.addr, step)
		} else {
			step()
		}
		if w.fault != nil {
			return goOn
		}
	}
	for _, r := range a.dsts {
		w.init[r] |= w.exec
	}
	w.memory.AtomicBytes += popcount(w.exec) * uint64(a.total)
	return goOn
}

func (a *atomicInst) apply(w *warp, lane int, p []byte) {
	for k, b := range a.b {
		q := p[k*a.size:]
		var old, c uint64
		for i := a.size - 1; i >= 0; i-- {
			old = old<<8 | uint64(q[i])
		}
		if a.c != nil {
			c = w.regs[a.c[0]][lane]
		}
		v := a.f(old, w.regs[b][lane], c)
		if a.size == 4 {
			binary.LittleEndian.PutUint32(q, uint32(v))
		} else {
			putBits(q, a.size, v)
		}
		if a.dsts != nil {
			w.regs[a.dsts[k]][lane] = old
		}
	}
}
