package layout

import (
	"testing"

	"llmc/internal/dtype"
)

// Every element of a page has its own bytes, inside the page, and rows are whole units of 16 bytes.
func TestPlainKVOffsetsAreDistinct(t *testing.T) {
	for _, c := range []struct {
		page, heads, dim int
		bytes            int // by hand
		k, v             int // K(1,3,2) and V(1,3,2) by hand, of the last head
	}{
		{16, 1, 64, 2 * 16 * 64 * 2, 0, 0},
		{32, 2, 24, 2 * 2 * 32 * 24 * 2, 32*48 + 3*48 + 4, 2*32*48 + 32*48 + 3*48 + 4},
		{48, 2, 5, 2 * 2 * 48 * 16, 48*16 + 3*16 + 4, 2*48*16 + 48*16 + 3*16 + 4},
		{128, 2, 20, 2 * 2 * 128 * 48, 128*48 + 3*48 + 4, 2*128*48 + 128*48 + 3*48 + 4},
	} {
		kv, err := NewPlainKV(dtype.BF16, c.page, c.heads, c.dim)
		if err != nil {
			t.Fatal(err)
		}
		if kv.Bytes() != c.bytes || kv.Bytes()%Align != 0 || kv.RowBytes()%16 != 0 {
			t.Errorf("%+v: %d bytes in rows of %d", kv, kv.Bytes(), kv.RowBytes())
		}
		if c.heads > 1 && (kv.K(1, 3, 2) != c.k || kv.V(1, 3, 2) != c.v) {
			t.Errorf("%+v: K at %d, V at %d, want %d and %d", kv, kv.K(1, 3, 2), kv.V(1, 3, 2), c.k, c.v)
		}
		seen := map[int]bool{}
		for h := range kv.Heads {
			for s := range kv.PageSize {
				for d := range kv.Dim {
					for _, at := range []int{kv.K(h, s, d), kv.V(h, s, d)} {
						if seen[at] || at < 0 || at%2 != 0 || at+2 > kv.Bytes() {
							t.Fatalf("%+v: head %d slot %d channel %d at %d", kv, h, s, d, at)
						}
						seen[at] = true
					}
				}
			}
		}
	}
}

// Codes take half the bytes, and each row of keys and values has a scale of its own behind all rows.
func TestPlainKVScales(t *testing.T) {
	for _, typ := range []dtype.Type{dtype.F8E4M3, dtype.I8} {
		kv, err := NewPlainKV(typ, 32, 3, 24)
		if err != nil {
			t.Fatal(err)
		}
		rows := 2 * 3 * 32 * 32
		if !kv.Scaled() || kv.RowBytes() != 32 || kv.Bytes() != rows+2*3*32*2 || kv.Bytes()%Align != 0 {
			t.Errorf("%v: %d bytes in rows of %d", typ, kv.Bytes(), kv.RowBytes())
		}
		if at := kv.V(1, 3, 2); at != 3*32*32+(32+3)*32+2 {
			t.Errorf("%v: value at %d", typ, at)
		}
		seen := map[int]bool{}
		for h := range 3 {
			for s := range 32 {
				for _, at := range []int{kv.KScale(h, s), kv.VScale(h, s)} {
					if seen[at] || at < rows || at%2 != 0 || at+2 > kv.Bytes() {
						t.Fatalf("%v: scale of head %d, slot %d at %d", typ, h, s, at)
					}
					seen[at] = true
				}
			}
		}
	}
	if kv, err := NewPlainKV(dtype.F16, 16, 1, 64); err != nil || kv.Scaled() || kv.Bytes() != 2*16*128 {
		t.Errorf("f16: %+v, %v", kv, err)
	}
}

