package quant

import (
	"fmt"
	"math"

	"llmc/internal/dtype"
)

// Levels are what the codes of a group stand for: code c for (c*Step + Offset) * Scale, the whole number in brackets exact; where codes are numbers themselves, for that times Scale.
type Levels struct {
	Step, Offset int32
	Scale        float32
	numbers      *[256]float32
	row          float32 // of formats with scales of two tiers: that of the row, of which Scale is a part that e4m3 has
}

// Number returns what a code stands for, to the bits of Dequantize.
func (l Levels) Number(code uint8) float32 {
	if l.numbers != nil {
		return l.numbers[code] * l.Scale
	}
	return float32(int32(code)*l.Step+l.Offset) * l.Scale
}

// Line returns what turns a number into its code: the nearest to x*inverse + start. Where the group has one number, all codes are the one that its format gives zero.
func (l Levels) Line() (inverse, start float32) {
	switch {
	case l.numbers != nil && l.Scale != 0:
		return 1 / l.Scale, 0
	case l.Step == 0:
		return 0, 0
	case l.Scale == 0:
		return 0, -float32(l.Offset)
	}
	return 1 / (l.Scale * float32(l.Step)), -float32(l.Offset) / float32(l.Step)
}

// Choosable tells whether codes of the format can be chosen one by one, by BeginRow and FitGroup.
func (f *Format) Choosable() bool { return f.nearest != nil }

// FitsGroups tells whether groups have levels of their own; else FitGroup takes the row for one.
func (f *Format) FitsGroups() bool { return f.Group > 0 }

// BeginRow sets what the groups of a row share, from the row's own numbers.
func (f *Format) BeginRow(b *Block, row int, x []float32) error {
	if f.tiered {
		return f.beginTiered(b, row, x)
	}
	if f.FitsGroups() && f.StepBits == 0 {
		return nil
	}
	return f.quantize(f, b, row, x) // of which the scale is kept
}

// FitGroup sets the scale, and zero point or step and offset, of a group so that the squared errors of the numbers x, each times its weight, are small: a search over widths of the grid
// that clip more and less of x. x may be the group's numbers in any order. Weights are positive.
func (f *Format) FitGroup(b *Block, row, group int, x, weight []float32) (Levels, error) {
	e, err := extreme(x)
	if err != nil {
		return Levels{}, err
	}
	return f.fit(f, b, row, group, x, weight, e)
}

// int4Fits are the candidates of FitGroup in steps from zero to the largest magnitude: from the widest grid to one that clips half of it. int4ZeroFits are likewise
// widths as parts of the range.
var (
	int4Fits     = [...]float32{6.5, 7, 7.35, 7.7, 8.05, 8.4, 8.75, 9.1, 9.5, 10, 10.6, 11.3, 12.2, 13.5}
	int4ZeroFits = [...]float32{1.07, 1, 0.96, 0.92, 0.88, 0.84, 0.79, 0.74, 0.68, 0.61}
)

// weighted is fit with weights: the sums of w*x*l and w*l*l.
func (g grid) weighted(x, weight []float32) (xl, ll float32) {
	var xl1, ll1 float32
	for len(x) >= 2 && len(weight) >= 2 {
		v, w := (*[2]float32)(x), (*[2]float32)(weight)
		l0, l1 := g.code(v[0])-g.base, g.code(v[1])-g.base
		wl0, wl1 := float32(w[0]*l0), float32(w[1]*l1)
		xl += float32(v[0] * wl0)
		xl1 += float32(v[1] * wl1)
		ll += float32(l0 * wl0)
		ll1 += float32(l1 * wl1)
		x, weight = x[2:], weight[2:]
	}
	for i, v := range x {
		l := g.code(v) - g.base
		wl := float32(weight[i] * l)
		xl += float32(v * wl)
		ll += float32(l * wl)
	}
	return xl + xl1, ll + ll1
}

// search keeps the grid that loses least.
type search struct {
	gain, scale float32
	zero        int
}

func (s *search) try(inverse float32, zero int, x, weight []float32) {
	xl, ll := newGrid(inverse, zero).weighted(x, weight)
	if ll == 0 {
		return
	}
	scale := xl / ll
	if gain := float32(scale * xl); gain > s.gain {
		s.gain, s.scale, s.zero = gain, scale, zero
	}
}

