package emu

// decodeArith decodes add, sub, mul, min, max, div, rem of any type, with the forms .cc, .sat, .hi, .lo, .wide.
func decodeArith(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	op := d.in.Op
	switch {
	case t.float():
		d.floatBinary(op, t)
	case hasMod(d.in, "cc"):
		d.carryOut(t)
	case hasMod(d.in, "wide"):
		d.op2Types(widened(t), t, t, each2(func(a, b uint64) uint64 { return mulWide(t, a, b) }), ClassInt)
	case hasMod(d.in, "hi"):
		d.op2(t, each2(func(a, b uint64) uint64 { return mulHigh(t, a, b) }), ClassInt)
	case hasMod(d.in, "sat") && op == "add" && t.bits == 32:
		d.op2(t, each2(addSaturated), ClassInt)
	case hasMod(d.in, "sat") && op == "sub" && t.bits == 32:
		d.op2(t, each2(subSaturated), ClassInt)
	default:
		d.plainInt(op, t)
	}
}

func (d *decoder) plainInt(op string, t typ) {
	table := intBinary[op]
	one := t
	one.pack = 1
	f, ok := table.find(one)
	if !ok {
		d.unsupported("type")
		return
	}
	if t.pack == 2 {
		f = packed16(f)
	}
	if hasMod(d.in, "relu") {
		plain := f
		f = func(dst, a, b *vec) {
			plain(dst, a, b)
			for i := range dst {
				dst[i] = reluInt(t, dst[i])
			}
		}
	}
	d.op2(t, f, ClassInt)
}

func reluInt(t typ, v uint64) uint64 {
	out := uint64(0)
	for i := 0; i < t.pack; i++ {
		part := v >> (i * t.bits) & lowBits(t.bits)
		if signExtend(part, t.bits) > 0 {
			out |= part << (i * t.bits)
		}
	}
	return out
}

func widened(t typ) typ { return typ{t.kind, 2 * t.bits, 1} }

// decodeMad decodes mad and fma.
func decodeMad(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	if t.float() {
		d.floatFMA(t)
		return
	}
	if hasMod(d.in, "cc") {
		d.madCarry(t, false)
		return
	}
	switch {
	case hasMod(d.in, "wide"):
		d.op3Types(widened(t), t, t, widened(t), madWide(t), ClassInt)
	case hasMod(d.in, "hi") && hasMod(d.in, "sat"):
		d.op3(t, each3(func(a, b, c uint64) uint64 { return addSaturated(mulHigh(t, a, b), c) }), ClassInt)
	case hasMod(d.in, "hi"):
		m := lowBits(t.bits)
		d.op3(t, each3(func(a, b, c uint64) uint64 { return (mulHigh(t, a, b) + c) & m }), ClassInt)
	default:
		table := perType[lanes3]{madLanes[uint16], madLanes[uint32], madLanes[uint64], madLanes[uint16], madLanes[uint32], madLanes[uint64]}
		f, ok := table.find(t)
		if !ok {
			d.unsupported("type")
			return
		}
		d.op3(t, f, ClassInt)
	}
}

func decodeMul24(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	high := hasMod(d.in, "hi")
	if d.in.Op == "mul24" {
		d.op2(t, each2(func(a, b uint64) uint64 { return mul24(t, high, a, b) }), ClassInt)
		return
	}
	if hasMod(d.in, "sat") {
		d.op3(t, each3(func(a, b, c uint64) uint64 { return addSaturated(mul24(t, high, a, b), c) }), ClassInt)
		return
	}
	d.op3(t, each3(func(a, b, c uint64) uint64 { return uint64(uint32(mul24(t, high, a, b) + c)) }), ClassInt)
}

// decodeSad is c + |a-b|.
func decodeSad(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	m := lowBits(t.bits)
	d.op3(t, each3(func(a, b, c uint64) uint64 {
		less := a < b
		if t.signed() {
			less = signExtend(a, t.bits) < signExtend(b, t.bits)
		}
		if less {
			a, b = b, a
		}
		return (c + a - b) & m
	}), ClassInt)
}

