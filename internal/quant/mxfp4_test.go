package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/internal/dtype"
)

// Numbers of MXFP4 stay, whatever their power of two: what was quantized before loses nothing.
func TestMXFP4(t *testing.T) {
	f, err := Find("mxfp4")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 9))
	for exponent := minExponentMX; exponent <= maxExponentMX; exponent += 7 {
		x := make([]float32, 96)
		for i := range x {
			x[i] = float32(math.Ldexp(float64(dtype.E2M1ToF32(uint8(r.IntN(16)))), exponent))
			if i%32 == 0 {
				x[i] = float32(math.Ldexp(-6, exponent))
			}
		}
		var b Block
		if err := f.Quantize(&b, x, len(x)); err != nil {
			t.Fatal(err)
		}
		y := make([]float32, len(x))
		f.Dequantize(y, &b)
		if !slices.Equal(x, y) {
			t.Errorf("2^%d: %v became %v", exponent, x, y)
		}
	}
	var b Block
	if err := f.Quantize(&b, slices.Repeat([]float32{3e38}, 32), 32); err == nil {
		t.Error("3e38 has a power of two as its scale")
	}
	if err := f.Quantize(&b, make([]float32, 32), 32); err != nil || b.Scales[0] != 1 {
		t.Errorf("zeros: scale %g, %v", b.Scales[0], err)
	}
}
