package layout

import (
	"math"
	"testing"

	"llmc/internal/dtype"

	"pgregory.net/rapid"
)

func mustNew(t testing.TB, format string, n, k, segment int) Linear {
	t.Helper()
	l, err := New(format, n, k, segment)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Offsets worked out by hand from the package comment.
func TestOffsets(t *testing.T) {
	for _, c := range []struct {
		format           string
		n, k             int
		panels, panel    int
		k1, step1        int // a k and the offset of its step
		g, scale         int
		bytes            int
		groups, segments int
		input            string
	}{
		{"f32", 33, 65, 2, 128 * 128, 64, 64 * 128, 0, 128 * 128, 2 * 128 * 128, 0, 1, "f32"},
		{"bf16", 32, 160, 1, 96 * 128, 3, 128, 0, 96 * 128, 96 * 128, 0, 1, "bf16"},
		{"e4m3s", 33, 160, 2, 48*128 + 128, 159, 39 * 128, 0, 48 * 128, 2 * (48*128 + 128), 0, 1, "f32"},
		{"e4m3s.g128", 1, 160, 1, 4096 + 128 + 1024 + 128, 136, 4224 + 256, 1, 4224 + 1024, 5376, 2, 1, "f32"},
		{"u8", 513, 160, 17, 48*128 + 128, 159, 39 * 128, 0, 48 * 128, 17 * (48*128 + 128), 0, 1, "q16t"},
		{"u4n.g32", 1, 96, 1, 16*128 + 128 + 192, 95, 11 * 128, 0, 16 * 128, 16*128 + 128 + 192, 0, 1, "q16t"},
		{"u4.g32", 1, 64, 1, 2 * (512 + 64), 32, 576, 1, 576 + 512, 1152, 2, 1, "q16g"},
		{"u4.g128", 1, 160, 1, 2048 + 64 + 512 + 64, 136, 2112 + 128, 1, 2112 + 512, 2688, 2, 1, "q16g"},
		{"u4.g64.s32", 1, 72, 1, 1024 + 128 + 512 + 128, 71, 1152, 1, 1152 + 512, 1792, 2, 1, "q16g"},
		{"nf4.g64", 1, 96, 1, 1024 + 128 + 512 + 128, 71, 1152, 1, 1152 + 512, 1792, 2, 1, "f32"},
		{"u4f.g16", 1, 80, 1, 3*576 + 128, 56, 576 + 3*128, 3, 576 + 512 + 32, 3*576 + 128, 5, 1, "q16g"},
		{"q5m.g32", 1, 64, 1, 2 * (512 + 128 + 128), 40, 768 + 128, 1, 768 + 640, 1536, 2, 1, "f32"},
		{"q4m.g32", 1, 64, 1, 2 * (512 + 64 + 64), 40, 640 + 128, 1, 640 + 512, 1280, 2, 1, "q16g"},
		{"q5.g32", 1, 64, 1, 2 * (512 + 128 + 64), 40, 704 + 128, 1, 704 + 640, 1408, 2, 1, "q16g"},
		{"iq4.g32", 1, 64, 1, 2 * (512 + 64), 40, 576 + 128, 1, 576 + 512, 1152, 2, 1, "q16g"},
		{"u4o.g32", 1, 96, 1, 320 + 192 + 12*128, 71, 320 + 192 + 8*128, 2, 128, 320 + 192 + 12*128, 3, 1, "f32"},
		{"u4z.g32", 1, 96, 1, 3*576 + 128, 95, 2*576 + 384, 2, 2*576 + 512, 3*576 + 128, 3, 1, "q16g"},
	} {
		l := mustNew(t, c.format, c.n, c.k, 0)
		got := []int{l.Panels(), l.PanelBytes(), l.StepOffset(c.k1), l.ScaleOffset(c.g), l.Bytes(), l.Groups(), l.Segments()}
		want := []int{c.panels, c.panel, c.step1, c.scale, c.bytes, c.groups, c.segments}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s [%d,%d]: got %v, want %v", c.format, c.n, c.k, got, want)
				break
			}
		}
		if in := l.Input(); in.Name != c.input || in.K != c.k {
			t.Errorf("%s: input %s of %d", c.format, in.Name, in.K)
		}
	}
	l := mustNew(t, "u4z.g32", 1, 96, 0)
	if got := l.ZeroOffset(2); got != 3*576+64 {
		t.Errorf("zero points of group 2 at %d", got)
	}
}

