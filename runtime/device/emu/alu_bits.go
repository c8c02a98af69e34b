package emu

import (
	"math/bits"

	"llmc/runtime/device/emu/ptxtext"
)

// decodeLogic decodes and, or, xor, not, cnot on bits and predicates.
func decodeLogic(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	if t.kind == kPred {
		d.predLogic()
		return
	}
	m := lowBits(t.bits)
	switch d.in.Op {
	case "and":
		d.op2(t, andLanes, ClassInt)
	case "or":
		d.op2(t, orLanes, ClassInt)
	case "xor":
		d.op2(t, xorLanes, ClassInt)
	case "not":
		d.op1(t, each1(func(a uint64) uint64 { return ^a & m }), ClassInt)
	case "cnot":
		d.op1(t, each1(func(a uint64) uint64 { return truth(a == 0) }), ClassInt)
	}
}

var predOps = map[string]func(a, b uint32) uint32{
	"and": func(a, b uint32) uint32 { return a & b },
	"or":  func(a, b uint32) uint32 { return a | b },
	"xor": func(a, b uint32) uint32 { return a ^ b },
	"not": func(a, _ uint32) uint32 { return ^a },
	"mov": func(a, _ uint32) uint32 { return a },
}

func (d *decoder) predLogic() {
	n := 3
	if d.in.Op == "not" || d.in.Op == "mov" {
		n = 2
	}
	f := predOps[d.in.Op]
	if f == nil || !d.nargs(n, n) {
		d.unsupported("predicates")
		return
	}
	dst, a := d.predDst(d.in.Args[0].Name, d.in.Pos), d.predSrc(&d.in.Args[1])
	b := d.predSrc(&d.in.Args[n-1])
	d.emit(func(w *warp) signal {
		if a.ok(w) && b.ok(w) {
			w.setPred(dst, f(a.value(w), b.value(w)))
		}
		return goOn
	}, ClassInt)
}

var typeB32, typeU32, typeU64 = typ{kBits, 32, 1}, typ{kUnsigned, 32, 1}, typ{kUnsigned, 64, 1}

// decodeShift decodes shl and shr: amounts are u32 and clamp at the width.
func decodeShift(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	m, n := lowBits(t.bits), uint64(t.bits)
	f := func(a, b uint64) uint64 { return a << min(uint64(uint32(b)), 64) & m }
	switch {
	case d.in.Op == "shr" && t.signed():
		f = func(a, b uint64) uint64 { return uint64(signExtend(a, t.bits)>>min(uint64(uint32(b)), n-1)) & m }
	case d.in.Op == "shr":
		f = func(a, b uint64) uint64 { return a >> min(uint64(uint32(b)), 64) }
	}
	if n, ok := d.shiftAmount(t); ok {
		d.in = cloneInst(d.in, 2)
		d.op1(t, shiftLanes(d.in.Op, t, n), ClassInt)
		return
	}
	d.op2Types(t, t, typeU32, each2(f), ClassInt)
}

// shiftAmount is the amount of a shift where it is a constant below the width, as most are.
func (d *decoder) shiftAmount(t typ) (n uint, ok bool) {
	if len(d.in.Args) != 3 || d.in.Args[2].Kind != ptxtext.NumberOperand {
		return 0, false
	}
	bits := numberBits(d.in.Args[2].Num, typeU32)
	return uint(bits), bits < uint64(t.bits)
}

// shiftLanes is a shift by n < t.bits.
func shiftLanes(op string, t typ, n uint) lanes1 {
	m := lowBits(t.bits)
	n &= 63
	switch {
	case op == "shl":
		return func(d, a *vec) {
			for i := range d {
				d[i] = a[i] << n & m
			}
		}
	case t.signed():
		unused := uint(64-t.bits) & 63
		return func(d, a *vec) {
			for i := range d {
				d[i] = uint64(int64(a[i]<<unused)>>unused>>n) & m
			}
		}
	}
	return func(d, a *vec) {
		for i := range d {
			d[i] = a[i] >> n
		}
	}
}

// decodeShf decodes the funnel shift: the high (l) or low (r) word of {b,a} shifted.
func decodeShf(d *decoder) {
	left, wrap := hasMod(d.in, "l"), hasMod(d.in, "wrap")
	d.op3(typeB32, each3(func(a, b, c uint64) uint64 {
		n := c & 31
		if !wrap {
			n = min(uint64(uint32(c)), 32)
		}
		pair := b<<32 | a
		if left {
			return pair << n >> 32
		}
		return uint64(uint32(pair >> n))
	}), ClassInt)
}

