package ptx

import "testing"

// TestSwizzles proves that each swizzle is a permutation, keeps 16-byte units whole, undoes itself, and spreads eight
// units of a column over different banks.
func TestSwizzles(t *testing.T) {
	for s := NoSwizzle; s <= Swizzle128; s++ {
		for at := range 4096 {
			to := s.Apply(at)
			if s.Apply(to) != at || to%16 != at%16 || to/128 != at/128 {
				t.Fatalf("swizzle of %d bytes: %d goes to %d", s.Width(), at, to)
			}
		}
		for unit := 0; unit < s.Width(); unit += 16 {
			banks := map[int]bool{}
			for row := range 8 {
				banks[s.Apply(row*s.Width()+unit)%128] = true
			}
			if len(banks) != 8 {
				t.Errorf("swizzle of %d bytes: eight rows of unit %d lie in %d groups of banks", s.Width(), unit, len(banks))
			}
		}
	}
	// Figure of the 128-byte swizzle: row 1 exchanges units 0 and 1, row 5 puts unit 2 at 7.
	if got := Swizzle128.Apply(128); got != 128+16 {
		t.Errorf("128-byte swizzle: row 1 unit 0 at %d", got)
	}
	if got := Swizzle128.Apply(5*128 + 2*16); got != 5*128+7*16 {
		t.Errorf("128-byte swizzle: row 5 unit 2 at %d", got)
	}
	// The narrower ones change units by the number of the 128-byte line.
	if got := Swizzle64.Apply(128); got != 128+16 {
		t.Errorf("64-byte swizzle: row 2 unit 0 at %d", got)
	}
	if got := Swizzle32.Apply(4 * 32); got != 4*32+16 {
		t.Errorf("32-byte swizzle: row 4 unit 0 at %d", got)
	}
}

// TestTilesCover proves that tiles place every byte once, by K and by M.
func TestTilesCover(t *testing.T) {
	const rows, steps = 64, 64
	for s := NoSwizzle; s <= Swizzle128; s++ {
		width := s.Width()
		byK := KTile(s)
		seen := map[int]bool{}
		for row := range rows {
			for k := range width {
				seen[byK.Offset(row, k)] = true
			}
		}
		if len(seen) != rows*width {
			t.Errorf("tile by K, %d bytes: %d places for %d bytes", width, len(seen), rows*width)
		}
		// By M: 256 bytes along M; blocks along M follow each other, then blocks along K.
		blocks := 256 / width
		byM := Tile{Swizzle: s, Leading: 8 * width, Stride: blocks * 8 * width}
		if s == NoSwizzle {
			byM.Leading, byM.Stride = byM.Stride, byM.Leading
		}
		seen = map[int]bool{}
		for m := range 256 {
			for k := range steps {
				at := byM.OffsetTransposed(m, k)
				if at < 0 || at >= 256*steps {
					t.Fatalf("tile by M, %d bytes: byte %d of step %d at %d", width, m, k, at)
				}
				seen[at] = true
			}
		}
		if len(seen) != 256*steps {
			t.Errorf("tile by M, %d bytes: %d places for %d bytes", width, len(seen), 256*steps)
		}
	}
	// Without a swizzle, core matrices of 8 rows by 16 bytes stand at their strides.
	plain := Tile{Leading: 256, Stride: 128}
	if got := plain.Offset(9, 35); got != 128+2*256+16+3 {
		t.Errorf("plain tile: row 9 byte 35 at %d", got)
	}
}

// TestDescriptorFields checks the bits of section 9.7.15.5.1.2.2.
func TestDescriptorFields(t *testing.T) {
	d := Tile{Swizzle: Swizzle64, Leading: 0x30, Stride: 0x200}.Encode(0x12340)
	want := uint64(0x1234) | 3<<16 | 0x20<<32 | 2<<62
	if d != want {
		t.Errorf("descriptor %#x, want %#x", d, want)
	}
	for s, code := range map[Swizzle]uint64{NoSwizzle: 0, Swizzle128: 1, Swizzle64: 2, Swizzle32: 3} {
		if got := (Tile{Swizzle: s}).Encode(0) >> 62; got != code {
			t.Errorf("swizzle of %d bytes has code %d, want %d", s.Width(), got, code)
		}
	}
	if got := (Tile{}).Encode(227 << 10); got != (227<<10)>>4 {
		t.Errorf("highest address: %#x", got)
	}
}

func TestLop3Tables(t *testing.T) {
	// The examples of section "lop3".
	for want, f := range map[uint8]func(a, b, c uint8) uint8{
		0x80: func(a, b, c uint8) uint8 { return a & b & c },
		0xfe: func(a, b, c uint8) uint8 { return a | b | c },
		0x40: func(a, b, c uint8) uint8 { return a & b &^ c },
		0x1a: func(a, b, c uint8) uint8 { return (a&b | c) ^ a },
		0xea: func(a, b, c uint8) uint8 { return a&b | c },
	} {
		if got := Lop3Table(f); got != want {
			t.Errorf("table %#x, want %#x", got, want)
		}
	}
}
