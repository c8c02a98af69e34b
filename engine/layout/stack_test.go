package layout

import (
	"math/rand/v2"
	"testing"
)

// Every expert of a stack begins with a panel of its own, and its rows are those of its matrix alone.
func TestStack(t *testing.T) {
	const experts, n, k = 4, 37, 100
	for _, format := range FragmentFormats {
		if format.ScaleBytes == 0 {
			continue // numbers
		}
		s, err := NewStack(format.Name, experts, n, k, 0)
		if err != nil {
			t.Fatal(err)
		}
		one := s.Packed.(Fragments)
		if s.Panels() != experts*3 || s.Bytes() != experts*one.Bytes() {
			t.Fatalf("%s: %d panels of %d bytes in all", format.Name, s.Panels(), s.Bytes())
		}
		random := rand.New(rand.NewPCG(2, 2))
		data := make([]byte, s.Bytes())
		next := 0
		for panel := range s.Panels() {
			lo, hi := s.Rows(panel)
			if lo != next || hi <= lo || hi-lo > FragmentRows || lo/n != (hi-1)/n {
				t.Fatalf("panel %d has rows %d to %d, the one before ended at %d", panel, lo, hi, next)
			}
			next = hi
			f := one
			f.N = hi - lo
			if err := s.PackCodes(data[panel*s.PanelBytes():], randomCodes(random, f, make([]float32, f.N*f.K))); err != nil {
				t.Fatal(err)
			}
		}
		if next != experts*n {
			t.Fatalf("%d rows in all", next)
		}
		got, want := make([]float32, k), make([]float32, k)
		for row := range experts * n {
			s.Row(got, data, row)
			one.Row(want, data[row/n*one.Bytes():][:one.Bytes()], row%n)
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("%s: row %d, column %d: %v, want %v", format.Name, row, i, got[i], want[i])
				}
			}
		}
	}
	for _, experts := range []int{0, -1, maxExperts + 1} {
		if _, err := NewStack("frag.bf16", experts, n, k, 0); err == nil {
			t.Errorf("a stack of %d", experts)
		}
	}
}
