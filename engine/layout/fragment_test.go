package layout

import (
	"math/rand/v2"
	"testing"

	"llmc/internal/dtype"
)

// What is packed comes back, for sizes that fill no panel, and what is padding stands for zero.
func TestFragmentsPackBack(t *testing.T) {
	for _, format := range FragmentFormats {
		for _, size := range [][2]int{{16, 64}, {1, 1}, {17, 65}, {40, 160}, {33, 300}} {
			f, err := NewFragments(format.Name, size[0], size[1])
			if err != nil {
				t.Fatal(err)
			}
			checkFragments(t, f)
		}
	}
}

func checkFragments(t *testing.T, f Fragments) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(f.N), uint64(f.K)))
	data := make([]byte, f.Bytes())
	want := make([]float32, f.N*f.K)
	for p := range f.Panels() {
		rows := min(FragmentRows, f.N-p*FragmentRows)
		panel := data[p*f.PanelBytes():][:f.PanelBytes()]
		out := want[p*FragmentRows*f.K:][:rows*f.K]
		var err error
		if f.ScaleBytes == 0 {
			for i := range out {
				out[i] = halves[f.Element].number(uint16(random.IntN(0x7bff)))
			}
			err = f.PackFloats(panel, out)
		} else {
			err = f.PackCodes(panel, randomCodes(random, f, out))
		}
		if err != nil {
			t.Fatalf("%s [%d,%d]: %v", f.Name, f.N, f.K, err)
		}
	}
	row := make([]float32, f.K)
	for n := range f.N {
		f.Row(row, data, n)
		for k, got := range row {
			if got != want[n*f.K+k] {
				t.Fatalf("%s [%d,%d]: element (%d,%d) is %v, want %v", f.Name, f.N, f.K, n, k, got, want[n*f.K+k])
			}
		}
	}
}

// randomCodes makes codes of rows and writes what they stand for to out.
func randomCodes(random *rand.Rand, f Fragments, out []float32) Codes {
	groups, zero, limit := f.groups(f.K), u4Zero, 16
	if f.Depth == 32 {
		zero, limit = u8Zero, 256 // codes of s8 come as those of u8
	}
	number := func(code, zero int) float32 { return float32(code - zero) }
	if f.Element == "e4m3" {
		limit = 0x7f // no NaN
		number = func(code, _ int) float32 { return dtype.E4M3ToF32(uint8(code)) }
	}
	var c Codes
	for i := range len(out) / f.K * groups {
		scale := float32(1+random.IntN(100)) / 64
		if shared := i / groups % f.ScaleRows; shared > 0 {
			scale = c.Scales[i-shared*groups]
		}
		c.Scales = append(c.Scales, scale)
		if f.Zeros {
			c.Zeros = append(c.Zeros, uint8(random.IntN(16)))
		}
	}
	for i := range out {
		g := 0
		if f.Group > 0 {
			g = i % f.K / f.Group
		}
		z := zero
		if f.Zeros {
			z = int(c.Zeros[i/f.K*groups+g])
		}
		code := random.IntN(limit)
		c.Codes = append(c.Codes, uint8(code))
		out[i] = number(code, z) * c.Scales[i/f.K*groups+g]
	}
	return c
}

// Two elements never share bits, and a panel's fragments hold nothing else.
func TestFragmentsAreDense(t *testing.T) {
	for _, format := range FragmentFormats {
		f, _ := NewFragments(format.Name, 16, 128)
		bits := 256 / f.Depth // of an element
		seen := map[int]bool{}
		for row := range 16 {
			for k := range 128 {
				at, shift := f.place(row, k)
				if seen[8*at+shift] || shift%bits != 0 && bits < 8 {
					t.Fatalf("%s: element (%d,%d) at bit %d", f.Name, row, k, 8*at+shift)
				}
				seen[8*at+shift] = true
			}
		}
		if size := 16 * 128 * bits / 8; size != 128/f.Depth*fragmentBytes {
			t.Errorf("%s: %d bytes of elements in fragments of %d", f.Name, size, 128/f.Depth*fragmentBytes)
		}
	}
}

// Operand A of mma.m16n8k32 as the ISA states it for 8-bit elements: a0..a15 of a lane, four to a register. Row: groupID for i below 4 and for 8
// to 11, else groupID + 8. Column: threadID_in_group*4 + i%4, + 16 from i = 8 on.
func TestE4M3FragmentIsOperandA(t *testing.T) {
	f, err := NewFragments("frag.e4m3", 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for lane := range 32 {
		for i := range 16 {
			row, k := lane/4, lane%4*4+i%4
			if i >= 4 && i < 8 || i >= 12 {
				row += 8
			}
			if i >= 8 {
				k += 16
			}
			for _, depth := range []int{0, 1} {
				if at, _ := f.place(row, k+32*depth); at != 512*depth+16*lane+i {
					t.Errorf("element (%d,%d) lies at %d, not in lane %d as a%d", row, k+32*depth, at, lane, i)
				}
			}
		}
	}
}
