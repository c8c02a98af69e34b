package layout

import (
	"testing"

	"llmc/internal/dtype"
)

// Every element of a page has its own bytes, inside the page, and neighbours lie as the comment of KV says.
func TestKVOffsetsAreDistinct(t *testing.T) {
	for _, c := range []struct {
		dtype         dtype.Type
		page, kv, dim int
		head          int // HeadBytes by hand
		k17d3, v3d2   int // K(1,17,3)-head and V(1,3,2)-head by hand
	}{
		{dtype.F32, 32, 2, 24, 32*24*4 + 32*32*4, 24*16*4 + (3*16+1)*4, 32*24*4 + 3*32*4 + 2*4},
		{dtype.BF16, 16, 3, 5, 16*6*2 + 16*16*2, 0, 16*6*2 + 1*16*2*2 + 5*2},
		{dtype.F16, 32, 2, 24, 32*24*2 + 32*32*2, (24*16 + 3*16 + 1) * 2, 32*24*2 + 3*32*2 + 2*2},
		{dtype.I8, 32, 2, 5, 32*8 + 32*16 + 32*2*2, 8*16 + 1*4 + 3, 32*8 + 2*4 + 3},
		{dtype.F8E4M3, 128, 2, 64, 128*64 + 128*64 + 128*2*2, 64*16 + 3*16 + 1, 128*64 + 3*64 + 2},
		{dtype.U4, 32, 2, 40, 32*20 + 32*32 + 32*2*2, 16*20 + 1*4 + 3, 32*20 + 2*4 + 3},
		{dtype.U4, 16, 2, 33, 16*20 + 16*32 + 16*2*2, 0, 16*20 + 2*4 + 3},
		{dtype.BF16, 128, 2, 64, 128*64*2 + 128*64*2, 16*64*2 + ((1*16+1)*2+1)*2, 128*64*2 + 1*64*2*2 + 5*2},
	} {
		kv, err := NewKV(c.dtype, c.page, c.kv, c.dim)
		if err != nil {
			t.Fatal(err)
		}
		if kv.HeadBytes() != c.head || kv.HeadBytes()%Align != 0 {
			t.Errorf("%+v: head takes %d bytes", kv, kv.HeadBytes())
		}
		if got := kv.K(1, 17, 3) - c.head; c.page > 16 && got != c.k17d3 {
			t.Errorf("%+v: K(1,17,3) at %d, want %d", kv, got, c.k17d3)
		}
		if got := kv.V(1, 3, 2) - c.head; got != c.v3d2 {
			t.Errorf("%+v: V(1,3,2) at %d, want %d", kv, got, c.v3d2)
		}
		seen := map[int]bool{}
		for h := range kv.Heads {
			for s := range kv.PageSize {
				if kv.Scaled() { // each row has a scale, too
					for _, at := range []int{kv.KScale(h, s), kv.VScale(h, s)} {
						if seen[at] || seen[at+1] || at%2 != 0 || at+2 > kv.Bytes() {
							t.Fatalf("%+v: scale of head %d slot %d at %d", kv, h, s, at)
						}
						seen[at], seen[at+1] = true, true
					}
				}
				for d := range kv.Dim {
					takes(t, kv, seen, kv.K(h, s, d), kv.High(d, false))
					takes(t, kv, seen, kv.V(h, s, d), kv.High(d, true))
				}
			}
		}
	}
}

// takes marks the place of an element, which is inside the page and nobody else's.
func takes(t *testing.T, kv KV, seen map[int]bool, at int, high bool) {
	t.Helper()
	size := max(kv.DType.Size(), 1)
	if at < 0 || at%size != 0 || at+size > kv.Bytes() {
		t.Fatalf("%+v: an element at %d", kv, at)
	}
	place := at
	if kv.Halves() { // halves of bytes are counted apart
		if place = -2*at - 2; high {
			place++
		}
	}
	if seen[place] {
		t.Fatalf("%+v: two elements at %d", kv, at)
	}
	seen[place] = true
}

// The runs of the pages of a span are all of it that holds anything, and each position lies in those of its page.
func TestRunsAreThePositions(t *testing.T) {
	for _, kind := range KVTypes {
		plain, err := NewKV(kind, 64, 2, 24)
		latent, err2 := NewLatent(kind, 64, 16, 24)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for _, kv := range []KV{plain, latent} {
			checkRuns(t, kv, 16)
			checkRuns(t, kv, 64)
		}
	}
}

