package hf

import (
	"slices"
	"testing"
)

// Rows of two matrices of four, every second one from the first or the second on, as they are stored or turned.
func TestStrided(t *testing.T) {
	straight, turned := matrix{rows: 8, cols: 3}, matrix{rows: 6, cols: 4}
	for i := range 24 {
		straight.data = append(straight.data, float32(i))
		turned.data = append(turned.data, float32(i/12*12+i%4*3+i/4%3)) // matrix e, column k, row n: the number of row n, column k
	}
	c := open(t, directory(t, map[string]string{singleFile: tensorFile(t, map[string]matrix{"s": straight, "t": turned})}))
	for _, from := range []string{"s", "t"} {
		for first := range int64(2) {
			s := Strided{Count: 2, Total: 4, Cols: 3, First: first, Step: 2, Rows: 2, Turned: from == "t"}
			if err := c.PutStrided("x", c.Lookup(from), s, 2, 2, 3); err != nil {
				t.Fatal(err)
			}
			x, err := c.Tensor("x", 2, 2, 3)
			if err != nil {
				t.Fatal(err)
			}
			if x, err = x.View(3); err != nil {
				t.Fatal(err)
			}
			f := float32(3 * first)
			want := []float32{f, f + 1, f + 2, f + 6, f + 7, f + 8, f + 12, f + 13, f + 14, f + 18, f + 19, f + 20}
			for lo := range int64(4) {
				got := make([]float32, 3*(4-lo))
				if err := x.ReadRows(got, lo, 4); err != nil || !slices.Equal(got, want[3*lo:]) {
					t.Errorf("%s from %d: rows %d on are %v, want %v (%v)", from, first, lo, got, want[3*lo:], err)
				}
			}
			part, err := x.View(1) // elements of rows, not whole ones
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, 5)
			if err := part.ReadRows(got, 2, 7); err != nil || !slices.Equal(got, want[2:7]) {
				t.Errorf("%s from %d: elements 2:7 are %v, want %v (%v)", from, first, got, want[2:7], err)
			}
		}
	}
	for _, s := range []Strided{{2, 4, 3, 1, 2, 3, false}, {2, 5, 3, 0, 1, 4, false}, {2, 4, 3, -1, 1, 1, false}, {2, 4, 3, 0, 0, 2, false}, {0, 4, 3, 0, 1, 1, true}} {
		wantError(t, c.PutStrided("x", c.Lookup("s"), s, 1), `tensor "s": has shape [8 3]`)
	}
	wantError(t, c.Lookup("x").ReadRaw(make([]byte, 24), 0, 1), "has no bytes of its own")
}
