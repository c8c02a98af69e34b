package quant

import (
	"math"
	"testing"

	"llmc/internal/dtype"

	"pgregory.net/rapid"
)

// Each number is replaced by the nearest of the 254 that its row can hold: none of them is closer. The largest magnitude takes the largest code.
func TestE4M3TakesTheNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := weights(t, rapid.IntRange(1, 200).Draw(t, "n"))
		codes := make([]uint8, len(x))
		scale := E4M3(codes, x)
		for i, code := range codes {
			have := math.Abs(float64(x[i]) - float64(scale)*float64(dtype.E4M3ToF32(code)))
			for other := range 256 {
				if other&0x7f == 0x7f {
					continue
				}
				// The scale and its inverse are rounded, so that ties may fall to either side.
				d := math.Abs(float64(x[i]) - float64(scale)*float64(dtype.E4M3ToF32(uint8(other))))
				if d < have-1e-6*math.Abs(float64(x[i])) {
					t.Fatalf("%g became code %#02x, %#02x is nearer (scale %g)", x[i], code, other, scale)
				}
			}
		}
		e, _ := extreme(x)
		for i, v := range x {
			if v == e && abs(e) >= leastMaxAbs && codes[i]&0x7f != 0x7e {
				t.Fatalf("the largest magnitude %g became code %#02x", v, codes[i])
			}
		}
	})
	codes := make([]uint8, 2)
	if scale := E4M3(codes, []float32{1e-31, -1e-31}); scale != 0 || codes[0] != 0 || codes[1] != 0x80 {
		t.Errorf("numbers below the least magnitude gave %v, scale %g", codes, scale)
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		if scale := E4M3(codes, []float32{1, float32(bad)}); !(scale != scale || scale > math.MaxFloat32) || codes[1] != 0x7f {
			t.Errorf("%g gave codes %v and scale %g", bad, codes, scale)
		}
	}
}
