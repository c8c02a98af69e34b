package quant

import (
	"errors"
	"math"

	"llmc/internal/dtype"
)

// mxfp4Format is MXFP4 (OCP Microscaling Formats, version 1.0): e2m1 (internal/dtype) with a power of two for each 32 elements. Checkpoints bring codes of their
// own; numbers are quantized with the power that loses least: the least at which no magnitude is beyond the largest code, or half of it.
var mxfp4Format = Format{
	Name: "mxfp4", Doc: "4 bits of floating point (e2m1), a power of two per 32 inputs; inputs 16 bits, a scale per group; CPUs only",
	Type: "mxfp4.g32", DType: dtype.U4, Group: 32, ScaleBits: 8, Activation: "q16g",
	levels: e2m1Levels(), quantize: quantizeMXFP4, nearest: nearestE2M1, fit: fitMXFP4, near: nearMXFP4,
	// Half a step of the uppermost binade, of the least magnitude that can be so far from a code; a single element may have all of a group's error.
	bound: func(size int) (rms, most float64) { return 1. / 5, math.Sqrt(float64(size)) / 5 },
}

// Exponents of scales: halves of them are normal numbers, and the largest code's number is finite.
const (
	minExponentMX = 2 - 127
	maxExponentMX = 252 - 127
)

// powersMXFP4 are the scales to try for a group whose largest magnitude is amax.
func powersMXFP4(amax float32) ([]float32, error) {
	fraction, exponent := math.Frexp(float64(amax) / dtype.E2M1Max) // of a fraction from one half on
	if fraction == 0.5 {
		exponent--
	}
	if exponent > maxExponentMX {
		return nil, errors.New("a weight is too large for a power of two as its scale")
	}
	exponent = max(exponent, minExponentMX)
	if amax == 0 {
		exponent = 0
	}
	scales := []float32{float32(math.Ldexp(1, exponent))}
	if amax > 0 && exponent > minExponentMX {
		scales = append(scales, scales[0]/2)
	}
	return scales, nil
}

func quantizeMXFP4(f *Format, b *Block, row int, x []float32) error {
	return f.eachGroup(b, row, x, func(i int, x []float32, codes []uint8) error {
		e, err := extreme(x)
		if err != nil {
			return err
		}
		scales, err := powersMXFP4(abs(e))
		if err != nil {
			return err
		}
		b.Scales[i] = tryScales(x, evenly[:], scales)
		assignE2M1(codes, x, b.Scales[i])
		return nil
	})
}

func fitMXFP4(f *Format, b *Block, row, group int, x, weight []float32, e float32) (Levels, error) {
	scales, err := powersMXFP4(abs(e))
	if err != nil {
		return Levels{}, err
	}
	b.Scales[row*f.Groups(b.Cols)+group] = tryScales(x, weight, scales)
	return f.Levels(b, row, group), nil
}

// nearMXFP4 returns the power of two next to a scale.
func nearMXFP4(l Levels, scale float32) float32 {
	if !(scale > 0) {
		return l.Scale
	}
	exponent := int(math.RoundToEven(math.Log2(float64(scale))))
	return float32(math.Ldexp(1, min(max(exponent, minExponentMX), maxExponentMX)))
}
