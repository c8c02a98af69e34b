package pixels

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/engine"
)

// recorded is what the Python imaging library made of a file, or of rgb.png in another size.
type recorded struct {
	File, Filter  string
	Width, Height int
	RGB           []byte // deflated
}

func cases(t *testing.T) (decoded, resized []recorded) {
	t.Helper()
	var all struct{ Decoded, Resized []recorded }
	if err := json.Unmarshal(file(t, "cases.json"), &all); err != nil {
		t.Fatal(err)
	}
	return all.Decoded, all.Resized
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// differ returns the largest difference of a channel, and how many of them there are.
func (r *recorded) differ(t *testing.T, m *RGB) (most, count int) {
	t.Helper()
	if m.Width != r.Width || m.Height != r.Height {
		t.Fatalf("%dx%d, want %dx%d", m.Width, m.Height, r.Width, r.Height)
	}
	deflated, err := zlib.NewReader(bytes.NewReader(r.RGB))
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(deflated)
	if err != nil || len(want) != len(m.Pix) {
		t.Fatalf("%d bytes, want %d: %v", len(m.Pix), len(want), err)
	}
	for i, v := range want {
		if d := max(int(v)-int(m.Pix[i]), int(m.Pix[i])-int(v)); d > 0 {
			most, count = max(most, d), count+1
		}
	}
	return most, count
}

// tolerated is how far a channel may be off. The cosine transform of JPEG is not the same integers everywhere; a difference of one in lightness or
// colour becomes up to three.
var tolerated = map[string]int{".jpg": 3}

func TestDecode(t *testing.T) {
	decoded, _ := cases(t)
	for _, want := range decoded {
		t.Run(want.File, func(t *testing.T) {
			m, err := Decode(file(t, want.File))
			if err != nil {
				t.Fatal(err)
			}
			if most, count := want.differ(t, m); most > tolerated[filepath.Ext(want.File)] || count > len(m.Pix)/10 {
				t.Errorf("%d of %d channels differ by up to %d", count, len(m.Pix), most)
			}
		})
	}
}

func TestResize(t *testing.T) {
	m, err := Decode(file(t, "rgb.png"))
	if err != nil {
		t.Fatal(err)
	}
	_, resized := cases(t)
	for _, want := range resized {
		got, err := m.Resize(want.Width, want.Height, want.Filter)
		if err != nil {
			t.Fatal(err)
		}
		if most, count := want.differ(t, got); count > 0 {
			t.Errorf("%s to %dx%d: %d of %d channels differ by up to %d", want.Filter, want.Width, want.Height, count, len(got.Pix), most)
		}
	}
}

// TestFiltersAreKnown: what a plan may ask for can be done.
func TestFiltersAreKnown(t *testing.T) {
	for _, name := range engine.ImageFilters {
		if _, ok := filters[name]; !ok {
			t.Errorf("no filter %s", name)
		}
	}
	if len(filters) != len(engine.ImageFilters) {
		t.Errorf("%d filters, plans know %d", len(filters), len(engine.ImageFilters))
	}
}

func TestRefused(t *testing.T) {
	png := file(t, "rgb.png")
	huge := bytes.Clone(png)
	copy(huge[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0}) // and the wrong checksum, which comes first
	for _, c := range []struct {
		name string
		data []byte
		want error
		says string
	}{
		{"nothing", nil, ErrFormat, "PNG, JPEG or WebP"},
		{"text", []byte("<svg></svg>"), ErrFormat, "<svg>"},
		{"cut", png[:200], ErrDamaged, "PNG"},
		{"checksum", huge, ErrDamaged, "PNG"},
		{"many pixels", wide(65535, 65535), ErrTooLarge, "65535 by 65535 pixels"},
		{"many bytes", make([]byte, MaxBytes+1), ErrTooLarge, "bytes"},
	} {
		_, err := Decode(c.data)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// wide is the beginning of a JPEG of that size, without pixels.
func wide(width, height uint16) []byte {
	return []byte{0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, byte(height >> 8), byte(height), byte(width >> 8), byte(width), 1, 1, 0x11, 0, 0xff, 0xda, 0, 2}
}

func TestProcess(t *testing.T) {
	two := &RGB{2, 1, []uint8{0, 51, 102, 153, 204, 255}}
	plain := engine.ImageSettings{Width: 2, Height: 1, Patch: 1}
	set := func(change func(*engine.ImageSettings)) *engine.ImageSettings {
		s := plain
		change(&s)
		return &s
	}
	for _, c := range []struct {
		name string
		s    *engine.ImageSettings
		want []float32 // red, green, blue
	}{
		{"pixels", &plain, []float32{0, 153, 51, 204, 102, 255}},
		{"rescaled", set(func(s *engine.ImageSettings) { s.Rescale = 1. / 255 }), []float32{0, 0.6, 0.2, 0.8, 0.4, 1}},
		{"normalised", set(func(s *engine.ImageSettings) { s.Mean, s.Std = []float64{51, 0, 2}, []float64{51, 2, 1} }), []float32{-1, 2, 25.5, 102, 100, 253}},
		{"cropped", set(func(s *engine.ImageSettings) { s.Width, s.CropWidth, s.CropHeight = 1, 1, 1 }), []float32{0, 51, 102}},
		{"padded", set(func(s *engine.ImageSettings) { s.Width, s.Height, s.CropWidth, s.CropHeight = 3, 2, 3, 2 }),
			[]float32{0, 0, 0, 0, 0, 153, 0, 0, 0, 0, 51, 204, 0, 0, 0, 0, 102, 255}},
		{"resized", set(func(s *engine.ImageSettings) { s.Width, s.ResizeWidth, s.ResizeHeight, s.Filter = 1, 1, 1, "box" }), []float32{77, 128, 179}},
	} {
		if err := c.s.Check(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got, err := two.Process(c.s)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for i, want := range c.want {
			if got.Values[i] != want {
				t.Errorf("%s: %v, want %v", c.name, got.Values, c.want)
				break
			}
		}
	}
	if _, err := two.Process(set(func(s *engine.ImageSettings) { s.Width = 3 })); !errors.Is(err, ErrSize) {
		t.Errorf("wrong size: %v", err)
	}
}

// TestShortestEdgeIsBounded: a line of pixels would become larger than any image that is read.
func TestShortestEdgeIsBounded(t *testing.T) {
	s := &engine.ImageSettings{Width: 16, Height: 16, Patch: 16, ShortestEdge: 16, CropWidth: 16, CropHeight: 16, Filter: "bicubic"}
	if _, err := newRGB(1, 1<<12).Process(s); err != nil {
		t.Errorf("a long image: %v", err)
	}
	if _, err := newRGB(1, 1<<19).Process(s); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long an image: %v", err)
	}
}

func TestPatches(t *testing.T) {
	m := &Image{Width: 4, Height: 2, Values: make([]float32, 24)}
	for i := range m.Values {
		m.Values[i] = float32(i)
	}
	s := &engine.ImageSettings{Width: 4, Height: 2, Patch: 2, Class: true}
	want := []float32{
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21,
		2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23,
	}
	got := m.Patches(s)
	if len(got) != s.Rows()*s.Columns() || len(got) != len(want) {
		t.Fatalf("%d numbers, want %d", len(got), len(want))
	}
	for i, v := range want {
		if got[i] != v {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

// FuzzDecode: no file makes the decoders panic, and what they return is whole.
func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("testdata", "*.*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		if filepath.Ext(name) != ".json" {
			f.Add(file(f, filepath.Base(name)))
		}
	}
	s := &engine.ImageSettings{Width: 16, Height: 16, Patch: 8, ShortestEdge: 16, CropWidth: 16, CropHeight: 16, Filter: "bicubic", Rescale: 1. / 255}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			return
		}
		if m.Width < 1 || m.Height < 1 || len(m.Pix) != 3*m.Width*m.Height {
			t.Fatalf("%dx%d pixels in %d bytes", m.Width, m.Height, len(m.Pix))
		}
		if m.Width*m.Height > 1<<16 { // as large as is still quick
			return
		}
		if _, err := m.Process(s); err != nil && !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
	})
}
