package quant

import (
	"math"
	"slices"

	"llmc/internal/dtype"
)

// int4NestedFormat has one scale for each output channel, and for each group of 32 a step and an offset that are whole numbers: code c of 0..15
// stands for (c*step + offset - 128) * scale. What is in brackets is a signed byte, so that a weight is one of 8 bits that takes 4.375: products sum
// codes over all inputs, as those of int8 do, and groups cost them nothing.
//
// Two levels of scales are those of "K-quants" (llama.cpp) and SpQR (Dettmers et al., 2023, section 4.3); here the inner level is exact.
func int4NestedFormat() Format {
	return Format{
		Name: "int4-nested", Doc: "4 bits, a scale per output channel, whole steps and offsets per 32 inputs; inputs 16 bits, a scale per token; CPUs only",
		Type: "int4n.g32", DType: dtype.U4, Group: nestedGroup, ScaleBits: 32, StepBits: 4, ZeroBits: 8, Activation: "q16t",
		quantize: quantizeInt4Nested, nearest: nearest4, fit: fitNested, bound: boundNested,
	}
}

// int4NestedBothFormat is the same for inputs of 8 bits. Rotating a model would help them, but costs many models more at 4 bits than it gains.
func int4NestedBothFormat() Format {
	f := int4NestedFormat()
	f.Name, f.Type = "int4-nested-a8", "int4na8.g32"
	f.Doc = "4 bits, a scale per output channel, whole steps and offsets per 32 inputs; inputs 8 bits, a scale per token; CPUs only"
	f.Activation = "s8t"
	return f
}

// nestedZero is the sum of code*step and offset that stands for the weight 0.
const nestedZero = 128

// nestedGroup is the number of inputs that share a step and an offset.
const nestedGroup = 32

// maxStep is the largest step: 15 of them, from the least code on, must be bytes.
const maxStep = 15

// boundNested: at the step that covers a group, an element is off by half a step and the half by which the offset is rounded, at most 8 of the
// row's scale, which is at most amax/127 or twice amax over the 225 that the largest step covers.
func boundNested(size int) (rms, most float64) {
	const rowScale = 2.0 / (maxCode * maxStep)
	rms = (maxStep + 1) / 2 * rowScale * 1.0001
	return rms, rms * math.Sqrt(float64(min(size, 32)))
}

func quantizeInt4Nested(f *Format, b *Block, row int, x []float32) error {
	groups := f.Groups(len(x))
	low, high := b.spans(groups)
	for g := vectorSpans(x, low, high); g < groups; g++ {
		low[g], high[g] = span(x[g*nestedGroup : min(len(x), (g+1)*nestedGroup)])
	}
	amax, scale, inverse := float32(0), float32(0), float32(0)
	for g := range groups {
		amax = max(amax, abs(low[g]), abs(high[g]))
	}
	if !(amax <= math.MaxFloat32) {
		return errNotFinite
	}
	if amax >= leastMaxAbs {
		scale = amax / 127
		for g := range groups {
			scale = max(scale, high[g]/(maxCode*maxStep)-low[g]/(maxCode*maxStep))
		}
		inverse = 1 / scale
	}
	b.Scales[row] = scale
	codes, steps, offsets := b.Codes[row*b.Cols:(row+1)*b.Cols], b.Steps[row*groups:(row+1)*groups], b.Zeros[row*groups:(row+1)*groups]
	for g := vectorNested(x, low, high, inverse, codes, steps, offsets); g < groups; g++ {
		lo, hi := g*nestedGroup, min(len(x), (g+1)*nestedGroup)
		grid := bestNested(x[lo:hi], low[g], high[g], inverse)
		steps[g], offsets[g] = uint8(grid.step), uint8(grid.offset+nestedZero)
		grid.assign(codes[lo:hi], x[lo:hi])
	}
	return nil
}

// spans makes room for the ranges of a row's groups.
func (b *Block) spans(groups int) (low, high []float32) {
	b.low, b.high = slices.Grow(b.low[:0], groups)[:groups], slices.Grow(b.high[:0], groups)[:groups]
	return b.low, b.high
}

