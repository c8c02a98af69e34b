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
	silu, exp        func(dst, x *float32, n int)
	// sumSquares adds up in 64 lanes (element i in lane i%64), then halves the lanes pairwise.
	sumSquares func(x *float32, n int) float32
	// addSumSquares also stores sum = x + delta, whose squares it adds up.
	addSumSquares func(sum, x, delta *float32, n int) float32
	scaleMul      func(dst, x, w *float32, n int, scale float32) // dst = (x*scale)*w
	maxAbs        func(x *float32, n int) float32                // NaN if any element is
	argMax        func(x *float32, n int) int
	// quantize stores round(x*inverse), NaN as -127, and returns the sum of the codes.
	quantize func(dst *int8, x *float32, n int, inverse float32) int32
	// quantizeGroups quantizes whole groups and fills their entries.
	quantizeGroups func(dst *int8, entry *layout.Entry, x *float32, groups, group int)
	toBF16         func(dst *uint16, x *float32, n int)
	fromBF16       func(dst *float32, x *uint16, n int)
	// ropeHalf turns (x[i], x[i+half]), ropePairs (x[2i], x[2i+1]), by the angle whose cosine and sine are cos[i], sin[i].
	ropeHalf, ropePairs func(x, cos, sin *float32, half int)
}

// squareLanes is the number of partial sums of sumSquares.
const squareLanes = 64

func rowReference(rules bf16Rules) rowKernels {
	return rowKernels{
		add:            elementwise(func(a, b float32) float32 { return a + b }),
		mul:            elementwise(func(a, b float32) float32 { return a * b }),
		swiglu:         elementwise(func(gate, up float32) float32 { return silu32(gate) * up }),
		silu:           mapped(silu32),
		exp:            mapped(exp32),
		sumSquares:     refSumSquares,
		addSumSquares:  refAddSumSquares,
		scaleMul:       refScaleMul,
		maxAbs:         refMaxAbs,
		argMax:         refArgMax,
		quantize:       refQuantize,
		quantizeGroups: refQuantizeGroups,
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

func refQuantize(dst *int8, x *float32, n int, inverse float32) int32 {
	d := unsafe.Slice(dst, n)
	var sum int32
	for i, v := range unsafe.Slice(x, n) {
		q := v * inverse
		if !(q > -127) {
			q = -127
		}
		d[i] = int8(math.RoundToEven(float64(q)))
		sum += int32(d[i])
	}
	return sum
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

func refQuantizeGroups(dst *int8, entry *layout.Entry, x *float32, groups, group int) {
	d, in := unsafe.Slice(dst, groups*group), unsafe.Slice(x, groups*group)
	for g, e := 0, unsafe.Slice(entry, groups); g < groups; g++ {
		scale, inverse := quantizer(refMaxAbs(&in[g*group], group))
		sum := refQuantize(&d[g*group], &in[g*group], group, inverse)
		e[g] = layout.Entry{Scale: scale, Bias: -8 * sum, NegSum: -sum}
	}
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
