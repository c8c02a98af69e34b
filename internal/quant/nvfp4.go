package quant

import (
	"math"

	"llmc/internal/dtype"
)

// nvfp4Format is NVFP4 (NVIDIA, "Pretraining Large Language Models with NVFP4", arXiv:2509.25149, section 2; the layout that Model Optimizer exports): e2m1
// (internal/dtype) with a scale of e4m3 for each 16 elements, and one of f32 above these. A code stands for its level times the product of both scales, rounded to f32.
//
// Checkpoints have one scale of f32 for a weight, which here all of its rows have. Numbers are quantized with one for each row, which keeps rows independent of one
// another: kernels read it for each output anyway. Scales of groups are searched: near the one at which the largest magnitude takes the largest level, from those that
// clip it to those at which it takes the level below ("Four Over Six", Cook et al. 2025, arXiv:2512.02010), which are nearer to numbers a little smaller.
var nvfp4Format = Format{
	Name: "nvfp4", Doc: "4 bits of floating point (e2m1), a scale of e4m3 per 16 inputs and one per output channel; inputs 16 bits, a scale per group; CPUs only",
	Type: "nvfp4.g16", DType: dtype.U4, Group: 16, ScaleBits: 8, Activation: "q16g", tiered: true,
	levels: e2m1Levels(), quantize: quantizeNVFP4, nearest: nearestE2M1, fit: fitNVFP4, near: nearNVFP4,
	// At the least scale that clips nothing, which is at most an eighth too large, half a step of the uppermost binade: of groups with the row's largest magnitude.
	// Those whose numbers are too small for a scale have smaller errors than that. A single element may have all of a group's error.
	bound: func(size int) (rms, most float64) { return 9. / 48, math.Sqrt(float64(min(size, 16))) * 9 / 48 },
}

const (
	// rowScaleBits is the size of a row's scale.
	rowScaleBits = 32
	// largestPart is the scale of the group with a row's largest magnitude, where that takes the largest level. It leaves room above for other scales, and a ratio of
	// 2^14 to the least normal scale.
	largestPart = 256
	// mostPart is the code of the largest e4m3.
	mostPart = 0x7e
)

// Magnitudes of a row's scale, where it is not zero: between these its numbers are finite and normal, and so is what kernels make of scales.
const (
	MostRowScale  = 0x1p100
	LeastRowScale = 0x1p-101
)

// partsNVFP4 are where the search begins and ends, as parts of the scale at which the largest magnitude takes the largest level.
const (
	leastPartNVFP4 = 0.78
	mostPartNVFP4  = 1.55
)

// rowScale is the place of a row's scale in a block.
func (f *Format) rowScale(b *Block, row int) *float32 {
	return &b.Scales[(row+1)*f.scales(b.Cols)-1]
}

// beginTiered sets the scale of a row.
func (f *Format) beginTiered(b *Block, row int, x []float32) error {
	e, err := extreme(x)
	if err != nil {
		return err
	}
	*f.rowScale(b, row) = 0
	if abs(e) >= leastMaxAbs {
		*f.rowScale(b, row) = abs(e) / (largestPart * dtype.E2M1Max)
	}
	return nil
}

func quantizeNVFP4(f *Format, b *Block, row int, x []float32) error {
	if err := f.beginTiered(b, row, x); err != nil {
		return err
	}
	group := 0
	return f.eachGroup(b, row, x, func(_ int, x []float32, codes []uint8) error {
		e, err := extreme(x)
		if err != nil {
			return err
		}
		l := f.searchTiered(b, row, group, x, evenly[:], e)
		assignE2M1(codes, x, l.Scale)
		group++
		return nil
	})
}

func fitNVFP4(f *Format, b *Block, row, group int, x, weight []float32, e float32) (Levels, error) {
	return f.searchTiered(b, row, group, x, weight, e), nil
}

// searchTiered sets the scale of a group to the one of e4m3 that loses least.
func (f *Format) searchTiered(b *Block, row, group int, x, weight []float32, e float32) Levels {
	at, of := &b.Scales[row*f.scales(b.Cols)+group], *f.rowScale(b, row)
	*at = 0
	if of == 0 || e == 0 {
		return f.tieredLevels(b, row, group)
	}
	fits := abs(e) / dtype.E2M1Max / of
	first := min(max(dtype.F32ToE4M3(fits*leastPartNVFP4), 1), mostPart)
	last := max(first, dtype.F32ToE4M3(fits*mostPartNVFP4))
	least := float32(math.Inf(1))
	for code := first; code <= last; code++ {
		part := dtype.E4M3ToF32(code)
		if loss := float32(lossE2M1(x, weight, 1/float32(part*of)) * float32(part*part)); loss < least { // in units of the row's scale
			*at, least = part, loss
		}
	}
	return f.tieredLevels(b, row, group)
}

func (f *Format) tieredLevels(b *Block, row, group int) Levels {
	of := *f.rowScale(b, row)
	return Levels{Scale: float32(b.Scales[row*f.scales(b.Cols)+group] * of), numbers: f.levels, row: of}
}

// nearNVFP4 returns the scale of a group, a number of e4m3 times the row's, next to another.
func nearNVFP4(l Levels, scale float32) float32 {
	if !(scale > 0) || l.row == 0 {
		return l.Scale
	}
	return float32(dtype.E4M3ToF32(dtype.F32ToE4M3(scale/l.row)) * l.row)
}

// part is the scale of a group as a part of its row's. The product of both was rounded, so the quotient is as near to the part as to no other of e4m3.
func (l Levels) part() float32 {
	if l.row == 0 {
		return 0
	}
	return dtype.E4M3ToF32(dtype.F32ToE4M3(l.Scale / l.row))
}

// tieredNumbers writes the numbers of all rows.
func (f *Format) tieredNumbers(dst []float32, b *Block) {
	for r := range b.Rows {
		for g := range f.Groups(b.Cols) {
			scale := f.tieredLevels(b, r, g).Scale
			lo, hi := r*b.Cols+g*f.Group, r*b.Cols+min(b.Cols, (g+1)*f.Group)
			for k, code := range b.Codes[lo:hi] {
				dst[lo+k] = f.levels[code] * scale
			}
		}
	}
}