// set writes what was found, its scale rounded to half precision.
func (s *search) set(b *Block, i int) (Levels, error) {
	rounded := dtype.F16ToF32(dtype.F32ToF16(s.scale))
	if math.IsInf(float64(rounded), 0) {
		return Levels{}, fmt.Errorf("scale %g does not fit half precision; weights are too large for this format", s.scale)
	}
	b.Scales[i] = rounded
	return Levels{Step: 1, Offset: -int32(s.zero), Scale: rounded}, nil
}

func fitInt4(f *Format, b *Block, row, group int, x, weight []float32, e float32) (Levels, error) {
	s := search{zero: int4Zero}
	if abs(e) >= leastMaxAbs {
		for _, span := range int4Fits {
			s.try(-span/e, int4Zero, x, weight)
		}
	}
	return s.set(b, row*f.Groups(b.Cols)+group)
}

func fitInt4Zero(f *Format, b *Block, row, group int, x, weight []float32, e float32) (Levels, error) {
	i, s := row*f.Groups(b.Cols)+group, search{}
	if abs(e) >= leastMaxAbs {
		low, high := limits(x)
		inverse := maxCode / (float64(high) - float64(low))
		for _, width := range int4ZeroFits {
			middle := nearest(float64(-low)*inverse/max(float64(width), 1), maxCode)
			for zero := max(0, middle-1); zero <= min(maxCode, middle+1); zero++ {
				s.try(float32(inverse/float64(width)), zero, x, weight)
			}
		}
	}
	b.Zeros[i] = uint8(s.zero)
	return s.set(b, i)
}

// fitNested searches steps from the least that covers x down. The offset puts the grid in the middle of x, and then where the weighted mean error is least.
func fitNested(f *Format, b *Block, row, group int, x, weight []float32, _ float32) (Levels, error) {
	i, scale := row*f.Groups(b.Cols)+group, b.Scales[row]
	set := func(g nestedGrid) (Levels, error) {
		b.Steps[i], b.Zeros[i] = uint8(g.step), uint8(g.offset+nestedZero)
		return Levels{Step: int32(g.step), Offset: int32(g.offset), Scale: scale}, nil
	}
	if scale == 0 {
		return set(nestedGrid{})
	}
	inverse := 1 / scale
	low, high := span(x)
	low, high = low*inverse, high*inverse
	covers := min(max(int(math.Ceil(float64(min((high-low)/maxCode, maxStep)))), 1), maxStep)
	var best nestedGrid
	least := float32(math.Inf(1))
	for step := covers; step >= max(1, covers-nestedTries); step-- {
		middle := min(max((low+high)/2, -nestedZero), nestedZero)
		g := newNestedGrid(step, int(math.RoundToEven(float64(middle-maxCode/2.0*float32(step)))), inverse)
		for range 2 {
			mean, loss := g.weighted(x, weight)
			if loss < least {
				least, best = loss, g
			}
			g = newNestedGrid(step, g.offset+int(math.RoundToEven(float64(mean*float32(step)))), inverse)
		}
	}
	return set(best)
}

// nestedTries is how many steps below the one that covers a group are tried.
const nestedTries = 3

// weighted returns the weighted mean of what is left over, in steps, and the weighted sum of its squares in units of the row's scale.
func (g nestedGrid) weighted(x, weight []float32) (mean, loss float32) {
	var sum, squares, all float32
	for i, v := range x {
		t := float32(v*g.inverse) - g.start
		e := t - (nearestCode(t) - roundMagic)
		we := float32(weight[i] * e)
		sum += we
		squares += float32(we * e)
		all += weight[i]
	}
	if all == 0 {
		return 0, 0
	}
	return min(max(sum/all, -maxCode), maxCode), squares * float32(g.step*g.step)
}

