package dtype

import (
	"math"

	"github.com/x448/float16"
)

// F32ToBF16 rounds to nearest, ties to even; NaN stays NaN.
func F32ToBF16(f float32) uint16 {
	u := math.Float32bits(f)
	if u&0x7fffffff > 0x7f800000 {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + (u>>16)&1) >> 16)
}

// BF16ToF32 is exact.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToF16 rounds to nearest, ties to even; values beyond the range become infinite.
func F32ToF16(f float32) uint16 { return float16.Fromfloat32(f).Bits() }

// F16ToF32 is exact.
func F16ToF32(h uint16) float32 { return float16.Frombits(h).Float32() }
