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
		{dtype.F32, 16, 1, 64}, {dtype.BF16, 8, 1, 64}, {dtype.BF16, 24, 1, 64}, {dtype.BF16, 144, 1, 64}, {dtype.BF16, 0, 1, 64},
		{dtype.BF16, 16, 0, 64}, {dtype.BF16, 16, 1, 0}, {dtype.BF16, 16, 1, 257}, {dtype.BF16, 16, 1 << 13, 64},
	} {
		if _, err := NewPlainKV(c.DType, c.PageSize, c.Heads, c.Dim); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}
