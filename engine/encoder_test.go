package engine

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestSequence(t *testing.T) {
	for _, c := range []struct {
		name     string
		e        EncoderInfo
		ids      []int32
		want     []int32
		mistaken string
	}{
		{"as it is", EncoderInfo{MaxTokens: 3}, []int32{4, 5, 6}, []int32{4, 5, 6}, ""},
		{"too long", EncoderInfo{MaxTokens: 2}, []int32{4, 5, 6}, nil, "3 tokens, at most 2"},
		{"padded", EncoderInfo{MaxTokens: 4, PadTo: 4, Pad: 1}, []int32{4, 5}, []int32{4, 5, 1, 1}, ""},
		{"the first of the largest", EncoderInfo{MaxTokens: 4, End: EndLargest}, []int32{4, 9, 5, 9}, []int32{4, 9}, ""},
		{"the first that ends", EncoderInfo{MaxTokens: 4, End: EndToken, EndID: 5}, []int32{4, 9, 5, 5}, []int32{4, 9, 5}, ""},
		{"none that ends", EncoderInfo{MaxTokens: 4, End: EndToken, EndID: 7}, []int32{4, 9, 5, 5}, nil, "no token is 7"},
	} {
		given := slices.Clone(c.ids)
		got, err := c.e.Sequence(c.ids)
		if (err != nil) != (c.mistaken != "") || err != nil && !strings.Contains(err.Error(), c.mistaken) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if !slices.Equal(c.ids, given) {
			t.Errorf("%s: the ids that were given are changed to %v", c.name, c.ids)
		}
		if again, err := c.e.Sequence(got); err == nil && !slices.Equal(again, got) {
			t.Errorf("%s: once more: %v", c.name, again)
		}
	}
}

func TestCompare(t *testing.T) {
	e := EncoderInfo{LogitScale: 10, LogitBias: -1}
	for _, c := range []struct {
		a, b []float32
		want float64
	}{
		{[]float32{3, 0}, []float32{2, 0}, 9}, {[]float32{1, 0}, []float32{0, 5}, -1}, {[]float32{1, 1}, []float32{-2, -2}, -11}, {[]float32{0, 0}, []float32{1, 0}, -1},
	} {
		if got := e.Compare(c.a, c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// What a plan says of images and texts is checked before anything is prepared by it.
func TestPreparationIsChecked(t *testing.T) {
	good := func() *ModelInfo {
		return &ModelInfo{
			Vocab: 10, MaxContext: 5, BOS: -1, Encoder: &EncoderInfo{MaxTokens: 5, PadTo: 5, Pad: 9, LogitScale: 1},
			Image: &ImageSettings{Width: 4, Height: 4, Patch: 2, Class: true, ShortestEdge: 4, Filter: "bicubic", CropWidth: 4, CropHeight: 4, Mean: []float64{0, 0, 0}, Std: []float64{1, 1, 1}},
		}
	}
	if err := good().check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(m *ModelInfo){
		"rows":       func(m *ModelInfo) { m.MaxContext, m.Encoder.MaxTokens, m.Encoder.PadTo = 4, 4, 4 },
		"tokens":     func(m *ModelInfo) { m.Encoder.MaxTokens = 6 },
		"padding":    func(m *ModelInfo) { m.Encoder.PadTo = 6 },
		"pad":        func(m *ModelInfo) { m.Encoder.Pad = 10 },
		"end":        func(m *ModelInfo) { m.Encoder.EndID = -1 },
		"end's kind": func(m *ModelInfo) { m.Encoder.End = "smallest" },
		"scale":      func(m *ModelInfo) { m.Encoder.LogitScale = math.Inf(1) },
		"bias":       func(m *ModelInfo) { m.Encoder.LogitBias = math.NaN() },
		"patch":      func(m *ModelInfo) { m.Image.Patch = 3 },
		"no patch":   func(m *ModelInfo) { m.Image.Patch = 0 },
		"huge":       func(m *ModelInfo) { m.Image.Width = 1 << 20 },
		"negative":   func(m *ModelInfo) { m.Image.ShortestEdge = -1 },
		"one side":   func(m *ModelInfo) { m.Image.CropHeight = 0 },
		"crop":       func(m *ModelInfo) { m.Image.CropWidth = 2 },
		"two sizes":  func(m *ModelInfo) { m.Image.ResizeWidth, m.Image.ResizeHeight = 4, 4 },
		"filter":     func(m *ModelInfo) { m.Image.Filter = "sharp" },
		"factor":     func(m *ModelInfo) { m.Image.Rescale = math.NaN() },
		"channels":   func(m *ModelInfo) { m.Image.Mean = m.Image.Mean[:2] },
		"deviation":  func(m *ModelInfo) { m.Image.Std[1] = 0 },
	} {
		m := good()
		spoil(m)
		if err := m.check(); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
