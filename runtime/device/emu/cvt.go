package emu

import (
	"math"
	"strings"
)

// decodeCvt decodes cvt for scalars and pairs. Types are destination, source.
func decodeCvt(d *decoder) {
	if strings.HasPrefix(d.in.Name(), "cvt.pack") {
		decodeCvtPack(d)
		return
	}
	list := typesOf(d.in)
	if len(list) != 2 {
		d.errorf(d.in.Pos, "%s needs two types", d.in.Name())
		return
	}
	to, from := list[0], list[1]
	switch {
	case to.pack == 2 && from.pack == 1:
		d.packPair(to, from)
	case to.pack == 2:
		d.convertPair(to, from)
	default:
		d.convert(to, from)
	}
}

// conversion holds the modifiers of cvt.
type conversion struct {
	to, from            typ
	mode                rounding
	integral            bool // round to an integer of the same format
	ftz, sat, satFinite bool
	relu                bool
}

func (d *decoder) conversion(to, from typ) conversion {
	c := conversion{
		to: to, from: from, mode: d.rounding(), ftz: hasMod(d.in, "ftz"), sat: hasMod(d.in, "sat"),
		satFinite: hasMod(d.in, "satfinite"), relu: hasMod(d.in, "relu"),
	}
	for _, m := range d.in.Mods {
		if _, ok := roundWords[m]; ok && strings.HasSuffix(m, "i") {
			c.integral = true
		}
	}
	c.to.pack, c.from.pack = 1, 1
	return c
}

func (d *decoder) convert(to, from typ) {
	if !d.nargs(2, 2) {
		return
	}
	c := d.conversion(to, from)
	f := c.function()
	if f == nil {
		d.unsupported("types")
		return
	}
	srcBits, dstBits := to, to
	if to.kind == kTF32 {
		dstBits = typeB32
	}
	srcBits = from
	a := d.wide(&d.in.Args[1], srcBits)
	width := d.regBits(&d.in.Args[0], dstBits)
	dst := d.wideDst(&d.in.Args[0], dstBits)
	in := lowBits(from.bits)
	d.emit(apply1(dst, a, each1(func(v uint64) uint64 {
		r := f(v & in)
		if to.signed() && width > to.bits {
			r = uint64(signExtend(r, to.bits)) & lowBits(width)
		}
		return r
	})), ClassConvert)
}

// function converts the low bits of one value.
func (c *conversion) function() func(v uint64) uint64 {
	switch {
	case !c.from.float() && !c.to.float():
		return c.intToInt
	case !c.from.float():
		return c.intToFloat
	}
	value := c.floatValue()
	if value == nil {
		return nil
	}
	switch {
	case !c.to.float():
		return func(v uint64) uint64 { return c.floatToInt(value(v)) }
	case c.to.bits == 64:
		return func(v uint64) uint64 { return c.toDouble(value(v)) }
	}
	fm, ok := formatOf(c.to)
	if !ok {
		return nil
	}
	return func(v uint64) uint64 { return c.toFormat(fm, value(v)) }
}

func (c *conversion) intToInt(v uint64) uint64 {
	x, neg := v, false
	if c.from.signed() {
		x = uint64(signExtend(v, c.from.bits))
		neg = int64(x) < 0
	}
	if !c.sat {
		return x & lowBits(c.to.bits)
	}
	switch low := -(int64(1) << (c.to.bits - 1)); {
	case neg && !c.to.signed():
		return 0
	case neg:
		return uint64(max(int64(x), low)) & lowBits(c.to.bits)
	case c.to.signed():
		return min(x, lowBits(c.to.bits-1))
	}
	return min(x, lowBits(c.to.bits))
}

func (c *conversion) intToFloat(v uint64) uint64 {
	neg := false
	if c.from.signed() {
		if s := signExtend(v, c.from.bits); s < 0 {
			neg, v = true, uint64(-s)
		}
	}
	if c.to.bits == 64 {
		return intToDouble(v, neg, c.mode)
	}
	fm, ok := formatOf(c.to)
	if !ok {
		return 0
	}
	return fm.round(oddInt(v, neg), c.mode, c.satFinite)
}

// intToDouble rounds a magnitude with a sign. The rest tells on which side of the nearest double the integer lies.
func intToDouble(v uint64, neg bool, mode rounding) uint64 {
	x, rest := float64(v), 0.0
	if u := uint64(x); x >= pow2(64) || u > v {
		rest = -1
	} else if u < v {
		rest = 1
	}
	if neg {
		x, rest = -x, -rest
	}
	return math.Float64bits(directed(x, rest, mode))
}

