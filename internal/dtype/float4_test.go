package dtype

import (
	"math"
	"testing"
)

// Codes come back, and every number goes to the nearest one, of two equally near to the even one.
func TestE2M1(t *testing.T) {
	for code := range uint8(16) {
		want := code
		if code == 8 {
			want = 0
		}
		if got := F32ToE2M1(E2M1ToF32(code)); got != want {
			t.Errorf("code %d comes back as %d", code, got)
		}
	}
	for i := -1000; i <= 1000; i++ {
		x := float32(i) / 128
		got, least := F32ToE2M1(x), math.Inf(1)
		for code := range uint8(16) {
			least = min(least, math.Abs(float64(E2M1ToF32(code)-x)))
		}
		if off := math.Abs(float64(E2M1ToF32(got) - x)); off != least {
			t.Errorf("%g becomes %g", x, E2M1ToF32(got))
		}
		if other := got ^ 1; got&1 == 1 && math.Abs(float64(E2M1ToF32(other)-x)) == least {
			t.Errorf("%g becomes %g, not the even %g", x, E2M1ToF32(got), E2M1ToF32(other))
		}
	}
	if F32ToE2M1(100) != 7 || F32ToE2M1(-100) != 15 {
		t.Error("numbers beyond the largest do not become it")
	}
}
