package dtype

import (
	"math"
	"testing"
)

func TestNamesRoundTrip(t *testing.T) {
	for i := F32; int(i) < len(rows); i++ {
		got, err := Parse(i.String())
		if err != nil || got != i {
			t.Errorf("Parse(%q) = %v, %v", i.String(), got, err)
		}
		if s := i.Safetensors(); s != "" {
			if got, err := FromSafetensors(s); err != nil || got != i {
				t.Errorf("FromSafetensors(%q) = %v, %v", s, got, err)
			}
		}
	}
	if _, err := Parse("invalid"); err == nil {
		t.Error("Parse accepted the invalid type")
	}
}

// Every bf16 and f16 value survives a trip through f32, and a value between two bf16 neighbours goes to the nearer, ties to even.
func TestHalfConversions(t *testing.T) {
	for i := 0; i < 1<<16; i++ {
		h := uint16(i)
		f := BF16ToF32(h)
		if math.IsNaN(float64(f)) {
			if back := F32ToBF16(f); !math.IsNaN(float64(BF16ToF32(back))) {
				t.Fatalf("bf16 %#04x: NaN lost", h)
			}
			continue
		}
		if back := F32ToBF16(f); back != h {
			t.Fatalf("bf16 %#04x came back as %#04x", h, back)
		}
		if g := F16ToF32(h); !math.IsNaN(float64(g)) && F32ToF16(g) != h {
			t.Fatalf("f16 %#04x came back as %#04x", h, F32ToF16(g))
		}
	}
	ties := map[uint32]uint16{0x3f808000: 0x3f80, 0x3f818000: 0x3f82, 0x3f808001: 0x3f81, 0x3f807fff: 0x3f80}
	for bits, want := range ties {
		if got := F32ToBF16(math.Float32frombits(bits)); got != want {
			t.Errorf("round %#08x: got %#04x, want %#04x", bits, got, want)
		}
	}
}