func TestSegments(t *testing.T) {
	for _, c := range []struct {
		format           string
		k, segment       int
		segments, lo, hi int // the last one
	}{
		{"bf16", 1536, 192, 8, 1344, 1536},
		{"f32", 64, 64, 1, 0, 64},
		{"u8", 1000, 128, 8, 896, 1000},
		{"u4.g128", 1536, 256, 6, 1280, 1536},
	} {
		l := mustNew(t, c.format, 8, c.k, c.segment)
		lo, hi := l.SegmentRange(l.Segments() - 1)
		if l.Segments() != c.segments || lo != c.lo || hi != c.hi {
			t.Errorf("%s K=%d: segment %d, %d of them, last %d..%d", c.format, c.k, c.segment, l.Segments(), lo, hi)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		format        string
		n, k, segment int
	}{
		{"q7", 1, 1, 0}, {"f32", 0, 1, 0}, {"f32", 1, 0, 0}, {"f32", 1, -1, 0}, {"f32", math.MaxInt, 1, 0}, {"f32", 1, math.MaxInt, 0},
		{"f32", 1, 64, 32}, {"f32", 1, 64, -64}, {"u4.g128", 1, 256, 64}, {"u8", 1, 1 << 18, 0}, {"u8", 1, 64, math.MaxInt &^ 63},
	} {
		if l, err := New(c.format, c.n, c.k, c.segment); err == nil {
			t.Errorf("accepted %s [%d,%d] segment %d: %d bytes", c.format, c.n, c.k, c.segment, l.Bytes())
		}
	}
}

// Any sizes are either refused or give offsets that are aligned and inside the panel.
func FuzzNew(f *testing.F) {
	f.Add(uint8(4), 513, 160, 0)
	f.Add(uint8(9), 1<<28, 1<<20, 1<<17)
	f.Fuzz(func(t *testing.T, format uint8, n, k, segment int) {
		l, err := New(Formats[int(format)%len(Formats)].Name, n, k, segment)
		if err != nil {
			return
		}
		if l.Bytes() <= 0 || l.PanelBytes()%Align != 0 || l.Bytes()/l.Panels() != l.PanelBytes() {
			t.Fatalf("%s [%d,%d]: %d bytes, panels of %d", l.Name, n, k, l.Bytes(), l.PanelBytes())
		}
		if end := l.StepOffset(k-1) + StepBytes; end > l.PanelBytes() {
			t.Fatalf("%s [%d,%d]: last step ends at %d of %d", l.Name, n, k, end, l.PanelBytes())
		}
		if l.Zeros && l.ZeroOffset(l.Groups()-1)+zeroBytes > l.PanelBytes() {
			t.Fatalf("%s [%d,%d]: zero points beyond the panel", l.Name, n, k)
		}
		if l.Nested && l.NestedOffset(l.nestedGroups()) > l.PanelBytes() {
			t.Fatalf("%s [%d,%d]: steps beyond the panel", l.Name, n, k)
		}
		if _, hi := l.SegmentRange(l.Segments() - 1); hi != k || l.Input().EntryOffset() > l.Input().RowBytes() {
			t.Fatalf("%s [%d,%d]: segments end at %d", l.Name, n, k, hi)
		}
	})
}

// What is packed comes back: numbers rounded once, codes and scales unchanged, padding zero.
func TestPackRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		format := Formats[rapid.IntRange(0, len(Formats)-1).Draw(t, "format")]
		rows, k := rapid.IntRange(1, Lanes).Draw(t, "rows"), rapid.IntRange(1, 300).Draw(t, "k")
		l, err := New(format.Name, rows, k, 0)
		if err != nil {
			t.Fatal(err)
		}
		panel := make([]byte, l.PanelBytes())
		for i := range panel {
			panel[i] = 0xa5
		}
		want := fillPanel(t, l, panel, rows)
		got := make([]float32, Lanes*k)
		l.UnpackPanel(got, panel)
		for i := range got {
			if w := append(want, make([]float32, Lanes*k-len(want))...); got[i] != w[i] {
				t.Fatalf("%s row %d k %d: got %g, want %g", l.Name, i/k, i%k, got[i], w[i])
			}
			if one := l.at(panel, i/k, i%k); one != got[i] {
				t.Fatalf("%s row %d k %d: %g alone, %g in its row", l.Name, i/k, i%k, one, got[i])
			}
		}
		checkPadding(t, l, panel)
	})
}

