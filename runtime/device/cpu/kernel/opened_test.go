package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// A product of a weight that is opened is that of its numbers in f32, bit for bit, while K is one part; and whatever the rows that are multiplied together.
func TestOpenedIsF32(t *testing.T) {
	for _, f := range layout.Formats {
		if !f.Opened() {
			continue
		}
		for _, s := range Detect() {
			r := rand.New(rand.NewPCG(23, 24))
			for range 12 {
				n, k, rows := 1+r.IntN(70), 1+r.IntN(openPart), 1+r.IntN(2*openRows)
				w := randomMatrix(t, r, f.Name, n, k, 0)
				same := product{w: plainF32(t, &w), x: activate(s, w.Input(), randomRow(r, rows*k)), rows: rows}
				opened := same
				opened.w = w
				want, got := same.run(s, n), opened.run(s, n)
				for i := range want {
					if got[i] != want[i] {
						t.Fatalf("%s: %v: y[%d,%d] = %g, want %g", s.Name, &opened, i/n, i%n, got[i], want[i])
					}
				}
			}
		}
	}
}

// plainF32 is the numbers of a weight as one of f32.
func plainF32(t *testing.T, w *Matrix) Matrix {
	l, err := layout.New("f32", w.N, w.K, 0)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, l.Bytes())
	for p := range l.Panels() {
		lo, hi := l.Rows(p)
		rows := make([]float32, (hi-lo)*w.K)
		for i := range hi - lo {
			w.Row(rows[i*w.K:(i+1)*w.K], w.Data, lo+i)
		}
		if err := l.PackFloats(l.Panel(data, p), rows); err != nil {
			t.Fatal(err)
		}
	}
	plain, err := NewMatrix(l, data)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func packRandomComposed(r *rand.Rand, l layout.Linear, panel []byte, rows int) error {
	scales, most := rows*max(1, l.Groups()), 16
	if l.Minimums || l.Split {
		scales *= 2
	}
	if l.KPerStep == 4 {
		most = 256
	}
	if l.Fifth.Present() {
		most = 32
	}
	c := layout.Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, scales), Zeros: make([]uint8, rows*l.Groups()), Index: randomIndex(r, l, rows)}
	for i := range c.Zeros {
		c.Zeros[i] = uint8(r.IntN(40))
		if l.KPerStep == 4 {
			c.Zeros[i] = uint8(r.IntN(256))
		}
	}
	for i := range c.Scales {
		c.Scales[i] = dtype.F16ToF32(dtype.F32ToF16((r.Float32() - 0.5) / 16))
	}
	for i := range c.Codes {
		c.Codes[i] = uint8(r.IntN(most))
		if l.Float8 && c.Codes[i]&0x7f == 0x7f { // not a number
			c.Codes[i]--
		}
		if r.IntN(3) == 0 && !l.Float8 { // extremes, where saturating instructions would go wrong
			c.Codes[i] = []uint8{0, uint8(most - 1)}[r.IntN(2)]
		}
	}
	return l.PackCodes(panel, c)
}

// randomIndex puts columns in any groups, those of all rows in the same.
func randomIndex(r *rand.Rand, l layout.Linear, rows int) []uint16 {
	if !l.Ordered {
		return nil
	}
	index := make([]uint16, l.K)
	for k := range index {
		index[k] = uint16(r.IntN(l.Groups()))
	}
	return slices.Repeat(index, rows)
}

// Groups that a plan says beyond those of a weight are read as the last one.
func TestOrderBeyondGroups(t *testing.T) {
	for _, format := range []string{"u4o.g32", "u8o.g32"} {
		t.Run(format, func(t *testing.T) { orderBeyondGroups(t, format) })
	}
}

func orderBeyondGroups(t *testing.T, format string) {
	r := rand.New(rand.NewPCG(25, 26))
	w := randomMatrix(t, r, format, 40, 160, 0)
	for p := range w.Panels() {
		for k := range 2 * w.K {
			w.Data[p*w.panel+w.IndexOffset()+k] = byte(r.Uint32())
		}
	}
	bad := product{w: w, x: activate(genericSet(), w.Input(), randomRow(r, 3*w.K)), rows: 3}
	last := product{w: plainF32(t, &w), x: bad.x, rows: 3}
	want := bad.run(genericSet(), w.N)
	for i, v := range last.run(genericSet(), w.N) {
		if d := v - want[i]; d > 1e-4 || d < -1e-4 {
			t.Fatalf("y[%d] = %g, of the numbers %g", i, want[i], v)
		}
	}
	for _, s := range Detect() {
		for i, v := range bad.run(s, w.N) {
			if !sameBits(v, want[i]) {
				t.Fatalf("%s: y[%d] = %g, want %g", s.Name, i, v, want[i])
			}
		}
	}
}
