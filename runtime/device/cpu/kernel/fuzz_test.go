package kernel

import (
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
)

// The fuzz targets look for a seed whose random case an assembly kernel computes otherwise than its reference.

func FuzzLinear(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		p := randomProduct(t, rand.New(rand.NewPCG(seed, 1)))
		for _, s := range Detect() {
			want, got := p.run(reference(s), p.w.N), p.run(s, p.w.N)
			for i := range want {
				if !sameBits(got[i], want[i]) {
					t.Fatalf("%s: %v: y[%d] = %g, want %g", s.Name, &p, i, got[i], want[i])
				}
			}
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add(uint64(1), uint16(33))
	f.Fuzz(func(t *testing.T, seed uint64, size uint16) {
		n := 1 + int(size)%2000
		for _, c := range rowCases {
			for _, s := range Detect() {
				r := rand.New(rand.NewPCG(seed, 2))
				a, b, w := wildRow(r, n), wildRow(r, n), wildRow(r, n)
				a2, want := append([]float32(nil), a...), make([]float32, n)
				got, alive := guarded(n)
				c.run(reference(s), want, a2, b, w)
				c.run(s, got, a, b, w)
				for i := range want {
					if !sameBits(got[i], want[i]) || !alive() {
						t.Fatalf("%s %s of %d: [%d] = %x, want %x; inside its row: %v", s.Name, c.name, n, i, got[i], want[i], alive())
					}
				}
			}
		}
	})
}

func FuzzQuantize(f *testing.F) {
	f.Add(uint64(1), uint16(33))
	f.Fuzz(func(t *testing.T, seed uint64, size uint16) {
		r := rand.New(rand.NewPCG(seed, 3))
		x := wildRow(r, 1+int(size)%2000)
		form := forms[r.IntN(len(forms))]
		a, err := layout.NewActivation(form, len(x), 16<<r.IntN(4))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range Detect() {
			compareQuantized(t, s, a, x)
		}
	})
}

func FuzzAttend(f *testing.F) {
	f.Add(uint64(1), uint16(300), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, positions uint16, tokens uint8) {
		n := 1 + int(positions)%600
		s := randomSequence(t, rand.New(rand.NewPCG(seed, 4)), n)
		first := n - 1 - int(tokens)%min(n, 30)
		for _, set := range Detect() {
			s.spoil()
			s.store(set, 0, n)
			got, want := s.attend(set, s.queries(first, n)), s.attend(reference(set), s.queries(first, n))
			for i := range want {
				if !sameBits(got[i], want[i]) {
					t.Fatalf("%s: %+v window %d: [%d] = %g, want %g", set.Name, s.KV, s.Window, i, got[i], want[i])
				}
			}
		}
	})
}
