package quant

import (
	"fmt"
	"math"

	"llmc/internal/dtype"
)

// grid is a candidate for a group's step and zero point: the numbers (c-zero)*step for codes c of 0..15.
type grid struct {
	inverse float32 // 1/step
	base    float32 // roundMagic+zero: what x*inverse is added to, so that the sum's low bits are the code
}

func newGrid(inverse float32, zero int) grid { return grid{inverse, float32(roundMagic + zero)} }

// code returns roundMagic + the code of x. |x| must be far below 2^22 steps.
func (g grid) code(x float32) float32 { return clip(float32(x*g.inverse) + g.base) }

// clip keeps roundMagic + a whole number within those of codes.
func clip(sum float32) float32 {
	if math.Float32bits(sum)-magicBits > maxCode {
		return end(sum)
	}
	return sum
}

// end returns the end of the range of codes that a sum is beyond; a function of its own, so that clip is inlined.
func end(sum float32) float32 {
	if sum < roundMagic {
		return roundMagic
	}
	return roundMagic + maxCode
}

const (
	maxCode   = 15
	magicBits = 0x4b400000 // of the f32 roundMagic
)

// fit gives each element x its nearest code's level l = c-zero and returns the sums of x*l and l*l. With those levels the squared
// error is least at the scale sum(x*l)/sum(l*l), where it is sum(x*x) - sum(x*l)^2/sum(l*l). It takes four elements at a time:
// a build spends more time here than anywhere else.
func (g grid) fit(x []float32) (xl, ll float32) {
	var xl0, xl1, ll0, ll1 float32
	for len(x) >= 4 {
		v := (*[4]float32)(x)
		x0, x1, x2, x3 := v[0], v[1], v[2], v[3]
		l0, l1 := g.code(x0)-g.base, g.code(x1)-g.base
		l2, l3 := g.code(x2)-g.base, g.code(x3)-g.base
		xl0 += float32(x0 * l0)
		xl1 += float32(x1 * l1)
		ll0 += float32(l0 * l0)
		ll1 += float32(l1 * l1)
		xl0 += float32(x2 * l2)
		xl1 += float32(x3 * l3)
		ll0 += float32(l2 * l2)
		ll1 += float32(l3 * l3)
		x = x[4:]
	}
	for _, v := range x {
		l := g.code(v) - g.base
		xl0 += float32(v * l)
		ll0 += float32(l * l)
	}
	return xl0 + xl1, ll0 + ll1
}

// nearest rounds x to an integer within 0..most.
func nearest(x float64, most int) int { return min(max(int(math.RoundToEven(x)), 0), most) }

// boundRMS is the bound of a format that picks its grid by the squared error: one candidate has rms as its largest error, the one
// chosen is no worse in sum, so a single element may have all of it. Rounding the scale to f16 adds 2^-11 of the values.
func boundRMS(rms float64) func(size int) (float64, float64) {
	rms += 0x1p-11
	return func(size int) (float64, float64) { return rms, rms * math.Sqrt(float64(size)) }
}

// best returns the index of the grid with the least squared error and the best scale for its levels.
func best(x []float32, grids []grid) (index int, scale float32) {
	var most float32
	for i, g := range grids {
		xl, ll := g.fit(x)
		if ll == 0 {
			continue
		}
		ls := xl / ll
		if gain := float32(ls * xl); gain > most {
			most, index, scale = gain, i, ls
		}
	}
	return index, scale
}

// assign gives each element its nearest code at a scale rounded to f16, which it returns. Scale 0 makes every code the zero point.
func assign(codes []uint8, x []float32, scale float32, zero int) (float32, error) {
	rounded := dtype.F16ToF32(dtype.F32ToF16(scale))
	if math.IsInf(float64(rounded), 0) {
		return 0, fmt.Errorf("scale %g does not fit half precision; weights are too large for this format", scale)
	}
	if rounded == 0 {
		fill(codes, uint8(zero))
		return 0, nil
	}
	newGrid(1/rounded, zero).assign(codes, x)
	return rounded, nil
}

// assign gives each element its code. Elements are at most some 40 steps: the best scale is never below half a candidate's step.
func (g grid) assign(codes []uint8, x []float32) {
	for len(x) >= 4 && len(codes) >= 4 {
		v, c := (*[4]float32)(x), (*[4]uint8)(codes)
		c0, c1, c2, c3 := g.code(v[0]), g.code(v[1]), g.code(v[2]), g.code(v[3])
		c[0] = uint8(math.Float32bits(c0))
		c[1] = uint8(math.Float32bits(c1))
		c[2] = uint8(math.Float32bits(c2))
		c[3] = uint8(math.Float32bits(c3))
		x, codes = x[4:], codes[4:]
	}
	for i, v := range x {
		codes[i] = uint8(math.Float32bits(g.code(v)))
	}
}
