package emu

import "math"

const (
	nanF32 = 0x7fffffff // single-precision results are this NaN whatever the inputs (PTX ISA, "Floating-Point Comparisons" and add)
	nanF64 = 0x7ff8000000000000
)

// float32From reads a register as a single, flushing subnormals to a zero of the same sign.
func float32From(v uint64, ftz bool) float32 {
	b := uint32(v)
	if ftz && b&0x7f800000 == 0 {
		b &= 0x80000000
	}
	return math.Float32frombits(b)
}

// single is the register content of a single-precision result.
func single(r float32, ftz bool) uint64 {
	b := math.Float32bits(r)
	if r != r {
		return nanF32
	}
	if ftz && b&0x7f800000 == 0 {
		b &= 0x80000000
	}
	return uint64(b)
}

// saturate clamps to [0,1]; NaN becomes 0.
func saturate(r float32) float32 {
	switch {
	case r > 1:
		return 1
	case r > 0:
		return r
	}
	return 0
}

func addF32(ftz bool) lanes2 {
	return func(d, a, b *vec) {
		for i := range d {
			d[i] = single(float32From(a[i], ftz)+float32From(b[i], ftz), ftz)
		}
	}
}

func subF32(ftz bool) lanes2 {
	return func(d, a, b *vec) {
		for i := range d {
			d[i] = single(float32From(a[i], ftz)-float32From(b[i], ftz), ftz)
		}
	}
}

func mulF32(ftz bool) lanes2 {
	return func(d, a, b *vec) {
		for i := range d {
			d[i] = single(float32From(a[i], ftz)*float32From(b[i], ftz), ftz)
		}
	}
}

func fmaF32(ftz bool) lanes3 {
	return func(d, a, b, c *vec) {
		for i := range d {
			d[i] = single(fma32(float32From(a[i], ftz), float32From(b[i], ftz), float32From(c[i], ftz)), ftz)
		}
	}
}

// fma32 is a*b+c rounded once. The product is exact in a double, and so is the rounding of the sum to a single unless the
// double lies halfway between two singles or in the range of subnormal ones.
func fma32(a, b, c float32) float32 {
	p := float64(a) * float64(b)
	s := p + float64(c)
	bits := math.Float64bits(s)
	if bits&0x1fffffff != 0x10000000 && bits>>52&0x7ff > 1023-126 {
		return float32(s)
	}
	return float32(oddAdd(p, float64(c)))
}

// binary operations on exact doubles, rounded to odd.
var oddBinary = map[string]func(a, b float64) float64{
	"add": oddAdd,
	"sub": func(a, b float64) float64 { return oddAdd(a, -b) },
	"mul": func(a, b float64) float64 { return a * b },
	"div": oddDiv,
}

var fastF32 = map[string]func(ftz bool) lanes2{"add": addF32, "sub": subF32, "mul": mulF32}

func (d *decoder) rounding() rounding {
	for _, m := range d.in.Mods {
		if r, ok := roundWords[m]; ok {
			return r
		}
	}
	return roundNearest
}

func (d *decoder) floatBinary(op string, t typ) {
	if op == "min" || op == "max" {
		d.floatMinMax(op == "max", t)
		return
	}
	mode, ftz, sat := d.rounding(), hasMod(d.in, "ftz"), hasMod(d.in, "sat")
	f := oddBinary[op]
	switch {
	case f == nil:
		d.unsupported("type")
	case t.bits == 64:
		d.op2(t, doubleBinary(op, mode), ClassFloat)
	case t.bits == 32 && mode == roundNearest && !sat && fastF32[op] != nil:
		d.op2(t, fastF32[op](ftz), ClassFloat)
	case t.bits == 32:
		d.op2(t, each2(func(a, b uint64) uint64 {
			return finishF32(f(float64(float32From(a, ftz)), float64(float32From(b, ftz))), mode, ftz, sat)
		}), ClassFloat)
	default:
		d.halfBinary(t, f, ftz, sat)
	}
}

// finishF32 rounds a result that is exact or rounded to odd.
func finishF32(x float64, mode rounding, ftz, sat bool) uint64 {
	v := formatF32.round(x, mode, false)
	if ftz || sat {
		r := math.Float32frombits(uint32(v))
		if sat {
			r = saturate(r)
		}
		v = single(r, ftz)
	}
	return v
}