// rowFits are the candidates of FitGroup where all of a row have one scale, as parts of the one whose largest code is the row's largest magnitude. Smaller ones clip what stands out of a row where its
// inputs hardly reach it. Close by, no scale is better than another but for where its codes fall beside the few numbers that count most, so there are many, and some are larger.
var rowFits = [...]float32{1.1, 1.06, 1.04, 1.02, 1.01, 1, 0.99, 0.98, 0.97, 0.96, 0.94, 0.92, 0.9, 0.88, 0.85, 0.82, 0.78, 0.74, 0.7, 0.65}

// fitRow searches the scale of a row around the one that BeginRow has set.
func fitRow(f *Format, b *Block, row, _ int, x, weight []float32, _ float32) (Levels, error) {
	plain := f.Levels(b, row, 0)
	best, least := plain, float32(math.Inf(1))
	for _, part := range rowFits {
		l := plain
		l.Scale *= part
		if loss := f.weighted(l, x, weight); loss < least {
			best, least = l, loss
		}
	}
	b.Scales[row] = best.Scale
	return best, nil
}

// weighted is the weighted sum of the squares by which codes miss x.
func (f *Format) weighted(l Levels, x, weight []float32) (loss float32) {
	inverse, start := l.Line()
	for i, v := range x {
		e := l.Number(f.nearest(v, inverse, start)) - v
		loss += float32(weight[i] * float32(e*e))
	}
	return loss
}

// Nearest returns what finds the code nearest to x on the line of a format's Levels.
func (f *Format) Nearest() func(x, inverse, start float32) uint8 { return f.nearest }

// nearest4 is that of formats with 16 codes.
func nearest4(x, inverse, start float32) uint8 {
	return uint8(math.Float32bits(nearestCode(float32(x*inverse)+start)) - magicBits)
}

// Levels returns what the codes of a group stand for.
func (f *Format) Levels(b *Block, row, group int) Levels {
	i := row*f.Groups(b.Cols) + group
	switch {
	case f.tiered:
		return f.tieredLevels(b, row, group)
	case f.StepBits > 0:
		return Levels{Step: int32(b.Steps[i]), Offset: int32(b.Zeros[i]) - nestedZero, Scale: b.Scales[row]}
	case f.ZeroBits > 0:
		return Levels{Step: 1, Offset: -int32(b.Zeros[i]), Scale: b.Scales[i]}
	case f.levels != nil:
		return Levels{Scale: b.Scales[i], numbers: f.levels}
	}
	return Levels{Step: 1, Offset: -int32(f.zero), Scale: b.Scales[i]}
}

// SetLevels is the other way round, of levels that Shift gave.
func (f *Format) SetLevels(b *Block, row, group int, l Levels) {
	i := row*f.Groups(b.Cols) + group
	if f.StepBits > 0 {
		b.Zeros[i] = uint8(l.Offset + nestedZero)
		return
	}
	if f.tiered {
		b.Scales[row*f.scales(b.Cols)+group] = l.part()
		return
	}
	b.Scales[i] = l.Scale
}

// Unit returns by how much the number of a code grows when the one thing that a group alone may change grows by one: its scale, or its offset times the scale of the row.
func (f *Format) Unit(l Levels, code uint8) float32 {
	if f.StepBits > 0 {
		return 1
	}
	if l.numbers != nil {
		return l.numbers[code]
	}
	return float32(int32(code)*l.Step + l.Offset)
}

// Shift returns the levels whose scale, or offset times scale, is larger by so much, as nearly as the format has them, and by how much it is.
func (f *Format) Shift(l Levels, by float32) (Levels, float32) {
	to := l
	if f.StepBits > 0 {
		if l.Scale == 0 {
			return l, 0
		}
		steps := min(max(by/l.Scale, -255), 255)
		to.Offset = int32(newNestedGrid(int(l.Step), int(l.Offset)+int(math.RoundToEven(float64(steps))), 1).offset)
		return to, float32(to.Offset-l.Offset) * l.Scale
	}
	if f.near != nil {
		to.Scale = f.near(l, l.Scale+by)
		return to, to.Scale - l.Scale
	}
	to.Scale = dtype.F16ToF32(dtype.F32ToF16(l.Scale + by))
	if math.IsInf(float64(to.Scale), 0) || math.IsNaN(float64(to.Scale)) {
		return l, 0
	}
	return to, to.Scale - l.Scale
}