// floatValue reads the source exactly.
func (c *conversion) floatValue() func(v uint64) float64 {
	if c.from.bits == 64 {
		return math.Float64frombits
	}
	if c.from.bits == 32 {
		return func(v uint64) float64 { return float64(float32From(v, c.ftz)) }
	}
	fm, ok := formatOf(c.from)
	if !ok {
		return nil
	}
	return fm.value
}

// integralPart rounds to an integer.
func integralPart(x float64, mode rounding) float64 {
	switch mode {
	case roundZero:
		return math.Trunc(x)
	case roundDown:
		return math.Floor(x)
	case roundUp:
		return math.Ceil(x)
	}
	return math.RoundToEven(x)
}

// floatToInt clamps to the range of the integer; NaN becomes 0 (PTX ISA, "cvt", which leaves 64-bit sources of NaN the top bit).
func (c *conversion) floatToInt(x float64) uint64 {
	if x != x {
		if c.from.bits == 64 || c.to.bits == 64 {
			return 1 << (c.to.bits - 1)
		}
		return 0
	}
	x = integralPart(x, c.mode)
	top := pow2(c.to.bits)
	if c.to.signed() {
		top = pow2(c.to.bits - 1)
		if x <= -top {
			return 1 << (c.to.bits - 1)
		}
	} else if x <= 0 {
		return 0
	}
	if x >= top {
		if c.to.signed() {
			return lowBits(c.to.bits - 1)
		}
		return lowBits(c.to.bits)
	}
	if x < 0 {
		return uint64(int64(x)) & lowBits(c.to.bits)
	}
	return uint64(x)
}

func (c *conversion) toDouble(x float64) uint64 {
	if c.integral {
		x = integralPart(x, c.mode)
	}
	if c.sat {
		x = max(min(x, 1), 0)
		if x != x {
			x = 0
		}
	}
	return double(x)
}

func (c *conversion) toFormat(fm *format, x float64) uint64 {
	if c.integral {
		x = integralPart(x, c.mode)
	}
	if c.sat {
		if x != x {
			x = 0
		}
		x = max(min(x, 1), 0)
	}
	if c.relu && x <= 0 {
		x = 0
	}
	if x != x && c.satFinite && c.to.bits >= 16 {
		return fm.nan
	}
	v := fm.round(x, c.mode, c.satFinite)
	if c.ftz && c.to.bits == 32 {
		v = flushBits(c.to, v)
	}
	return v
}

// packPair decodes cvt d, a, b into a packed type: a goes to the high half, b to the low one.
func (d *decoder) packPair(to, from typ) {
	if !d.nargs(3, 3) {
		return
	}
	c := d.conversion(to, from)
	f := c.function()
	if f == nil {
		d.unsupported("types")
		return
	}
	a, b := d.src(&d.in.Args[1], from), d.src(&d.in.Args[2], from)
	n := to.bits
	d.emit(apply2(d.dst(&d.in.Args[0], to), a, b, each2(func(a, b uint64) uint64 { return f(a)<<n | f(b) })), ClassConvert)
}

// convertPair converts both halves of a packed type (e4m3x2 to f16x2 and back).
func (d *decoder) convertPair(to, from typ) {
	if !d.nargs(2, 2) {
		return
	}
	c := d.conversion(to, from)
	f := c.function()
	if f == nil {
		d.unsupported("types")
		return
	}
	a, in := d.src(&d.in.Args[1], from), lowBits(from.bits)
	d.emit(apply1(d.dst(&d.in.Args[0], to), a, each1(func(v uint64) uint64 {
		return f(v>>from.bits&in)<<to.bits | f(v&in)
	})), ClassConvert)
}

// decodeCvtPack decodes cvt.pack.sat.T.s32{.b32} d, a, b{, c}: a and b saturated, b lowest, c shifted up behind them.
func decodeCvtPack(d *decoder) {
	list := typesOf(d.in)
	if len(list) < 2 || !d.nargs(3, 4) {
		d.unsupported("form")
		return
	}
	c := conversion{to: list[0], from: list[1], sat: true}
	n := list[0].bits
	f := func(a, b, rest uint64) uint64 {
		return uint64(uint32(rest<<(2*n) | c.intToInt(a)<<n | c.intToInt(b)))
	}
	if len(d.in.Args) == 3 {
		d.op2(typeB32, each2(func(a, b uint64) uint64 { return f(a, b, 0) }), ClassConvert)
		return
	}
	d.op3(typeB32, each3(f), ClassConvert)
}
