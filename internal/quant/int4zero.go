package quant

import (
	"fmt"

	"llmc/internal/dtype"
)

// int4ZeroFormat has a scale in f16 and a zero point of 0..15 for each group: the 16 codes are spread over the range of the
// group's numbers, 0 included.
func int4ZeroFormat(group int) Format {
	return Format{
		Name: fmt.Sprintf("int4-g%d-zp", group), Doc: fmt.Sprintf("4 bits, a scale and a zero point per %d inputs; inputs 16 bits, a scale per group", group),
		Type: fmt.Sprintf("int4z.g%d", group), DType: dtype.U4, Group: group, ScaleBits: 16, ZeroBits: 8, Activation: "q16g",
		quantize: quantizeInt4Zero, nearest: nearest4, fit: fitInt4Zero,
		// The range is at most twice the largest magnitude; the zero point's own rounding shifts it by half a step at most.
		bound: boundRMS(2 * int4Widths[0] / 30),
	}
}

// int4Widths are the candidates for the width that 15 steps cover, as parts of the group's range. The first covers all of it
// wherever the zero point falls, which gives the bound; 1 gives weights back that are on such a grid already.
var int4Widths = [...]float64{1.07, 1, 0.94, 0.87}

func quantizeInt4Zero(f *Format, b *Block, row int, x []float32) error {
	return f.eachGroup(b, row, x, func(i int, x []float32, codes []uint8) error {
		e, err := extreme(x)
		if err != nil {
			return err
		}
		if abs(e) < leastMaxAbs {
			b.Scales[i], b.Zeros[i] = 0, 0
			fill(codes, 0)
			return nil
		}
		low, high := limits(x)
		inverse := 15 / (float64(high) - float64(low)) // steps of the whole range, for width 1
		var grids [len(int4Widths)]grid
		var zeros [len(int4Widths)]int
		for j, width := range int4Widths {
			zeros[j] = nearest(float64(-low)*inverse/max(width, 1), 15)
			grids[j] = newGrid(float32(inverse/width), zeros[j])
		}
		best, scale := best(x, grids[:])
		b.Zeros[i] = uint8(zeros[best])
		b.Scales[i], err = assign(codes, x, scale, zeros[best])
		return err
	})
}

// limits returns the range of x and 0.
func limits(x []float32) (low, high float32) {
	low, high = span(x)
	return min(low, 0), max(high, 0)
}
