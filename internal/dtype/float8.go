package dtype

import "math"

// E4M3Max is the largest number of e4m3, the 8-bit format with 4 bits of exponent (bias 7), 3 of mantissa, no infinities and one NaN of each
// sign ("OCP 8-bit Floating Point Specification (OFP8)", section 5).
const E4M3Max = 448

// Parts of f32 and e4m3 numbers.
const (
	e4m3Sign   = 0x80
	e4m3NaN    = 0x7f
	e4m3Most   = 0x7e           // code of E4M3Max
	e4m3Shift  = 20             // mantissa bits that f32 has more
	e4m3Rebias = (127 - 7) << 3 // what the exponent of f32 is larger by, as it lies in a code
	e4m3Normal = 0x3c800000     // f32 of 2^-6, the least normal number
	e4m3Limit  = 0x43e00000     // f32 of E4M3Max
	// e4m3Magic, added to a number below 2^-6, rounds it to a multiple of 2^-9, whose count is then in the sum's low bits.
	e4m3Magic = 1 << 14
)

// F32ToE4M3 rounds to nearest, ties to even. Numbers beyond the range become the largest of their sign; NaN becomes 0x7f.
func F32ToE4M3(f float32) uint8 {
	u := math.Float32bits(f)
	sign, u := uint8(u>>24)&e4m3Sign, u&0x7fffffff
	switch {
	case u > 0x7f800000:
		return e4m3NaN
	case u >= e4m3Limit:
		return sign | e4m3Most
	case u < e4m3Normal:
		return sign | uint8(math.Float32bits(math.Float32frombits(u)+e4m3Magic))
	}
	return sign | uint8((u+(1<<(e4m3Shift-1)-1)+u>>e4m3Shift&1)>>e4m3Shift-e4m3Rebias)
}

// E4M3ToF32 is exact.
func E4M3ToF32(c uint8) float32 {
	if c&e4m3NaN == e4m3NaN {
		return float32(math.NaN())
	}
	// The code as f32 is 2^120 times too small, subnormal numbers too.
	return math.Float32frombits(uint32(c&e4m3Sign)<<24|uint32(c&^e4m3Sign)<<e4m3Shift) * 0x1p120
}
