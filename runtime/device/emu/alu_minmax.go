package emu

import "math"

// floatMinMax decodes min and max: NaN loses against a number unless .NaN is given, and -0 is below +0.
func (d *decoder) floatMinMax(high bool, t typ) {
	nan, xorsign, ftz := hasMod(d.in, "NaN"), hasMod(d.in, "xorsign"), hasMod(d.in, "ftz")
	if t.bits == 32 && !nan && !xorsign && len(d.in.Args) == 3 {
		d.op2(t, minMaxF32(high, ftz), ClassFloat)
		return
	}
	sign := uint64(1) << (t.bits - 1)
	value := func(v uint64) float64 { return math.Float64frombits(v) }
	canonical := uint64(nanF64)
	if fm, ok := formatOf(t); ok {
		value, canonical = fm.value, fm.nan
	}
	pick := func(a, b uint64) uint64 {
		if ftz {
			a, b = flushBits(t, a), flushBits(t, b)
		}
		flip := uint64(0)
		if xorsign {
			flip = (a ^ b) & sign
			a, b = a&^sign, b&^sign
		}
		x, y := value(a), value(b)
		switch {
		case nan && (x != x || y != y), x != x && y != y:
			return canonical
		case x != x:
			a = b
		case y != y:
		case x == y && x == 0 && a != b:
			if (a == 0) != high {
				a = b
			}
		case (x < y) == high:
			a = b
		}
		return a ^ flip
	}
	f := each2(func(a, b uint64) uint64 {
		out := uint64(0)
		for s := 0; s < t.width(); s += t.bits {
			out |= pick(a>>s&lowBits(t.bits), b>>s&lowBits(t.bits)) << s
		}
		return out
	})
	if len(d.in.Args) == 4 {
		d.op3(t, func(dst, a, b, c *vec) {
			var first vec
			f(&first, a, b)
			f(dst, &first, c)
		}, ClassFloat)
		return
	}
	d.op2(t, f, ClassFloat)
}

// minMaxF32 orders singles by their patterns: the negative ones reversed below the others, so that -0 is below +0.
func minMaxF32(high, ftz bool) lanes2 {
	key := func(b uint32) int32 { return int32(b ^ uint32(int32(b)>>31)>>1) }
	return func(d, a, b *vec) {
		for i := range d {
			x, y := math.Float32bits(float32From(a[i], ftz)), math.Float32bits(float32From(b[i], ftz))
			nanX, nanY := x&0x7fffffff > 0x7f800000, y&0x7fffffff > 0x7f800000
			switch {
			case nanX && nanY:
				x = nanF32
			case nanX || !nanY && (key(x) < key(y)) == high:
				x = y
			}
			d[i] = uint64(x)
		}
	}
}

// flushBits makes a subnormal of a 16-bit or 32-bit type zero.
func flushBits(t typ, v uint64) uint64 {
	fm, ok := formatOf(t)
	if ok && v>>fm.mant&lowBits(fm.sign-fm.mant) == 0 {
		return v & (1 << fm.sign)
	}
	return v
}

// floatSign decodes neg and abs, which touch the sign bits alone.
func (d *decoder) floatSign(t typ) {
	signs := uint64(0)
	for s := t.bits - 1; s < t.width(); s += t.bits {
		signs |= 1 << s
	}
	abs, ftz := d.in.Op == "abs", hasMod(d.in, "ftz")
	d.op1(t, each1(func(a uint64) uint64 {
		if ftz && t.bits == 32 {
			a = flushBits(t, a)
		}
		if abs {
			return a &^ signs
		}
		return a ^ signs
	}), ClassFloat)
}

// decodeCopysign gives b the sign of a.
func decodeCopysign(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	sign := uint64(1) << (t.bits - 1)
	d.op2(t, each2(func(a, b uint64) uint64 { return b&^sign | a&sign }), ClassFloat)
}

// decodeTestp tests a property of a number.
func decodeTestp(d *decoder) {
	t, ok := d.lastType()
	if !ok || !d.nargs(2, 2) {
		return
	}
	var test func(abs, exp, mant uint64) bool
	mant := 23
	if t.bits == 64 {
		mant = 52
	}
	top := lowBits(t.bits - 1 - mant)
	switch d.in.Mods[0] {
	case "finite":
		test = func(_, exp, _ uint64) bool { return exp != top }
	case "infinite":
		test = func(_, exp, m uint64) bool { return exp == top && m == 0 }
	case "number":
		test = func(_, exp, m uint64) bool { return exp != top || m == 0 }
	case "notanumber":
		test = func(_, exp, m uint64) bool { return exp == top && m != 0 }
	case "normal":
		test = func(_, exp, _ uint64) bool { return exp != top && exp != 0 }
	case "subnormal":
		test = func(abs, exp, _ uint64) bool { return exp == 0 && abs != 0 }
	default:
		d.unsupported("property")
		return
	}
	p, a := d.predDst(d.in.Args[0].Name, d.in.Pos), d.src(&d.in.Args[1], t)
	d.emit(func(w *warp) signal {
		if !w.defined(a) {
			return goOn
		}
		v := uint32(0)
		for i, x := range w.regs[a] {
			abs := x & lowBits(t.bits-1)
			v |= uint32(truth(test(abs, abs>>mant, abs&lowBits(mant)))) << i
		}
		w.setPred(p, v)
		return goOn
	}, ClassFloat)
}