func fillPanel(t *rapid.T, l Linear, panel []byte, rows int) []float32 {
	seed := rapid.Uint32().Draw(t, "seed")
	next := func() uint32 { seed = seed*1664525 + 1013904223; return seed >> 8 }
	src, want := make([]float32, rows*l.K), make([]float32, rows*l.K)
	if l.ScaleBytes == 0 {
		for i := range src {
			src[i] = float32(int32(next())) / 3e5
			if want[i] = src[i]; l.Name == "bf16" {
				want[i] = dtype.BF16ToF32(dtype.F32ToBF16(src[i]))
			}
		}
		if err := l.PackFloats(panel, src); err != nil {
			t.Fatal(err)
		}
		return want
	}
	switch {
	case l.Super():
		return fillSuper(t, l, panel, rows, next)
	case l.Nested:
		return fillNested(t, l, panel, rows, next)
	case l.Composed():
		return fillComposed(t, l, panel, rows, next)
	case l.Tiered:
		return fillTiered(t, l, panel, rows, next)
	}
	groups, mask, zero := max(1, l.Groups()), uint32(15), 8
	if l.Group == 0 || l.KPerStep == 2 {
		mask, zero = 255, 128
	}
	c := Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, rows*groups), Zeros: make([]uint8, rows*groups)}
	for i := range c.Scales {
		c.Scales[i], c.Zeros[i] = float32(next()%2048)/1024, uint8(next()%16)
		if l.Levels {
			c.Scales[i] = float32(math.Ldexp(1, int(next()%250)-125))
		}
	}
	for i := range c.Codes {
		c.Codes[i] = uint8(next() & mask)
		g := i / l.K * groups
		if l.Group > 0 {
			g += i % l.K / l.Group
		}
		if l.Zeros {
			zero = int(c.Zeros[g])
		}
		want[i] = float32(int(c.Codes[i])-zero) * c.Scales[g]
		if l.KPerStep == 2 {
			c.Codes[i] &= 0xf7 // all are numbers
			want[i] = dtype.E4M3ToF32(c.Codes[i]) * c.Scales[g]
		}
		if l.Levels {
			want[i] = dtype.E2M1ToF32(c.Codes[i]) * c.Scales[g]
		}
	}
	if err := l.PackCodes(panel, c); err != nil {
		t.Fatal(err)
	}
	return want
}

func fillTiered(t *rapid.T, l Linear, panel []byte, rows int, next func() uint32) []float32 {
	scales := l.Groups() + 1
	c := Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, rows*scales)}
	for i := range c.Scales {
		c.Scales[i] = dtype.E4M3ToF32(uint8(next() % 0x7f))
		if i%scales == l.Groups() {
			c.Scales[i] = float32(next()) / 3e8
		}
	}
	want := make([]float32, rows*l.K)
	for i := range c.Codes {
		c.Codes[i] = uint8(next() % 16)
		row := c.Scales[i/l.K*scales:][:scales]
		want[i] = dtype.E2M1ToF32(c.Codes[i]) * float32(row[i%l.K/l.Group]*row[l.Groups()])
	}
	if err := l.PackCodes(panel, c); err != nil {
		t.Fatal(err)
	}
	return want
}

func fillNested(t *rapid.T, l Linear, panel []byte, rows int, next func() uint32) []float32 {
	groups := ceilDiv(l.K, NestedGroup)
	c := Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, rows), Zeros: make([]uint8, rows*groups), Steps: make([]uint8, rows*groups)}
	for i := range c.Steps {
		c.Steps[i] = uint8(next() % 16)
		c.Zeros[i] = uint8(next() % uint32(256-15*int(c.Steps[i])))
	}
	for r := range c.Scales {
		c.Scales[r] = float32(next()%2048) / 1000
	}
	want := make([]float32, rows*l.K)
	for i := range c.Codes {
		c.Codes[i] = uint8(next() % 16)
		r, g := i/l.K, i/l.K*groups+i%l.K/NestedGroup
		want[i] = float32(int(c.Codes[i])*int(c.Steps[g])+int(c.Zeros[g])-128) * c.Scales[r]
	}
	if err := l.PackCodes(panel, c); err != nil {
		t.Fatal(err)
	}
	return want
}

