package quant

import "math"

// Q8 quantizes one row (format q8t) or one group (q8g) of a linear's inputs: codes -127..127, scale amax/127 in f32. It returns the
// scale and the sum of the codes, which corrects for the zero points of weights. NaN becomes -127 and makes the scale NaN.
//
// This is the meaning of both formats; the kernels give the same bits.
func Q8(codes []int8, x []float32) (scale float32, sum int32) {
	var most uint32
	for _, v := range x {
		most = max(most, math.Float32bits(v)&^signBit)
	}
	amax, inverse := math.Float32frombits(most), float32(0)
	if !(amax < leastMaxAbs) {
		scale, inverse = amax/127, 127/amax
	}
	for i, v := range x {
		q := float32(v * inverse)
		if !(q > -127) {
			q = -127
		}
		codes[i] = int8(math.RoundToEven(float64(q)))
		sum += int32(codes[i])
	}
	return scale, sum
}

// Q8Groups quantizes a row in groups of group inputs; the last may be short. Scales and sums have one element for each group.
func Q8Groups(codes []int8, scales []float32, sums []int32, x []float32, group int) {
	for g := range scales {
		lo, hi := g*group, min(len(x), (g+1)*group)
		scales[g], sums[g] = Q8(codes[lo:hi], x[lo:hi])
	}
}