// nestedNumbers writes the numbers of a row.
func (b *Block) nestedNumbers(dst []float32, row int) {
	groups := len(b.Steps) / b.Rows
	codes, steps, offsets := b.Codes[row*b.Cols:(row+1)*b.Cols], b.Steps[row*groups:(row+1)*groups], b.Zeros[row*groups:(row+1)*groups]
	for g := vectorNumbers(dst, codes, steps, offsets, b.Scales[row]); g < groups; g++ {
		step, offset := int32(steps[g]), int32(offsets[g])-nestedZero
		for k := g * nestedGroup; k < min(b.Cols, (g+1)*nestedGroup); k++ {
			dst[k] = float32(int32(codes[k])*step+offset) * b.Scales[row]
		}
	}
}

// nestedGrid is a candidate for a group's step and offset; 128 is not added to this one.
type nestedGrid struct {
	step, offset int
	inverse      float32 // 1/(scale*step)
	start        float32 // offset/step
}

// newNestedGrid makes a grid whose numbers are bytes. inverse is that of the row's scale.
func newNestedGrid(step, offset int, inverse float32) nestedGrid {
	offset = min(max(offset, -nestedZero), 255-nestedZero-maxCode*step)
	if step == 0 {
		return nestedGrid{offset: offset}
	}
	return nestedGrid{step, offset, inverse / float32(step), float32(offset) / float32(step)}
}

// bestNested returns the grid with the least squared error of two: the smallest step that covers x, numbers from low to high, and the one below it, which clips. The offset
// puts the grid in the middle of x, and then where the mean error is least.
func bestNested(x []float32, low, high, inverse float32) nestedGrid {
	low, high = low*inverse, high*inverse
	middle := (low + high) / 2
	covers := min(int(math.Ceil(float64(high-low)/maxCode)), maxStep)
	if covers == 0 {
		return newNestedGrid(0, int(math.RoundToEven(float64(middle))), inverse)
	}
	var best nestedGrid
	least, mean := float32(math.Inf(1)), float32(0)
	for step := covers; step >= max(1, covers-1); step-- {
		g := newNestedGrid(step, int(math.RoundToEven(float64(middle-maxCode/2.0*float32(step)))), inverse)
		sum, squares := g.errors(x)
		if loss := float32(squares * float32(step*step)); loss < least {
			least, best, mean = loss, g, sum*float32(step)/float32(len(x))
		}
	}
	return newNestedGrid(best.step, best.offset+int(math.RoundToEven(float64(mean))), inverse)
}

// errors gives each element its nearest code and returns the sums of what is left over and of its squares, in steps.
func (g nestedGrid) errors(x []float32) (sum, squares float32) {
	var sum1, squares1 float32
	for len(x) >= 2 {
		v := (*[2]float32)(x)
		t0, t1 := float32(v[0]*g.inverse)-g.start, float32(v[1]*g.inverse)-g.start
		e0, e1 := t0-(nearestCode(t0)-roundMagic), t1-(nearestCode(t1)-roundMagic)
		sum += e0
		sum1 += e1
		squares += float32(e0 * e0)
		squares1 += float32(e1 * e1)
		x = x[2:]
	}
	for _, v := range x {
		t := float32(v*g.inverse) - g.start
		e := t - (nearestCode(t) - roundMagic)
		sum += e
		squares += float32(e * e)
	}
	return sum + sum1, squares + squares1
}

// nearestCode returns roundMagic + the code nearest to t, |t| being far below 2^22.
func nearestCode(t float32) float32 { return clip(t + roundMagic) }

// assign gives each element its code.
func (g nestedGrid) assign(codes []uint8, x []float32) {
	if g.step == 0 {
		fill(codes, 0)
		return
	}
	for len(x) >= 4 && len(codes) >= 4 {
		v, c := (*[4]float32)(x), (*[4]uint8)(codes)
		c0, c1 := nearestCode(float32(v[0]*g.inverse)-g.start), nearestCode(float32(v[1]*g.inverse)-g.start)
		c2, c3 := nearestCode(float32(v[2]*g.inverse)-g.start), nearestCode(float32(v[3]*g.inverse)-g.start)
		c[0], c[1] = uint8(math.Float32bits(c0)), uint8(math.Float32bits(c1))
		c[2], c[3] = uint8(math.Float32bits(c2)), uint8(math.Float32bits(c3))
		x, codes = x[4:], codes[4:]
	}
	for i, v := range x {
		codes[i] = uint8(math.Float32bits(nearestCode(float32(v*g.inverse) - g.start)))
	}
}
