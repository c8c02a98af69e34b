package quant

import (
	"math"

	"llmc/internal/dtype"
)

// fp8Format is e4m3 (internal/dtype) with one scale for each output channel: amax/448 in f32, so that the largest magnitude takes the largest
// code. Targets whose matrix units multiply e4m3 quantize the inputs in the same way for each token (e4m3t); others read the codes as bf16.
var fp8Format = Format{
	Name: "fp8", Doc: "8 bits of floating point (e4m3), a scale per output channel; inputs the same, a scale per token, or bf16; CPUs that multiply bf16 hold the codes as that",
	Type: "fp8", DType: dtype.F8E4M3, ScaleBits: 32, Activation: "e4m3t",
	levels: e4m3Levels(), quantize: quantizeFP8, nearest: nearestE4M3, fit: fitRow,
	// Half a step of the uppermost binade, 16 of 448, and the rounding of x*(448/amax).
	bound: func(int) (rms, most float64) { return 1.0001 / 28, 1.0001 / 28 },
}

// fp8TensorFormat has one scale for the whole weight.
var fp8TensorFormat = Format{
	Name: "fp8-tensor", Doc: "8 bits of floating point (e4m3), one scale; inputs the same, a scale per token, or bf16; CPUs that multiply bf16 hold the codes as that",
	Type: "fp8_tensor", DType: dtype.F8E4M3, Rows: AllRows, ScaleBits: 32, Activation: "e4m3t",
	levels: e4m3Levels(), quantize: quantizeShared, bound: fp8Format.bound,
}

// fp8BlockFormat has a scale for each block of 128 rows and 128 columns, and inputs one for each token and 128 columns ("DeepSeek-V3 Technical
// Report", section 3.3.2). Four rows of a panel of a kernel's weight share one.
var fp8BlockFormat = Format{
	Name: "fp8-block", Doc: "8 bits of floating point (e4m3), a scale per 128x128 weights; inputs the same, a scale per token and 128 inputs, or bf16; CPUs that multiply bf16 hold the codes as that",
	Type: "fp8_block.g128", DType: dtype.F8E4M3, Group: 128, Rows: 128, ScaleBits: 32 / 4, Activation: "e4m3g",
	levels: e4m3Levels(), quantize: quantizeShared, bound: fp8Format.bound,
}

// e4m3Levels is what each code stands for at scale one.
func e4m3Levels() *[256]float32 {
	var levels [256]float32
	for code := range levels {
		levels[code] = dtype.E4M3ToF32(uint8(code))
	}
	return &levels
}

func quantizeFP8(_ *Format, b *Block, row int, x []float32) error {
	if _, err := extreme(x); err != nil {
		return err
	}
	b.Scales[row] = E4M3(b.Codes[row*b.Cols:(row+1)*b.Cols], x)
	return nil
}

func nearestE4M3(x, inverse, _ float32) uint8 { return dtype.F32ToE4M3(float32(x * inverse)) }

// quantizeShared takes scales from the limits of all rows that share them.
func quantizeShared(f *Format, b *Block, row int, x []float32) error {
	group := 0
	return f.eachGroup(b, row, x, func(i int, x []float32, codes []uint8) error {
		if _, err := extreme(x); err != nil {
			return err
		}
		b.Scales[i] = e4m3Within(codes, x, b.limits.Of(b.first+row, group))
		group++
		return nil
	})
}

// E4M3 quantizes one row of a weight, or one row (format e4m3t) or group (e4m3g) of a linear's inputs, to e4m3 and returns its scale, amax/448. NaN makes the scale NaN.
// This is the meaning of these formats; the kernels give the same bits.
func E4M3(codes []uint8, x []float32) (scale float32) {
	var most uint32
	for _, v := range x {
		most = max(most, math.Float32bits(v)&^signBit)
	}
	return e4m3Within(codes, x, math.Float32frombits(most))
}

// e4m3Within quantizes numbers whose magnitudes are at most amax.
func e4m3Within(codes []uint8, x []float32, amax float32) (scale float32) {
	inverse := float32(0)
	if !(amax < leastMaxAbs) {
		scale, inverse = amax/dtype.E4M3Max, dtype.E4M3Max/amax
	}
	for i, v := range x {
		codes[i] = dtype.F32ToE4M3(float32(v * inverse))
	}
	return scale
}
