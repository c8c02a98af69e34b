package kernel

import (
	"math"

	"llmc/internal/dtype"
)

// fma32 is a*b+c rounded once to float32: what VFMADD computes. The product of two float32 is exact in float64; the sum is
// rounded to odd there (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008), so that the second
// rounding cannot go wrong.
func fma32(a, b, c float32) float32 {
	p, q := float64(a)*float64(b), float64(c)
	s := p + q
	if math.IsNaN(s) || math.IsInf(s, 0) {
		return float32(s)
	}
	t := s - p
	err := (p - (s - t)) + (q - t) // Knuth's TwoSum: s + err == p + q exactly
	if bits := math.Float64bits(s); err != 0 && bits&1 == 0 {
		if (err > 0) == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}

// flush replaces a subnormal number by a zero of its sign, as AVX512_BF16 instructions do with inputs and results.
func flush(f float32) float32 {
	if b := math.Float32bits(f); b&0x7f800000 == 0 {
		return math.Float32frombits(b & 0x80000000)
	}
	return f
}

// rounding is where sets differ. With AVX512_BF16, products of bf16 flush subnormal numbers; with tiles linears sum them in another order. Sums of two
// digits are joined before they are rounded, or, in sets with AVX-512, apart from each other before and together again: the same, unless one of them
// takes more than 24 bits, which needs over 1,032 inputs that all are large and agree in sign with their weights.
type rounding struct{ flush, tiles, apart bool }

// dot adds the products of two pairs to acc: the odd product first, then the even one, each rounded once. This is the order
// that Intel documents for VDPBF16PS (Software Developer's Manual, volume 2, VDPBF16PS) and that AMD follows.
func (r rounding) dot(acc float32, a, b [2]uint16) float32 {
	for i := 1; i >= 0; i-- {
		x, y := dtype.BF16ToF32(a[i]), dtype.BF16ToF32(b[i])
		if r.flush {
			acc = flush(fma32(flush(x), flush(y), flush(acc)))
		} else {
			acc = fma32(x, y, acc)
		}
	}
	return acc
}

// dotTile adds the dot product of up to 16 pairs to acc: even products and odd ones are summed apart, then together, then joined to acc, each
// rounded once. This is the order of TDPBF16PS (Software Developer's Manual, volume 2), which flushes subnormal numbers.
func dotTile(acc float32, a, b [][2]uint16) float32 {
	var sums [2]float32
	for k := range a {
		for i := range sums {
			x, y := flush(dtype.BF16ToF32(a[k][i])), flush(dtype.BF16ToF32(b[k][i]))
			sums[i] = flush(fma32(x, y, sums[i]))
		}
	}
	return flush(flush(acc) + flush(sums[0]+sums[1]))
}

// round converts to bf16, to nearest, ties to even.
func (r rounding) round(f float32) uint16 {
	if r.flush {
		f = flush(f)
	}
	return dtype.F32ToBF16(f)
}

// exp's range: below expLow the result is 0 (the true value is subnormal), above expHigh it stays at exp(expHigh).
const (
	expLow  = -87.33654
	expHigh = 88.37
)

// exp's reduction: x = n*ln2 + r with ln2 split so that n*ln2High is exact. The polynomial is exp(r) = 1 + r + r*r*P(r) on |r| <= ln2/2
// with P's coefficients from a Remez exchange on the relative error (3.1e-9 before rounding to float32).
const (
	log2e   = 1.442695
	ln2High = 0.69140625
	ln2Low  = 0.00174093060
)

var expPoly = [5]float32{0.49999994, 0.16666521, 0.04166839, 0.008368745, 0.0013814541}

// exp32 is e^x within 2 units in the last place: the meaning of every vectorised exponential here. NaN stays NaN.
func exp32(x float32) float32 {
	if x < expLow {
		return 0
	}
	if x > expHigh {
		x = expHigh
	}
	n := float32(math.RoundToEven(float64(x * log2e)))
	r := fma32(n, -ln2Low, fma32(n, -ln2High, x))
	p := expPoly[4]
	for i := 3; i >= 0; i-- {
		p = fma32(p, r, expPoly[i])
	}
	y := fma32(p, r*r, r) + 1
	if n != n {
		return y
	}
	return math.Float32frombits(math.Float32bits(y) + uint32(int32(n))<<23)
}

// silu32 is x * sigmoid(x).
func silu32(x float32) float32 { return x / (1 + exp32(-x)) }
