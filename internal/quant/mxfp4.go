package quant

import (
	"errors"
	"math"

	"llmc/internal/dtype"
)

// mxfp4Format is MXFP4 (OCP Microscaling Formats, version 1.0): e2m1 (internal/dtype) with a power of two for each 32 elements. Checkpoints bring codes of their
// own; numbers are quantized with the least power at which no magnitude is beyond the largest code.
var mxfp4Format = Format{
	Name: "mxfp4", Doc: "4 bits of floating point (e2m1), a power of two per 32 inputs; inputs 16 bits, a scale per group; CPUs only",
	Type: "mxfp4.g32", DType: dtype.U4, Group: 32, ScaleBits: 8, Activation: "q16g",
	levels: e2m1Levels(), quantize: quantizeMXFP4,
	// Half a step of the uppermost binade, of the least magnitude that can be so far from a code.
	bound: func(int) (rms, most float64) { return 1. / 5, 1. / 5 },
}

// Exponents of scales: halves of them are normal numbers, and the largest code's number is finite.
const (
	minExponentMX = 2 - 127
	maxExponentMX = 252 - 127
)

// e2m1Levels is what each code stands for at scale one.
func e2m1Levels() *[256]float32 {
	var levels [256]float32
	for code := range levels {
		levels[code] = dtype.E2M1ToF32(uint8(code))
	}
	return &levels
}

func quantizeMXFP4(f *Format, b *Block, row int, x []float32) error {
	return f.eachGroup(b, row, x, func(i int, x []float32, codes []uint8) error {
		e, err := extreme(x)
		if err != nil {
			return err
		}
		fraction, exponent := math.Frexp(float64(abs(e)) / dtype.E2M1Max) // of a fraction from one half on
		if fraction == 0.5 {
			exponent--
		}
		if exponent > maxExponentMX {
			return errors.New("a weight is too large for a power of two as its scale")
		}
		exponent = max(exponent, minExponentMX)
		if e == 0 {
			exponent = 0
		}
		b.Scales[i] = float32(math.Ldexp(1, exponent))
		inverse := float32(math.Ldexp(1, -exponent))
		for k, v := range x {
			codes[k] = dtype.F32ToE2M1(float32(v * inverse))
		}
		return nil
	})
}