func TestNewPlainKVRefuses(t *testing.T) {
	for _, c := range []PlainKV{
		{dtype.F32, 16, 1, 64, 0}, {dtype.BF16, 8, 1, 64, 0}, {dtype.BF16, 24, 1, 64, 0}, {dtype.BF16, 144, 1, 64, 0}, {dtype.BF16, 0, 1, 64, 0},
		{dtype.BF16, 16, 0, 64, 0}, {dtype.BF16, 16, 1, 0, 0}, {dtype.BF16, 16, 1, 257, 0}, {dtype.BF16, 16, 1 << 13, 64, 0},
	} {
		if _, err := NewPlainKV(c.DType, c.PageSize, c.Heads, c.Dim); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}

// A latent row is a key whose first channels are the value, with one scale for both.
func TestPlainLatent(t *testing.T) {
	for _, c := range []struct {
		typ                       dtype.Type
		page, rank, dim           int
		row, bytes, key, keyScale int // by hand: of slot 3, channel 2
	}{
		{dtype.BF16, 16, 512, 576, 1152, 16 * 1152, 3*1152 + 4, 0},
		{dtype.F16, 32, 32, 42, 96, 32 * 96, 3*96 + 4, 0},
		{dtype.I8, 16, 512, 576, 576, 16*576 + 64, 3*576 + 2, 16*576 + 6},
		{dtype.F8E4M3, 48, 16, 20, 32, 48*32 + 128, 3*32 + 2, 48*32 + 6},
	} {
		kv, err := NewPlainLatent(c.typ, c.page, c.rank, c.dim)
		if err != nil {
			t.Fatal(err)
		}
		if kv.RowBytes() != c.row || kv.Bytes() != c.bytes || kv.K(0, 3, 2) != c.key || kv.V(0, 3, 2) != c.key || kv.Bytes()%Align != 0 {
			t.Errorf("%+v: rows of %d, pages of %d, key at %d, value at %d", c, kv.RowBytes(), kv.Bytes(), kv.K(0, 3, 2), kv.V(0, 3, 2))
		}
		if kv.Scaled() && (kv.KScale(0, 3) != c.keyScale || kv.VScale(0, 3) != c.keyScale) {
			t.Errorf("%+v: scales at %d and %d", c, kv.KScale(0, 3), kv.VScale(0, 3))
		}
	}
	for _, c := range []struct {
		typ             dtype.Type
		page, rank, dim int
	}{{dtype.F32, 16, 32, 48}, {dtype.BF16, 24, 32, 48}, {dtype.BF16, 16, 23, 48}, {dtype.BF16, 16, 0, 48}, {dtype.BF16, 16, 48, 48}, {dtype.BF16, 16, 32, 33}, {dtype.BF16, 16, 528, 560}, {dtype.BF16, 16, 512, 578}, {dtype.BF16, 16, -16, 48}} {
		if _, err := NewPlainLatent(c.typ, c.page, c.rank, c.dim); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}

// Codes of u4 take half a byte each, all bits of which are their own.
func TestPlainKVOfU4(t *testing.T) {
	for _, c := range []struct{ dim, row int }{{5, 16}, {32, 16}, {33, 32}, {80, 48}, {128, 64}, {256, 128}} {
		kv, err := NewPlainKV(dtype.U4, 32, 3, c.dim)
		if err != nil {
			t.Fatal(err)
		}
		rows := 2 * 3 * 32 * c.row
		if !kv.Scaled() || kv.RowBytes() != c.row || kv.Bytes() != roundUp(rows+2*3*32*2, Align) || kv.V(1, 3, 2) != 3*32*c.row+(32+3)*c.row+1 || kv.VScale(0, 1) != rows+3*32*2+2 {
			t.Errorf("%+v: %d bytes in rows of %d, a value at %d, its scale at %d", c, kv.Bytes(), kv.RowBytes(), kv.V(1, 3, 2), kv.VScale(0, 1))
		}
		row, codes := make([]byte, c.row), make([]uint16, c.dim)
		for pass := range 3 {
			for d := range codes {
				codes[d] = uint16(d*7+pass*5) % 16
				PutU4(row, d, codes[d])
			}
			for d, code := range codes {
				if got := U4(row, d); got != code {
					t.Fatalf("%d channels: code %d of channel %d is %d", c.dim, code, d, got)
				}
			}
		}
	}
	row := make([]byte, 16)
	for d, code := range []uint16{1, 10, 4, 15} { // by hand: magnitudes 1, 2, 4, 7, signs of channels 1 and 3 in bits 11 and 15
		PutU4(row, d, code)
	}
	if row[0] != 0x21 || row[1] != 0xfc {
		t.Errorf("%x", row[:2])
	}
	if kv, err := NewPlainLatent(dtype.U4, 16, 512, 576); err != nil || kv.RowBytes() != 288 || kv.Bytes() != 16*288+64 {
		t.Errorf("%+v, %v", kv, err)
	}
}
