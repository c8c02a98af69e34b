package emu

import (
	"math"
	"math/bits"
)

// rounding says which neighbour a value between two representable ones becomes.
type rounding uint8

const (
	roundNearest rounding = iota // ties to even
	roundZero
	roundDown
	roundUp
	roundAway // nearest, ties away from zero
)

var roundWords = map[string]rounding{
	"rn": roundNearest, "rz": roundZero, "rm": roundDown, "rp": roundUp, "rna": roundAway,
	"rni": roundNearest, "rzi": roundZero, "rmi": roundDown, "rpi": roundUp,
}

// format is a binary floating-point format of up to 32 bits.
type format struct {
	mant, bias int
	pad        int    // low bits of the container that are not part of the format (tf32)
	sign       int    // position of the sign bit
	nan        uint64 // what instructions return for NaN
	inf        uint64 // infinity, or NaN in a format without infinities
	largest    uint64 // largest finite magnitude
}

var (
	formatF16  = format{10, 15, 0, 15, 0x7fff, 0x7c00, 0x7bff}
	formatBF16 = format{7, 127, 0, 15, 0x7fff, 0x7f80, 0x7f7f}
	formatF32  = format{23, 127, 0, 31, 0x7fffffff, 0x7f800000, 0x7f7fffff}
	formatTF32 = format{10, 127, 13, 31, 0x7fffffff, 0x7f800000, 0x7f7fe000}
	formatE5M2 = format{2, 15, 0, 7, 0x7f, 0x7c, 0x7b}
	formatE4M3 = format{3, 7, 0, 7, 0x7f, 0x7f, 0x7e}
)

func formatOf(t typ) (*format, bool) {
	switch {
	case t.kind == kFloat && t.bits == 16:
		return &formatF16, true
	case t.kind == kFloat && t.bits == 32:
		return &formatF32, true
	case t.kind == kBrain:
		return &formatBF16, true
	case t.kind == kTF32:
		return &formatTF32, true
	case t.kind == kE4M3:
		return &formatE4M3, true
	case t.kind == kE5M2:
		return &formatE5M2, true
	}
	return nil, false
}

// value is the number that the bits stand for; every format fits in a float64.
func (f *format) value(v uint64) float64 {
	v >>= f.pad
	neg := v>>(f.sign-f.pad)&1 == 1
	m := v & lowBits(f.mant)
	e := int(v >> f.mant & lowBits(f.sign-f.pad-f.mant))
	top := int(lowBits(f.sign - f.pad - f.mant))
	var x float64
	switch {
	case f == &formatE4M3 && e == top && m == 7:
		x = math.NaN()
	case f != &formatE4M3 && e == top && m != 0:
		x = math.NaN()
	case f != &formatE4M3 && e == top:
		x = math.Inf(1)
	case e == 0:
		x = float64(m) * pow2(1-f.bias-f.mant)
	default:
		x = float64(m|1<<f.mant) * pow2(e-f.bias-f.mant)
	}
	if neg {
		x = -x
	}
	return x
}

// pow2 is 2^n for n in the normal range of float64.
func pow2(n int) float64 { return math.Float64frombits(uint64(n+1023) << 52) }

// round is x in the format. With sat, what is too large becomes the largest finite number. x must be exact or rounded to odd.
func (f *format) round(x float64, mode rounding, sat bool) uint64 {
	b := math.Float64bits(x)
	sign := b >> 63 << f.sign
	b &= 1<<63 - 1
	if e := int(b >> 52); mode == roundNearest && e > 1023-f.bias && e < 1023+f.bias && f.pad == 0 { // normal here and there
		shift := uint(52-f.mant) & 63
		r := (b + 1<<(shift-1) - 1 + b>>shift&1) >> shift // ties to even
		return sign | (r - uint64(1023-f.bias)<<f.mant)
	}
	if x != x {
		return f.nan
	}
	if b == 0 {
		return sign
	}
	if b == 0x7ff<<52 {
		if sat {
			return sign | f.largest
		}
		return sign | f.inf
	}
	e, m := int(b>>52), b&(1<<52-1)
	if e == 0 { // far below every format
		n := bits.LeadingZeros64(m) - 11
		m <<= n
		e = 1 - n
	} else {
		m |= 1 << 52
	}
	e -= 1023 // x = m * 2^(e-52), 2^52 <= m < 2^53
	quantum := max(e-f.mant, 1-f.bias-f.mant)
	shift := uint(min(quantum-(e-52), 63))
	r := m >> shift
	if up(r, m&(1<<shift-1), 1<<(shift-1), mode, sign != 0) {
		r++
	}
	out := r
	if quantum > 1-f.bias-f.mant || r >= 1<<f.mant {
		out = r + uint64(quantum+f.bias+f.mant-1)<<f.mant // the hidden bit of r carries into the exponent
	}
	if out <<= f.pad; out > f.largest {
		toward := mode == roundZero || mode == roundDown && sign == 0 || mode == roundUp && sign != 0
		if sat || toward {
			return sign | f.largest
		}
		return sign | f.inf
	}
	return sign | out
}

// up decides whether to add one to the magnitude r, given the bits below and half of a unit.
func up(r, rest, half uint64, mode rounding, neg bool) bool {
	switch mode {
	case roundNearest:
		return rest > half || rest == half && r&1 == 1
	case roundAway:
		return rest >= half
	case roundUp:
		return rest != 0 && !neg
	case roundDown:
		return rest != 0 && neg
	}
	return false
}

// odd makes s, the sum of two numbers rounded to nearest, the sum rounded to odd: if err, the exact rest, is not zero and the last
// bit is even, step toward err. A result rounded to odd may be rounded again to a format at least two bits narrower without
// double rounding (Boldo, Melquiond: When double rounding is odd, 2005).
func odd(s, err float64) float64 {
	b := math.Float64bits(s)
	if err == 0 || err != err || b&1 == 1 || b&(1<<63-1) >= 0x7ff<<52 {
		return s
	}
	if (err > 0) == (s > 0) {
		return math.Float64frombits(b + 1)
	}
	return math.Float64frombits(b - 1)
}

// oddAdd is a+b rounded to odd; the rest is Knuth's TwoSum.
func oddAdd(a, b float64) float64 {
	s := a + b
	t := s - a
	return odd(s, (a-(s-t))+(b-t))
}

// oddDiv and oddSqrt find the sign of the rest with one exact remainder.
func oddDiv(a, b float64) float64 {
	q := a / b
	if q == 0 || math.IsInf(q, 0) || q != q || math.IsInf(b, 0) {
		return q
	}
	rest := math.FMA(-q, b, a)
	if b < 0 {
		rest = -rest
	}
	return odd(q, rest)
}

func oddSqrt(a float64) float64 {
	q := math.Sqrt(a)
	if q == 0 || q != q || math.IsInf(q, 0) {
		return q
	}
	return odd(q, math.FMA(-q, q, a))
}

// oddInt is an integer rounded to odd.
func oddInt(magnitude uint64, neg bool) float64 {
	if n := bits.Len64(magnitude) - 53; n > 0 {
		rest := magnitude & (1<<n - 1)
		magnitude >>= n
		if rest != 0 {
			magnitude |= 1
		}
		magnitude <<= n
	}
	x := float64(magnitude)
	if neg {
		return -x
	}
	return x
}