func decodeBfe(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	f := func(a, b, c uint64) uint64 {
		pos, n := int(b&0xff), int(c&0xff)
		sign := uint64(0)
		if t.signed() && n > 0 {
			sign = a >> min(pos+n-1, t.bits-1) & 1
		}
		if n == 0 {
			return 0
		}
		v := uint64(0)
		if pos < t.bits {
			v = a >> pos
		}
		have := max(t.bits-pos, 0) // bits of v that come from a
		keep := min(n, have)
		v &= lowBits(keep)
		if sign == 1 {
			v |= ^lowBits(keep)
		}
		return v & lowBits(t.bits)
	}
	d.op3Types(t, t, typeU32, typeU32, each3(f), ClassInt)
}

// decodeBfi inserts the low bits of a into b.
func decodeBfi(d *decoder) {
	t, ok := d.lastType()
	if !ok || !d.nargs(5, 5) {
		return
	}
	args := d.in.Args
	a, b, pos, n := d.src(&args[1], t), d.src(&args[2], t), d.src(&args[3], typeU32), d.src(&args[4], typeU32)
	dst := d.dst(&args[0], t)
	d.emit(func(w *warp) signal {
		if !w.defined(a, b, pos, n) {
			return goOn
		}
		for i := range w.tmp {
			p, m := w.regs[pos][i]&0xff, lowBits(int(w.regs[n][i]&0xff))
			field := m << p & lowBits(t.bits)
			w.tmp[i] = w.regs[b][i]&^field | w.regs[a][i]<<p&field
		}
		w.keep(dst)
		return goOn
	}, ClassInt)
}

// decodeBitCount decodes popc, clz, brev, bfind.
func decodeBitCount(d *decoder) {
	t, ok := d.lastType()
	if !ok || !d.nargs(2, 2) {
		return
	}
	td := typeU32
	var f func(a uint64) uint64
	switch d.in.Op {
	case "popc":
		f = func(a uint64) uint64 { return uint64(bits.OnesCount64(a)) }
	case "clz":
		f = func(a uint64) uint64 { return uint64(bits.LeadingZeros64(a) - 64 + t.bits) }
	case "brev":
		td = t
		f = func(a uint64) uint64 { return bits.Reverse64(a) >> (64 - t.bits) }
	case "bfind":
		amount := hasMod(d.in, "shiftamt")
		f = func(a uint64) uint64 {
			if t.signed() && signExtend(a, t.bits) < 0 {
				a = ^a & lowBits(t.bits)
			}
			if a == 0 {
				return 0xffffffff
			}
			n := bits.Len64(a) - 1
			if amount {
				n = t.bits - 1 - n
			}
			return uint64(n)
		}
	}
	a := d.src(&d.in.Args[1], t)
	d.emit(apply1(d.dst(&d.in.Args[0], td), a, each1(f)), ClassInt)
}

// decodeFns finds the n-th set bit from a base position (PTX ISA, "fns").
func decodeFns(d *decoder) {
	d.op3Types(typeB32, typeB32, typeU32, typ{kSigned, 32, 1}, each3(func(mask, base, off uint64) uint64 {
		n, step := int32(off), 1
		if n < 0 {
			n, step = -n, -1
		}
		for i := int(uint32(base) & 63); i >= 0 && i < 32; i += step {
			if mask>>i&1 == 0 {
				continue
			}
			if n <= 1 {
				return uint64(i)
			}
			n--
		}
		return 0xffffffff
	}), ClassInt)
}

func decodeBmsk(d *decoder) {
	wrap := hasMod(d.in, "wrap")
	d.op2(typeB32, each2(func(a, b uint64) uint64 {
		if wrap {
			a, b = a&31, b&31
		}
		a, b = min(a, 32), min(b, 32)
		return uint64(uint32(lowBits(int(b)) << a))
	}), ClassInt)
}

// decodeLop3 evaluates a truth table over three inputs bit by bit: row (a,b,c) is bit 4a+2b+c of the table.
func decodeLop3(d *decoder) {
	if len(d.in.Args) == 6 || hasMod(d.in, "or") || hasMod(d.in, "and") {
		d.lop3Pred()
		return
	}
	if !d.nargs(5, 5) {
		return
	}
	table, ok := d.immediate(4, 0xff)
	if !ok {
		return
	}
	d.in = cloneInst(d.in, 4)
	d.op3(typeB32, lop3Lanes(table), ClassInt)
}