func checkRuns(t *testing.T, kv KV, page int) {
	t.Helper()
	total := 0
	for head := range kv.Heads {
		for slot := range kv.PageSize {
			runs := kv.Runs(head, slot/page*page, page)
			within := func(run, at, size int) {
				if r := runs[run]; at < r.Offset || at+size > r.Offset+r.Bytes {
					t.Fatalf("%+v: head %d slot %d: run %d is %+v, not around %d", kv, head, slot, run, r, at)
				}
			}
			within(0, kv.K(head, slot, kv.Dim-1), max(kv.DType.Size(), 1))
			if kv.Rank == 0 {
				within(2, kv.V(head, slot, kv.Dim-1), max(kv.DType.Size(), 1))
			}
			if kv.Scaled() {
				within(1, kv.KScale(head, slot), plainScale)
				within(map[bool]int{true: 1, false: 3}[kv.Rank > 0], kv.VScale(head, slot), plainScale)
			}
			if slot%page == 0 {
				for _, r := range runs {
					total += r.Bytes
				}
			}
		}
	}
	if unused := kv.Bytes() - total; unused < 0 || unused >= Align*kv.Heads {
		t.Errorf("%+v: pages of %d have %d bytes of %d", kv, page, total, kv.Bytes())
	}
}

func TestNewKVRefuses(t *testing.T) {
	for _, c := range []struct {
		DType                dtype.Type
		PageSize, Heads, Dim int
	}{
		{dtype.I32, 16, 1, 64}, {dtype.F32, 8, 1, 64}, {dtype.F32, 24, 1, 64}, {dtype.F32, 272, 1, 64}, {dtype.F32, 16, 0, 64},
		{dtype.F32, 16, 1, 0}, {dtype.F32, 16, 1, 1 << 13}, {dtype.F32, 16, 1 << 13, 1},
	} {
		if _, err := NewKV(c.DType, c.PageSize, c.Heads, c.Dim); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}

func TestActivationRows(t *testing.T) {
	for _, c := range []struct {
		format         string
		k, group       int
		entries, at, n int
	}{
		{"f32", 161, 0, 0, 644, 644},
		{"bf16", 160, 0, 0, 384, 448},
		{"bf16", 2048, 0, 0, 4096, 4160},
		{"q8t", 160, 192, 1, 192, 320},
		{"q8t", 1536, 192, 8, 1536, 1728},
		{"q8g", 160, 128, 2, 192, 320},
		{"q8g", 576, 32, 18, 576, 896 + 64},
		{"q16g", 160, 128, 2, 384, 448},
		{"e4m3t", 160, 0, 0, 192, 320},
		{"e4m3g", 160, 128, 0, 192, 320},
		{"s8t", 160, 0, 0, 192, 320},
	} {
		a, err := NewActivation(c.format, c.k, c.group)
		if err != nil {
			t.Fatal(err)
		}
		if a.Entries() != c.entries || a.EntryOffset() != c.at || a.RowBytes() != c.n {
			t.Errorf("%s %d/%d: %d entries at %d, %d bytes", c.format, c.k, c.group, a.Entries(), a.EntryOffset(), a.RowBytes())
		}
	}
	if a, err := NewActivation("e4m3t", 100, 64); err != nil || !a.Coded() || a.Group != 0 || a.ScaleOffset() != 128 || a.Bytes() != 132 {
		t.Errorf("e4m3t: %+v, %v", a, err)
	}
	if a, err := NewActivation("e4m3g", 300, 128); err != nil || !a.Coded() || a.Group != 128 || a.ScaleOffset() != 320 || a.Bytes() != 332 {
		t.Errorf("e4m3g: %+v, %v", a, err)
	}
	two, err := NewActivation("q16g", 160, 32)
	if err != nil {
		t.Fatal(err)
	}
	if one := two.OneDigit(); one.Name != "q8g" || one.K != 160 || one.Group != 32 || one.OneDigit() != one {
		t.Errorf("one digit of %s is %s", two.Name, one.Name)
	}
	for k, want := range map[int][2]int{0: {0, 4}, 3: {3, 7}, 4: {8, 12}, 159: {315, 319}} {
		if got := [2]int{two.CodeOffset(k, 0), two.CodeOffset(k, 1)}; got != want {
			t.Errorf("digits of element %d lie at %v, want %v", k, got, want)
		}
	}
	for _, c := range []struct {
		format   string
		k, group int
	}{{"q8", 64, 64}, {"q8g", 64, 0}, {"q8g", 64, 33}, {"f32", 0, 0}, {"q8t", 1 << 18, 1 << 18}} {
		if _, err := NewActivation(c.format, c.k, c.group); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}
