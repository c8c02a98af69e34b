package kernel

import (
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
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
