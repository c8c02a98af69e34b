package quant

import (
	"math"

	"llmc/internal/dtype"
)

// int8Format is symmetric with one scale for each output channel: codes -127..127, stored with 128 added, scale amax/127 in f32, or near it where a calibration chooses.
// Inputs are quantized for each token in the same way (q16t).
var int8Format = Format{
	Name: "int8", Doc: "8 bits, a scale per output channel; inputs 16 bits, a scale per token",
	Type: "int8", DType: dtype.U8, ScaleBits: 32, Activation: "q16t",
	zero: 128, quantize: quantizeInt8, nearest: nearestInt8, fit: fitRow,
	// Half a step of amax/127, and the rounding of x*(127/amax), which is off by less than 2^-22 of 127 steps.
	bound: func(int) (rms, most float64) { return 1.0001 / 254, 1.0001 / 254 },
}

// int8BothFormat is the same for products of codes of 8 bits: inputs are quantized to one digit for each token (s8t).
var int8BothFormat = Format{
	Name: "int8-w8a8", Doc: "8 bits, a scale per output channel; inputs 8 bits, a scale per token; the model is rotated",
	Type: "int8a8", DType: dtype.U8, ScaleBits: 32, Activation: "s8t", Rotate: true,
	zero: 128, quantize: quantizeInt8, nearest: nearestInt8, fit: fitRow, bound: int8Format.bound,
}

// leastMaxAbs is where a group counts as zero: below it the inverse of a step could overflow.
const leastMaxAbs = 1e-30

func quantizeInt8(f *Format, b *Block, row int, x []float32) error {
	codes := b.Codes[row*b.Cols : (row+1)*b.Cols]
	e, err := extreme(x)
	if err != nil {
		return err
	}
	amax := abs(e)
	if amax < leastMaxAbs {
		b.Scales[row] = 0
		fill(codes, f.zero)
		return nil
	}
	b.Scales[row] = amax / 127
	inverse := 127 / amax
	for i, v := range x[:len(codes)] {
		codes[i] = uint8(math.Float32bits(float32(v*inverse)+(roundMagic+128)) - math.Float32bits(roundMagic))
	}
	return nil
}

func nearestInt8(x, inverse, start float32) uint8 {
	v := min(max(float32(x*inverse), -127), 127)
	return uint8(math.Float32bits(v+(roundMagic+start)) - math.Float32bits(roundMagic))
}

func fill(codes []uint8, code uint8) {
	for i := range codes {
		codes[i] = code
	}
}
