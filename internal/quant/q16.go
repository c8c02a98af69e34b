package quant

import "math"

// Q8 quantizes one row (formats q8t, s8t) or one group (q8g) of a linear's inputs to one digit: codes -127..127, scale amax/127 in f32. It returns the
// scale and the sum of the codes, which corrects for the zero points of weights. NaN becomes -127 and makes the scale NaN.
//
// This is the meaning of these formats; the kernels give the same bits.
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

// RestSteps is how many steps of the second digit make one of the first: half a step of it, the most that the first leaves over, is cut to 127.
// A power of two, so that digits can be joined before they are summed.
const RestSteps = 256

// Q16 replaces one row (format q16t) or one group (q16g) of a linear's inputs by what its two digits stand for. The first digit is Q8;
// the second holds what that leaves over, in steps of 1/256 of the first's.
func Q16(x []float32) {
	codes := make([]int8, len(x))
	scale, _ := Q8(codes, x)
	inverse := float32(0)
	if scale > 0 {
		inverse = RestSteps / scale
	}
	for i, v := range x {
		first := float32(float32(codes[i]) * scale)
		q := float32(float32(v-first) * inverse)
		q = min(max(q, -127), 127)
		x[i] = first + float32(float32(math.RoundToEven(float64(q)))*(scale/RestSteps))
	}
}
