package kernel

import (
	"math"
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// rowKernels work on one row of n elements, n >= 1 and of any size. Rows may be the same memory, not overlap otherwise.
type rowKernels struct {
	add, mul, swiglu func(dst, a, b *float32, n int)
	// gateRows is swiglu of rows of 32 numbers, of which 32 gates and 32 ups lie side by side in src; those of dst are dstStride bytes apart.
	gateRows        func(dst, src unsafe.Pointer, rows, dstStride int)
	silu, exp, gelu func(dst, x *float32, n int)
	gateCubic       func(dst, x *float32, n int, a, b float32) // dst = x / (1 + e^(x*(a + b*x*x)))
	// sum adds up in 64 lanes as sumSquares does.
	sum func(x *float32, n int) float32
	// sumAbs adds up magnitudes as sum does.
	sumAbs func(x *float32, n int) float32
	// toWords stores x*inverse, rounded, ties to even, and saturated, of NaN the least word.
	toWords func(dst *int16, x *float32, n int, inverse float32)
	// sumSquares adds up in 64 lanes (element i in lane i%64), then halves the lanes pairwise.
	sumSquares func(x *float32, n int) float32
	// addSumSquares also stores sum = x + delta, whose squares it adds up.
	addSumSquares func(sum, x, delta *float32, n int) float32
	scaleMul      func(dst, x, w *float32, n int, scale float32) // dst = (x*scale)*w
	maxAbs        func(x *float32, n int) float32                // NaN if any element is
	argMax        func(x *float32, n int) int
	// quantize stores the codes of n elements, by the digits of the form: the first digit is round(x*inverse), the second what that leaves over, in
	// steps of scale/RestSteps; NaN becomes -127. It returns the sums of the codes. Codes are stored in whole vectors of 16 elements, zeros behind the last.
	quantize [maxDigits + 1]quantizeFunc
	// quantizeGroups quantizes whole groups, multiples of 32, and fills their entries.
	quantizeGroups [maxDigits + 1]quantizeGroupsFunc
	hadamard       hadamardKernels
	toBF16         func(dst *uint16, x *float32, n int)
	fromBF16       func(dst *float32, x *uint16, n int)
	// ropeHalf turns (x[i], x[i+half]), ropePairs (x[2i], x[2i+1]), by the angle whose cosine and sine are cos[i], sin[i].
	ropeHalf, ropePairs func(x, cos, sin *float32, half int)
	codeKernels
}

type (
	quantizeFunc       func(dst *int8, x *float32, n int, scale, inverse float32) (first, second int32)
	quantizeGroupsFunc func(dst *int8, entry *layout.Entry, x *float32, groups, group int)
)

// squareLanes is the number of partial sums of sumSquares.
const squareLanes = 64

func rowReference(rules rounding) rowKernels {
	return rowKernels{
		codeKernels: codeReference,
		add:         elementwise(func(a, b float32) float32 { return a + b }),
		mul:         elementwise(func(a, b float32) float32 { return a * b }),
		swiglu:      elementwise(func(gate, up float32) float32 { return silu32(gate) * up }),
		gateRows: func(dst, src unsafe.Pointer, rows, dstStride int) {
			for r := range rows {
				for i := range layout.Lanes {
					gate, up := at[float32](src, (2*r*layout.Lanes+i)*4), at[float32](src, ((2*r+1)*layout.Lanes+i)*4)
					*at[float32](dst, r*dstStride+4*i) = silu32(*gate) * *up
				}
			}
		},
		silu:           mapped(silu32),
		exp:            mapped(exp32),
		gelu:           mapped(gelu32),
		gateCubic:      refGateCubic,
		sum:            refSum,
		sumAbs:         refSumAbs,
		toWords:        refToWords,
		sumSquares:     refSumSquares,
		addSumSquares:  refAddSumSquares,
		scaleMul:       refScaleMul,
		maxAbs:         refMaxAbs,
		argMax:         refArgMax,
		quantize:       [maxDigits + 1]quantizeFunc{1: refQuantize(1), 2: refQuantize(2)},
		quantizeGroups: [maxDigits + 1]quantizeGroupsFunc{1: refQuantizeGroups(1), 2: refQuantizeGroups(2)},
		hadamard:       refHadamard,
		toBF16: func(dst *uint16, x *float32, n int) {
			d := unsafe.Slice(dst, n)
			for i, v := range unsafe.Slice(x, n) {
				d[i] = rules.round(v)
			}
		},
		fromBF16: func(dst *float32, x *uint16, n int) {
			d := unsafe.Slice(dst, n)
			for i, v := range unsafe.Slice(x, n) {
				d[i] = dtype.BF16ToF32(v)
			}
		},
		ropeHalf:  refRope(func(i, half int) (int, int) { return i, i + half }),
		ropePairs: refRope(func(i, _ int) (int, int) { return 2 * i, 2*i + 1 }),
	}
}

func elementwise(f func(a, b float32) float32) func(dst, a, b *float32, n int) {
	return func(dst, a, b *float32, n int) {
		d, y := unsafe.Slice(dst, n), unsafe.Slice(b, n)
		for i, x := range unsafe.Slice(a, n) {
			d[i] = f(x, y[i])
		}
	}
}

func mapped(f func(float32) float32) func(dst, x *float32, n int) {
	return func(dst, x *float32, n int) {
		d := unsafe.Slice(dst, n)
		for i, v := range unsafe.Slice(x, n) {
			d[i] = f(v)
		}
	}
}

// foldLanes adds the upper half of the lanes to the lower half until one is left.
func foldLanes(lanes []float32) float32 {
	for n := len(lanes) / 2; n > 0; n /= 2 {
		for i := range n {
			lanes[i] += lanes[i+n]
		}
	}
	return lanes[0]
}

func refSum(x *float32, n int) float32 {
	var lanes [squareLanes]float32
	for i, v := range unsafe.Slice(x, n) {
		lanes[i%squareLanes] += v
	}
	return foldLanes(lanes[:])
}

func refSumAbs(x *float32, n int) float32 {
	var lanes [squareLanes]float32
	for i, v := range unsafe.Slice(x, n) {
		lanes[i%squareLanes] += math.Float32frombits(math.Float32bits(v) &^ (1 << 31))
	}
	return foldLanes(lanes[:])
}

func refToWords(dst *int16, x *float32, n int, inverse float32) {
	d := unsafe.Slice(dst, n)
	for i, v := range unsafe.Slice(x, n) {
		code := math.RoundToEven(float64(float32(v * inverse)))
		if !(code < math.MaxInt32) { // what the instruction makes of NaN and of what is too large
			code = math.MinInt32
		}
		d[i] = int16(min(max(code, math.MinInt16), math.MaxInt16))
	}
}

func refSumSquares(x *float32, n int) float32 {
	var lanes [squareLanes]float32
	for i, v := range unsafe.Slice(x, n) {
		lanes[i%squareLanes] = fma32(v, v, lanes[i%squareLanes])
	}
	return foldLanes(lanes[:])
}

func refAddSumSquares(sum, x, delta *float32, n int) float32 {
	s, d := unsafe.Slice(sum, n), unsafe.Slice(delta, n)
	for i, v := range unsafe.Slice(x, n) {
		s[i] = v + d[i]
	}
	return refSumSquares(sum, n)
}

func refScaleMul(dst, x, w *float32, n int, scale float32) {
	d, m := unsafe.Slice(dst, n), unsafe.Slice(w, n)
	for i, v := range unsafe.Slice(x, n) {
		d[i] = float32(v*scale) * m[i]
	}
}

// refMaxAbs compares bit patterns without their signs, in which NaN is larger than infinity.
func refMaxAbs(x *float32, n int) float32 {
	var most uint32
	for _, v := range unsafe.Slice(x, n) {
		most = max(most, math.Float32bits(v)&0x7fffffff)
	}
	return math.Float32frombits(most)
}

// refArgMax returns the first of the largest elements; NaN counts as less than everything.
func refArgMax(x *float32, n int) int {
	best := 0
	top := float32(math.Inf(-1))
	for i, v := range unsafe.Slice(x, n) {
		if v > top {
			best, top = i, v
		}
	}
	return best
}

// digitsOf is an activation form of n elements: where their codes lie.
func digitsOf(digits, n int) layout.Activation {
	return layout.Activation{ActivationFormat: &digitForms[digits], K: n}
}

// digitForms are forms by their number of digits.
var digitForms = [maxDigits + 1]layout.ActivationFormat{1: {Digits: 1}, 2: {Digits: 2}}

// quantizeVector is the number of elements that quantize stores at once.
const quantizeVector = 16

func refQuantize(digits int) quantizeFunc {
	return func(dst *int8, x *float32, n int, scale, inverse float32) (first, second int32) {
		form := digitsOf(digits, n)
		padded := (n + quantizeVector - 1) / quantizeVector * quantizeVector
		codes := unsafe.Slice(dst, padded*digits)
		clear(codes)
		var sums [2]int32
		for i, v := range unsafe.Slice(x, n) {
			step := inverse
			for d := range digits {
				code := roundCode(v * step)
				codes[form.CodeOffset(i, d)] = int8(code)
				sums[d] += int32(code)
				v -= float32(code * scale)
				step = restInverse(scale)
			}
		}
		return sums[0], sums[1]
	}
}

// roundCode rounds to nearest, ties to even, within 127 of zero; NaN becomes -127.
func roundCode(q float32) float32 {
	if !(q > -127) {
		q = -127
	}
	q = min(q, 127)
	return float32(math.RoundToEven(float64(q)))
}

// restInverse turns what the first digit leaves over into steps of the second.
func restInverse(scale float32) float32 {
	if scale == 0 {
		return 0
	}
	return layout.RestSteps / scale
}

// leastMaxAbs is where a group counts as zero: below it 127/maxAbs could overflow.
const leastMaxAbs = 1e-30

// quantizer returns the scale of codes and its inverse for numbers up to maxAbs.
func quantizer(maxAbs float32) (scale, inverse float32) {
	if maxAbs < leastMaxAbs {
		return 0, 0
	}
	return maxAbs / 127, 127 / maxAbs
}

func refQuantizeGroups(digits int) quantizeGroupsFunc {
	quantize := refQuantize(digits)
	return func(dst *int8, entry *layout.Entry, x *float32, groups, group int) {
		codes, in := unsafe.Slice(dst, groups*group*digits), unsafe.Slice(x, groups*group)
		for g, e := 0, unsafe.Slice(entry, groups); g < groups; g++ {
			scale, inverse := quantizer(refMaxAbs(&in[g*group], group))
			first, second := quantize(&codes[g*group*digits], &in[g*group], group, scale, inverse)
			e[g] = groupEntry(scale, first, second)
		}
	}
}

// groupEntry is the entry of a group whose codes add up to first and, those of the second digit, second.
func groupEntry(scale float32, first, second int32) layout.Entry {
	return layout.Entry{Scale: scale, Bias: [2]int32{-8 * first, -8 * second}, NegSums: [2]int16{int16(-first), int16(-second)}}
}

func refRope(pair func(i, half int) (a, b int)) func(x, cos, sin *float32, half int) {
	return func(x, cos, sin *float32, half int) {
		v, c, s := unsafe.Slice(x, 2*half), unsafe.Slice(cos, half), unsafe.Slice(sin, half)
		for i := range half {
			ia, ib := pair(i, half)
			a, b := v[ia], v[ib]
			v[ia] = fma32(-b, s[i], float32(a*c[i]))
			v[ib] = fma32(a, s[i], float32(b*c[i]))
		}
	}
}
