package dtype

import (
	"math"
	"testing"
)

// e4m3 is the number that the specification gives a code, in f64.
func e4m3(code int) float64 {
	exponent, mantissa := code>>3&15, float64(code&7)
	x := math.Ldexp(1+mantissa/8, exponent-7)
	if exponent == 0 {
		x = math.Ldexp(mantissa/8, -6)
	}
	if code >= 0x80 {
		return -x
	}
	return x
}

// Every code stands for the number of the specification and is what that number becomes. Between two neighbours the nearer one is taken, in
// the middle the even one.
func TestE4M3(t *testing.T) {
	for code := range 256 {
		got := E4M3ToF32(uint8(code))
		if code&0x7f == 0x7f {
			if got == got || F32ToE4M3(got) != 0x7f {
				t.Errorf("code %#02x is %v, which becomes %#02x", code, got, F32ToE4M3(got))
			}
			continue
		}
		if float64(got) != e4m3(code) || math.Signbit(float64(got)) != (code >= 0x80) || F32ToE4M3(got) != uint8(code) {
			t.Errorf("code %#02x is %v, want %v, and comes back as %#02x", code, got, e4m3(code), F32ToE4M3(got))
		}
		if code&0x7f == 0x7e {
			continue
		}
		next := code + 1
		even := code + code&1
		middle := float32((e4m3(code) + e4m3(next)) / 2) // exact
		for _, c := range []struct {
			x    float32
			want int
		}{{math.Nextafter32(middle, got), code}, {middle, even}, {math.Nextafter32(middle, E4M3ToF32(uint8(next))), next}} {
			if have := F32ToE4M3(c.x); have != uint8(c.want) {
				t.Errorf("%g between codes %#02x and %#02x became %#02x, want %#02x", c.x, code, next, have, c.want)
			}
		}
	}
}

// What is too large becomes the largest number, as conversions to finite numbers do on GPUs.
func TestE4M3Saturates(t *testing.T) {
	inf := float32(math.Inf(1))
	for x, want := range map[float32]uint8{
		E4M3Max: 0x7e, 449: 0x7e, 464: 0x7e, 465: 0x7e, math.MaxFloat32: 0x7e, inf: 0x7e, -E4M3Max: 0xfe, -1e9: 0xfe, -inf: 0xfe,
		1e-30: 0, -1e-30: 0x80, 0x1p-10: 0, 0x1.8p-10: 1,
	} {
		if got := F32ToE4M3(x); got != want {
			t.Errorf("%g became %#02x, want %#02x", x, got, want)
		}
	}
}