func lop3Lanes(table uint64) lanes3 {
	var take [8]uint64 // all ones for the rows whose result is one
	for i := range take {
		take[i] = -(table >> i & 1)
	}
	return func(d, a, b, c *vec) {
		for i := range d {
			x, y, z := a[i], b[i], c[i]
			zz := func(row int) uint64 { return ^z&take[row] | z&take[row+1] }
			low := ^y&zz(0) | y&zz(2)
			high := ^y&zz(4) | y&zz(6)
			d[i] = (^x&low | x&high) & 0xffffffff
		}
	}
}

// lop3Pred is lop3 with a predicate: p = (d != 0) and/or q.
func (d *decoder) lop3Pred() {
	if !d.nargs(6, 6) {
		return
	}
	table, ok := d.immediate(4, 0xff)
	if !ok {
		return
	}
	args := d.in.Args
	q, p := d.predSrc(&args[5]), d.predDst(args[0].Alt, args[0].Pos)
	a, b, c := d.src(&args[1], typeB32), d.src(&args[2], typeB32), d.src(&args[3], typeB32)
	plain := args[0]
	plain.Alt = ""
	dst := d.dst(&plain, typeB32)
	step, f, and := apply3(dst, a, b, c, lop3Lanes(table)), predOps["or"], hasMod(d.in, "and")
	if and {
		f = predOps["and"]
	}
	d.emit(func(w *warp) signal {
		if !q.ok(w) {
			return goOn
		}
		step(w)
		some := uint32(0)
		for i, v := range w.regs[dst] {
			some |= uint32(truth(v != 0)) << i
		}
		w.setPred(p, f(some, q.value(w)))
		return goOn
	}, ClassInt)
}

// decodePrmt picks bytes of {b,a} (PTX ISA, "prmt"). The default mode takes a nibble a byte: index and sign replication.
func decodePrmt(d *decoder) {
	mode := prmtModes[d.in.Mods[len(d.in.Mods)-1]]
	if len(d.in.Args) == 4 && d.in.Args[3].Kind == ptxtext.NumberOperand && mode == nil {
		if f := permuteLanes(numberBits(d.in.Args[3].Num, typeB32)); f != nil {
			d.in = cloneInst(d.in, 3)
			d.op2(typeB32, f, ClassInt)
			return
		}
	}
	d.op3(typeB32, each3(func(a, b, c uint64) uint64 {
		pair, out := b<<32|a, uint64(0)
		for i := range 4 {
			sel := c >> (4 * i) & 15
			if mode != nil {
				sel = uint64(mode[c&3][i])
			}
			v := pair >> (8 * (sel & 7)) & 0xff
			if sel&8 != 0 {
				v = -(v >> 7) & 0xff
			}
			out |= v << (8 * i)
		}
		return out
	}), ClassInt)
}

// permuteLanes picks bytes as a constant says that replicates no sign; nil for others.
func permuteLanes(sel uint64) lanes2 {
	var from [4]uint
	for i := range from {
		s := uint(sel >> (4 * i) & 15)
		if s > 7 {
			return nil
		}
		from[i] = 8 * s
	}
	b0, b1, b2, b3 := from[0]&63, from[1]&63, from[2]&63, from[3]&63
	return func(d, a, b *vec) {
		for i := range d {
			pair := b[i]<<32 | a[i]
			d[i] = pair>>b0&0xff | pair>>b1&0xff<<8 | pair>>b2&0xff<<16 | pair>>b3&0xff<<24
		}
	}
}

// prmtModes lists the byte indices, lowest byte first, for selectors 0 to 3.
var prmtModes = map[string]*[4][4]uint8{
	"f4e":  {{0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {3, 4, 5, 6}},
	"b4e":  {{0, 7, 6, 5}, {1, 0, 7, 6}, {2, 1, 0, 7}, {3, 2, 1, 0}},
	"rc8":  {{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}},
	"ecl":  {{0, 1, 2, 3}, {1, 1, 2, 3}, {2, 2, 2, 3}, {3, 3, 3, 3}},
	"ecr":  {{0, 0, 0, 0}, {0, 1, 1, 1}, {0, 1, 2, 2}, {0, 1, 2, 3}},
	"rc16": {{0, 1, 0, 1}, {2, 3, 2, 3}, {0, 1, 0, 1}, {2, 3, 2, 3}},
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
