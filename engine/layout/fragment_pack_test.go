package layout

import (
	"math/rand/v2"
	"testing"
)

// What lies behind the last row and behind K is the code of zero, code 0 where zero points are stored, and nothing is left of what
// the memory held before.
func TestFragmentsPadding(t *testing.T) {
	for _, format := range FragmentFormats {
		if format.ScaleBytes == 0 {
			continue
		}
		f, err := NewFragments(format.Name, 5, 100)
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 1))
		codes := randomCodes(random, f, make([]float32, f.N*f.K))
		dirty, clean := make([]byte, f.PanelBytes()), make([]byte, f.PanelBytes())
		for i := range dirty {
			dirty[i] = 0xa5
		}
		if err := f.PackCodes(dirty, codes); err != nil {
			t.Fatal(err)
		}
		if err := f.PackCodes(clean, codes); err != nil {
			t.Fatal(err)
		}
		if string(dirty) != string(clean) {
			t.Errorf("%s: the panel depends on what the memory held", f.Name)
		}
		want := map[string]uint8{"u4": u4Zero, "u8": u8Zero, "s8": 0, "e4m3": 0}[f.Element]
		if f.Zeros {
			want = 0
		}
		for row := range FragmentRows {
			for k := range f.KPad() {
				if row < f.N && k < f.K {
					want := codes.Codes[row*f.K+k]
					if f.Element == "s8" {
						want ^= 0x80
					}
					if got := f.Code(clean, row, k); got != want {
						t.Fatalf("%s: code (%d,%d) is %d, want %d", f.Name, row, k, got, want)
					}
				} else if got := f.Code(clean, row, k); got != want {
					t.Fatalf("%s: padding (%d,%d) is %d, want %d", f.Name, row, k, got, want)
				}
			}
		}
	}
}

func TestFragmentsRefuse(t *testing.T) {
	f, err := NewFragments("frag.u4z.g32", 2, 32)
	if err != nil {
		t.Fatal(err)
	}
	panel := make([]byte, f.PanelBytes())
	good := func() Codes { return Codes{make([]uint8, 64), []float32{1, 1}, []uint8{8, 8}, nil, nil} }
	if err := f.PackCodes(panel, good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Codes){
		"inexact scale": func(c *Codes) { c.Scales[1] = 1.0001 },
		"code":          func(c *Codes) { c.Codes[40] = 16 },
		"zero point":    func(c *Codes) { c.Zeros[0] = 16 },
		"few scales":    func(c *Codes) { c.Scales = c.Scales[:1] },
		"few zeros":     func(c *Codes) { c.Zeros = nil },
		"ragged rows":   func(c *Codes) { c.Codes = c.Codes[:63] },
		"no rows":       func(c *Codes) { *c = Codes{} },
		"many rows":     func(c *Codes) { c.Codes = make([]uint8, 17*32) },
	} {
		c := good()
		if spoil(&c); f.PackCodes(panel, c) == nil {
			t.Errorf("accepted: %s", name)
		}
	}
	if f.PackFloats(panel, make([]float32, 32)) == nil || f.PackCodes(panel[:8], good()) == nil {
		t.Error("accepted numbers for codes, or a short panel")
	}
	half, _ := NewFragments("frag.f16", 2, 32)
	if err := half.PackFloats(make([]byte, half.PanelBytes()), append(make([]float32, 63), 65520)); err == nil || half.PackFloats(make([]byte, half.PanelBytes()), append(make([]float32, 63), -65519)) != nil {
		t.Errorf("numbers at the end of the range of f16: %v", err)
	}
	plain, _ := NewFragments("frag.bf16", 2, 32)
	if plain.PackCodes(make([]byte, plain.PanelBytes()), good()) == nil || plain.PackFloats(make([]byte, plain.PanelBytes()), make([]float32, 33)) == nil {
		t.Error("accepted codes for numbers, or ragged rows")
	}
}

func BenchmarkFragments(b *testing.B) {
	for _, format := range []string{"frag.bf16", "frag.u8", "frag.u4.g32"} {
		b.Run(format, func(b *testing.B) {
			f, _ := NewFragments(format, FragmentRows, 4096)
			panel, numbers := make([]byte, f.PanelBytes()), make([]float32, f.N*f.K)
			var c Codes
			if f.ScaleBytes != 0 {
				c = randomCodes(rand.New(rand.NewPCG(1, 1)), f, numbers)
			}
			b.SetBytes(int64(len(numbers)))
			for b.Loop() {
				if f.ScaleBytes == 0 {
					_ = f.PackFloats(panel, numbers)
				} else {
					_ = f.PackCodes(panel, c)
				}
			}
		})
	}
}
