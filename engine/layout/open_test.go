package layout

import (
	"slices"
	"testing"

	"llmc/internal/dtype"

	"pgregory.net/rapid"
)

func fillComposed(t *rapid.T, l Linear, panel []byte, rows int, next func() uint32) []float32 {
	groups, scales := max(1, l.Groups()), 1
	if l.Minimums || l.Split {
		scales = 2
	}
	c := Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, rows*groups*scales), Zeros: make([]uint8, rows*groups), Index: make([]uint16, rows*l.K)}
	for k := range l.K {
		g := uint16(next() % uint32(groups))
		for r := range rows {
			c.Index[r*l.K+k] = g
		}
	}
	for i := range c.Zeros {
		c.Zeros[i] = uint8(next() % 256)
	}
	for i := range c.Scales {
		c.Scales[i] = float32(int32(next()%4096)-2048) / 1024
	}
	want := make([]float32, rows*l.K)
	for i := range c.Codes {
		c.Codes[i] = uint8(next() % 16)
		if l.Fifth.Present() {
			c.Codes[i] = uint8(next() % 32)
		}
		if l.KPerStep == 4 {
			c.Codes[i] = uint8(next())
		}
		group := i / l.K * groups
		if l.Group > 0 {
			group += i % l.K / l.Group
		}
		s := c.Scales[group*scales:]
		g := i/l.K*groups + int(c.Index[i])
		if l.Float8 {
			c.Codes[i] &= 0xf7 // all are numbers
			want[i] = dtype.E4M3ToF32(c.Codes[i]) * s[0]
		} else if l.Ordered {
			want[i] = float32(int(c.Codes[i])-int(c.Zeros[g])) * c.Scales[g]
		} else if l.Table != nil {
			want[i] = l.Table[c.Codes[i]] * s[0]
			if l.Split && i%l.K%l.Group >= int(c.Zeros[group]) {
				want[i] = l.Table[c.Codes[i]] * s[1]
			}
		} else {
			want[i] = float32(int(c.Codes[i])-l.Middle) * s[0] // exact, and so is the sum
			if l.Minimums {
				want[i] += s[1]
			}
		}
	}
	if err := l.PackCodes(panel, c); err != nil {
		t.Fatal(err)
	}
	return want
}

func TestPackOpenRefuses(t *testing.T) {
	opened := mustNew(t, "q5m.g32", 2, 32, 0)
	panel := make([]byte, opened.PanelBytes())
	for name, c := range map[string]Codes{
		"code":          {slices.Repeat([]uint8{32}, 64), make([]float32, 4), nil, nil, nil},
		"scale":         {make([]uint8, 64), []float32{1, 1.0001, 1, 1}, nil, nil, nil},
		"few minimums":  {make([]uint8, 64), make([]float32, 2), nil, nil, nil},
		"ragged groups": {make([]uint8, 63), make([]float32, 4), nil, nil, nil},
	} {
		if opened.PackCodes(panel, c) == nil {
			t.Errorf("accepted opened: %s", name)
		}
	}
	ordered := mustNew(t, "u4o.g32", 2, 32, 0)
	panel = make([]byte, ordered.PanelBytes())
	for name, c := range map[string]Codes{
		"code":      {slices.Repeat([]uint8{16}, 64), []float32{1, 1}, []uint8{8, 8}, nil, make([]uint16, 64)},
		"group":     {make([]uint8, 64), []float32{1, 1}, []uint8{8, 8}, nil, slices.Repeat([]uint16{1}, 64)},
		"no groups": {make([]uint8, 64), []float32{1, 1}, []uint8{8, 8}, nil, nil},
	} {
		if ordered.PackCodes(panel, c) == nil {
			t.Errorf("accepted ordered: %s", name)
		}
	}
	ordered = mustNew(t, "u4o.g32", 2, 64, 0)
	index := append(make([]uint16, 127), 1)
	if ordered.PackCodes(make([]byte, ordered.PanelBytes()), Codes{make([]uint8, 128), slices.Repeat([]float32{1}, 4), make([]uint8, 4), nil, index}) == nil {
		t.Error("accepted rows with columns in different groups")
	}
	padded := Codes{make([]uint8, 128), []float32{0, 0, 2, 3}, make([]uint8, 4), nil, append(make([]uint16, 127), 1)}
	if err := ordered.PackCodes(make([]byte, ordered.PanelBytes()), padded); err != nil {
		t.Errorf("a row of zeros beside another order: %v", err)
	}
}
