package interp

import (
	"fmt"
	"math"
	"slices"

	"llmc/internal/dtype"
	"llmc/ir"
)

// groupRounders replace the numbers of one group (one scale) by what codes rounded to nearest stand for.
var groupRounders = map[string]func(group []float32){
	"int8":  roundInt8,
	"int4":  roundInt4,
	"int4z": roundInt4Zero,
	"q8t":   roundInt8,
	"q8g":   roundInt8,
}

// roundToFormat rounds rows of cols numbers to a format. A group covers the row unless the format's name gives its
// size; the last group of a row may be short.
func roundToFormat(data []float32, format string, cols int) error {
	base, group := ir.SplitQuant(format)
	rounder := groupRounders[base]
	if rounder == nil {
		return fmt.Errorf("unknown format %q", format)
	}
	if group == 0 || base == "q8t" { // the group of q8t is that of its sums: there is one scale
		group = int64(cols)
	}
	for row := range slices.Chunk(data, cols) {
		for g := range slices.Chunk(row, int(group)) {
			rounder(g)
		}
	}
	return nil
}

func maxAbs(values []float32) float32 {
	most := float32(0)
	for _, v := range values {
		most = max(most, float32(math.Abs(float64(v))))
	}
	return most
}

// leastMaxAbs is where a group counts as zero: below it 127/maxAbs could overflow.
const leastMaxAbs = 1e-30

// roundInt8 is symmetric: codes -127..127, scale amax/127 in f32.
func roundInt8(group []float32) {
	most := maxAbs(group)
	if most < leastMaxAbs {
		clear(group)
		return
	}
	scale, inverse := most/127, 127/most
	for i, v := range group {
		code := math.RoundToEven(float64(v * inverse))
		group[i] = float32(min(127, max(-127, code))) * scale
	}
}

// roundInt4 is symmetric about code 8: the number of largest magnitude has code 0, the scale is its eighth in f16.
func roundInt4(group []float32) {
	extreme := float32(0)
	for _, v := range group {
		if math.Abs(float64(v)) > math.Abs(float64(extreme)) {
			extreme = v
		}
	}
	scale := dtype.F16ToF32(dtype.F32ToF16(extreme / -8))
	roundCodes(group, scale, 8)
}

// roundInt4Zero spreads codes 0..15 over the range of the numbers, which includes 0.
func roundInt4Zero(group []float32) {
	low, high := min(0, slices.Min(group)), max(0, slices.Max(group))
	scale := dtype.F16ToF32(dtype.F32ToF16((high - low) / 15))
	zero := float64(0)
	if scale > 0 {
		zero = min(15, math.RoundToEven(float64(-low/scale)))
	}
	roundCodes(group, scale, zero)
}

func roundCodes(group []float32, scale float32, zero float64) {
	if scale == 0 {
		clear(group)
		return
	}
	for i, v := range group {
		code := math.RoundToEven(float64(v/scale)) + zero
		group[i] = float32(min(15, max(0, code))-zero) * scale
	}
}

func (c *call) quantize() error {
	x := c.arg("x")
	y := newTensor(x.Rows, x.Cols)
	copy(y.Data, x.Data)
	c.give(y)
	return roundToFormat(y.Data, c.op.Result().Type.Quant, x.Cols)
}