func decodeNegAbs(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	if t.float() {
		d.floatSign(t)
		return
	}
	m, abs := lowBits(t.bits), d.in.Op == "abs"
	d.op1(t, each1(func(a uint64) uint64 {
		if abs && signExtend(a, t.bits) >= 0 {
			return a
		}
		return -a & m
	}), ClassInt)
}

// carryOut decodes add.cc and sub.cc.
func (d *decoder) carryOut(t typ) { d.withCarry(t, false) }

func decodeAddc(d *decoder) {
	if t, ok := d.lastType(); ok {
		d.withCarry(t, true)
	}
}

// withCarry decodes addition and subtraction with the carry flag. Subtraction is a + ^b + 1, so that on hardware the flag is the
// inverse of the borrow, which addc after sub.cc shows.
func (d *decoder) withCarry(t typ, in bool) {
	if t.bits < 32 || t.float() || !d.nargs(3, 3) {
		d.errorf(d.in.Pos, "%s needs a 32-bit or 64-bit integer type and three operands", d.in.Name())
		return
	}
	a, b := d.src(&d.in.Args[1], t), d.src(&d.in.Args[2], t)
	dst := d.dst(&d.in.Args[0], t)
	sub, out, m := d.in.Op == "sub" || d.in.Op == "subc", hasMod(d.in, "cc"), lowBits(t.bits)
	d.emit(func(w *warp) signal {
		if !w.defined(a, b) || in && !w.carryDefined() {
			return goOn
		}
		carry := uint32(0)
		for i := range w.tmp {
			x, y, c := w.regs[a][i], w.regs[b][i], uint64(0)
			if in {
				c = uint64(w.carry >> i & 1)
			}
			var r uint64
			var over bool
			if sub {
				borrow := uint64(0)
				if in {
					borrow = 1 - c
				}
				r = (x - y - borrow) & m
				over = x > y || x == y && borrow == 0
			} else {
				r = (x + y + c) & m
				over = r < x || r == x && c == 1
			}
			w.tmp[i] = r
			if over {
				carry |= 1 << i
			}
		}
		w.keep(dst)
		if out {
			w.setCarry(carry)
		}
		return goOn
	}, ClassInt)
}

func (w *warp) setCarry(carry uint32) {
	w.carry = w.carry&^w.exec | carry&w.exec
	w.carryOK |= w.exec
}

func (w *warp) carryDefined() bool {
	if miss := w.exec &^ w.carryOK; miss != 0 {
		w.fail(Uninitialized, firstLane(miss), "no instruction has set the carry flag")
		return false
	}
	return true
}

func decodeMadc(d *decoder) {
	if t, ok := d.lastType(); ok {
		d.madCarry(t, true)
	}
}

// madCarry decodes mad.cc and madc: the half of the product, the addend and the carry are added.
func (d *decoder) madCarry(t typ, in bool) {
	if t.bits < 32 || t.float() || !d.nargs(4, 4) {
		d.errorf(d.in.Pos, "%s needs a 32-bit or 64-bit integer type and four operands", d.in.Name())
		return
	}
	a, b, c := d.src(&d.in.Args[1], t), d.src(&d.in.Args[2], t), d.src(&d.in.Args[3], t)
	dst := d.dst(&d.in.Args[0], t)
	high, out, m := hasMod(d.in, "hi"), hasMod(d.in, "cc"), lowBits(t.bits)
	d.emit(func(w *warp) signal {
		if !w.defined(a, b, c) || in && !w.carryDefined() {
			return goOn
		}
		carry := uint32(0)
		for i := range w.tmp {
			p, z, k := w.regs[a][i]*w.regs[b][i]&m, w.regs[c][i], uint64(0)
			if high {
				p = mulHigh(t, w.regs[a][i], w.regs[b][i])
			}
			if in {
				k = uint64(w.carry >> i & 1)
			}
			r := (p + z + k) & m
			w.tmp[i] = r
			if r < p || r == p && k == 1 {
				carry |= 1 << i
			}
		}
		w.keep(dst)
		if out {
			w.setCarry(carry)
		}
		return goOn
	}, ClassInt)
}