func fillSuper(t *rapid.T, l Linear, panel []byte, rows int, next func() uint32) []float32 {
	groups, supers, scales := ceilDiv(l.K, l.Sub), ceilDiv(l.K, SuperGroup), 1
	if l.Offsets {
		scales = 2
	}
	c := Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, rows*supers*scales), Zeros: make([]uint8, rows*groups), Steps: make([]uint8, rows*groups)}
	for i := range c.Steps {
		c.Steps[i], c.Zeros[i] = uint8(next()), uint8(next())
	}
	for i := range c.Scales {
		c.Scales[i] = float32(next()%2048) / 1024
	}
	want := make([]float32, rows*l.K)
	for i := range c.Codes {
		c.Codes[i] = uint8(next() % uint32(l.Most+1))
		r, k := i/l.K, i%l.K
		g, s := r*groups+k/l.Sub, (r*supers+k/SuperGroup)*scales
		want[i] = float32(int(int8(c.Steps[g]))*(int(c.Codes[i])-l.SuperZero)) * c.Scales[s] // all of these are exact
		if l.Offsets {
			want[i] -= float32(c.Zeros[g]) * c.Scales[s+1]
		}
	}
	if err := l.PackCodes(panel, c); err != nil {
		t.Fatal(err)
	}
	return want
}

// checkPadding reads the stored k beyond K.
func checkPadding(t *rapid.T, l Linear, panel []byte) {
	if l.Nested || l.Offsets || l.Minimums || l.Ordered || l.Table == &dtype.IQ4NL {
		return // inputs are zero there, or are not read
	}
	for i := l.K; i < l.KPad(); i++ {
		for r := range Lanes {
			if v := l.at(panel, r, i); v != 0 {
				t.Fatalf("%s: padding k=%d row %d is %g", l.Name, i, r, v)
			}
		}
	}
}

func TestRowReadsItsPanel(t *testing.T) {
	l := mustNew(t, "f32", 40, 5, 0)
	data := make([]byte, l.Bytes())
	src := make([]float32, 40*5)
	for i := range src {
		src[i] = float32(i)
	}
	for p := range l.Panels() {
		if err := l.PackFloats(l.Panel(data, p), src[p*Lanes*5:min(len(src), (p+1)*Lanes*5)]); err != nil {
			t.Fatal(err)
		}
	}
	row := make([]float32, 5)
	l.Row(row, data, 37)
	if row[0] != 185 || row[4] != 189 {
		t.Errorf("row 37 is %v", row)
	}
	if l.Check(data) != nil || l.Check(data[1:]) == nil {
		t.Error("Check does not compare the size")
	}
}

func TestPackRefuses(t *testing.T) {
	u4 := mustNew(t, "u4z.g32", 2, 32, 0)
	panel := make([]byte, u4.PanelBytes())
	good := func() Codes { return Codes{make([]uint8, 64), []float32{1, 1}, []uint8{8, 8}, nil, nil} }
	if err := u4.PackCodes(panel, good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Codes){
		"inexact scale": func(c *Codes) { c.Scales[1] = 1.0001 },
		"code":          func(c *Codes) { c.Codes[40] = 16 },
		"zero point":    func(c *Codes) { c.Zeros[0] = 16 },
		"few scales":    func(c *Codes) { c.Scales = c.Scales[:1] },
		"few zeros":     func(c *Codes) { c.Zeros = nil },
		"ragged rows":   func(c *Codes) { c.Codes = c.Codes[:63] },
	} {
		c := good()
		if spoil(&c); u4.PackCodes(panel, c) == nil {
			t.Errorf("accepted: %s", name)
		}
	}
	nested := mustNew(t, "u4n.g32", 2, 32, 0)
	panel = make([]byte, nested.PanelBytes())
	for name, c := range map[string]Codes{
		"no steps": {make([]uint8, 64), []float32{1, 1}, []uint8{8, 8}, nil, nil},
		"step":     {make([]uint8, 64), []float32{1, 1}, []uint8{8, 8}, []uint8{1, 16}, nil},
		"offset":   {make([]uint8, 64), []float32{1, 1}, []uint8{31, 30}, []uint8{15, 15}, nil},
	} {
		if nested.PackCodes(panel, c) == nil {
			t.Errorf("accepted nested: %s", name)
		}
	}
	tiered := mustNew(t, "u4f.g16", 2, 32, 0)
	panel = make([]byte, tiered.PanelBytes())
	for name, scales := range map[string][]float32{
		"few scales": {1, 1, 1, 1}, "inexact scale": {1, 1.01, 1, 1, 1, 1}, "negative scale": {1, -1, 1, 1, 1, 1}, "large scale": {1, 480, 1, 1, 1, 1}, "large output": {1, 1, 1e38, 1, 1, 1},
	} {
		if tiered.PackCodes(panel, Codes{make([]uint8, 64), scales, nil, nil, nil}) == nil {
			t.Errorf("accepted tiered: %s", name)
		}
	}
	if u4.PackFloats(panel, make([]float32, 32)) == nil || u4.PackCodes(panel[:8], good()) == nil {
		t.Error("accepted numbers for codes, or a short panel")
	}
}