// halfBinary applies f to each 16-bit element. Subnormals of f16 are kept unless .ftz says otherwise.
func (d *decoder) halfBinary(t typ, f func(a, b float64) float64, ftz, sat bool) {
	fm, ok := formatOf(t)
	if !ok {
		d.unsupported("type")
		return
	}
	d.op2(t, each2(func(a, b uint64) uint64 {
		out := uint64(0)
		for s := 0; s < t.width(); s += 16 {
			out |= fm.finish(f(fm.input(a>>s, ftz), fm.input(b>>s, ftz)), ftz, sat, false) << s
		}
		return out
	}), ClassFloat)
}

// input is the element in the low bits of v.
func (f *format) input(v uint64, ftz bool) float64 {
	if ftz && v>>f.mant&lowBits(f.sign-f.mant) == 0 {
		v &= 1 << f.sign
	}
	switch f {
	case &formatBF16:
		return float64(math.Float32frombits(uint32(v) << 16))
	case &formatF16:
		return halfValues()[uint16(v)]
	}
	return f.value(v & lowBits(f.sign+1))
}

func (f *format) finish(x float64, ftz, sat, relu bool) uint64 {
	if sat {
		x = max(min(x, 1), 0)
		if x != x {
			x = 0
		}
	}
	if relu && x <= 0 {
		x = 0
	}
	v := f.round(x, roundNearest, false)
	if ftz && v>>f.mant&lowBits(f.sign-f.mant) == 0 {
		v &= 1 << f.sign
	}
	return v
}

func (d *decoder) floatFMA(t typ) {
	mode, ftz, sat, relu := d.rounding(), hasMod(d.in, "ftz"), hasMod(d.in, "sat"), hasMod(d.in, "relu")
	switch {
	case t.bits == 64 && mode == roundNearest:
		d.op3(t, each3(func(a, b, c uint64) uint64 {
			return double(math.FMA(math.Float64frombits(a), math.Float64frombits(b), math.Float64frombits(c)))
		}), ClassFloat)
	case t.bits == 64:
		d.unsupported("rounding mode of fma.f64")
	case t.bits == 32 && mode == roundNearest && !sat:
		d.op3(t, fmaF32(ftz), ClassFloat)
	case t.bits == 32:
		d.op3(t, each3(func(a, b, c uint64) uint64 {
			p := float64(float32From(a, ftz)) * float64(float32From(b, ftz))
			return finishF32(oddAdd(p, float64(float32From(c, ftz))), mode, ftz, sat)
		}), ClassFloat)
	default:
		fm, ok := formatOf(t)
		if !ok {
			d.unsupported("type")
			return
		}
		d.op3(t, each3(func(a, b, c uint64) uint64 {
			out := uint64(0)
			for s := 0; s < t.width(); s += 16 {
				x := oddAdd(fm.input(a>>s, ftz)*fm.input(b>>s, ftz), fm.input(c>>s, ftz))
				out |= fm.finish(x, ftz, sat, relu) << s
			}
			return out
		}), ClassFloat)
	}
}

func double(x float64) uint64 {
	if x != x {
		return nanF64
	}
	return math.Float64bits(x)
}

// doubleBinary rounds to nearest in hardware; for the directed modes the sign of the exact rest says whether to step.
func doubleBinary(op string, mode rounding) lanes2 {
	return each2(func(x, y uint64) uint64 {
		a, b := math.Float64frombits(x), math.Float64frombits(y)
		var r, rest float64
		switch op {
		case "sub":
			b = -b
			fallthrough
		case "add":
			r = a + b
			t := r - a
			rest = (a - (r - t)) + (b - t)
		case "mul":
			r = a * b
			rest = math.FMA(a, b, -r)
		case "div":
			r = a / b
			if rest = math.FMA(-r, b, a); b < 0 {
				rest = -rest
			}
		}
		return double(directed(r, rest, mode))
	})
}

// directed moves r, rounded to nearest, to the neighbour that mode asks for; rest has the sign of exact minus r.
func directed(r, rest float64, mode rounding) float64 {
	if rest == 0 || rest != rest || math.IsInf(r, 0) {
		return r
	}
	switch {
	case mode == roundDown && rest < 0, mode == roundZero && r > 0 && rest < 0:
		return math.Nextafter(r, math.Inf(-1))
	case mode == roundUp && rest > 0, mode == roundZero && r < 0 && rest > 0:
		return math.Nextafter(r, math.Inf(1))
	}
	return r
}
