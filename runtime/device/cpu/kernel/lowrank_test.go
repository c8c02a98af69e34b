package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
)

// randomLowRank returns a product, and its matrices as A [rank, k] and B [n, rank]. Some panels of B have ranks of zeros.
func randomLowRank(t *testing.T, r *rand.Rand, k, n, rank int) (l *LowRank, a, b []float32) {
	t.Helper()
	a, b = randomRow(r, rank*k), randomRow(r, n*rank)
	for i := range b {
		if panel, j := i/rank/layout.Lanes, i%rank; (panel+j/4)%3 == 0 {
			b[i] = 0
		}
	}
	ranks, outputs := (rank+layout.Lanes-1)/layout.Lanes*layout.Lanes, (n+layout.Lanes-1)/layout.Lanes*layout.Lanes
	down, up := make([]float32, ranks*k), make([]float32, outputs*rank)
	for i, v := range a {
		j, at := i/k, i%k
		down[(j/layout.Lanes*k+at)*layout.Lanes+j%layout.Lanes] = v
	}
	for i, v := range b {
		at, j := i/rank, i%rank
		up[(at/layout.Lanes*rank+j)*layout.Lanes+at%layout.Lanes] = v
	}
	l, err := NewLowRank(k, n, rank, bytesOf(down), bytesOf(up))
	if err != nil {
		t.Fatal(err)
	}
	return l, a, b
}

// added prepares what l adds to rows [first, end) of p, in one go or part by part.
func (p *product) added(s *Set, l *LowRank, first, end int, apart bool) *Added {
	ld := l.PaddedRank() + 32
	down := make([]float32, (end-first)*ld)
	if !apart {
		s.Down(NewScratch(1), l, &p.x, first, end-first, 0, l.Segments(), down, ld)
	}
	for segment := 0; apart && segment < l.Segments(); segment++ {
		part := make([]float32, len(down))
		s.Down(NewScratch(1), l, &p.x, first, end-first, segment, segment+1, part, ld)
		for i, v := range part {
			if segment == 0 {
				down[i] = v
			} else {
				down[i] += v
			}
		}
	}
	return &Added{Runs: []AddedRun{{First: first, End: end, LowRank: l, Down: down, LD: ld}}}
}

// What adapters add is B*(A*x) of the numbers that x's codes stand for, in rows of the adapter alone, whoever computes which part.
func TestAddedToLinear(t *testing.T) {
	for _, s := range Detect() {
		r := rand.New(rand.NewPCG(21, 22))
		for round := range 12 {
			p := randomProduct(t, r)
			if round%6 == 0 { // parts of A*x
				p.rows = 1 + r.IntN(8)
				p.w = randomMatrix(t, r, p.w.Name, p.w.N, 2*lowRankSegment+r.IntN(300), 0)
				p.x = activate(genericSet(), p.w.Input(), randomRow(r, p.rows*p.w.K))
			}
			plain := p.run(s, p.w.N)
			rank := 1 + r.IntN(70)
			l, a, b := randomLowRank(t, r, p.w.K, p.w.N, rank)
			first := r.IntN(p.rows)
			end := first + 1 + r.IntN(p.rows-first)
			p.x.Added = p.added(s, l, first, end, false)
			got := p.run(s, p.w.N)
			p.x.Added = p.added(s, l, first, end, true)
			for i, v := range p.run(s, p.w.N) {
				if !sameBits(v, got[i]) {
					t.Fatalf("%s: %v: y[%d] = %g when A*x is computed in parts, else %g", s.Name, &p, i, v, got[i])
				}
			}
			for row := range p.rows {
				base, y := plain[row*p.w.N:][:p.w.N], got[row*p.w.N:]
				if row < first || row >= end {
					for n, v := range base {
						if !sameBits(y[n], v) {
							t.Fatalf("%s: %v: row %d has no adapter and changes", s.Name, &p, row)
						}
					}
					continue
				}
				down, size := make([]float64, rank), make([]float64, rank)
				for i, w := range a {
					v := value(&p.x, row, i%p.w.K) * float64(w)
					down[i/p.w.K] += v
					size[i/p.w.K] += math.Abs(v)
				}
				for n, v := range base {
					want, bound := float64(v), math.Abs(float64(v))
					for j := range rank {
						want += down[j] * float64(b[n*rank+j])
						bound += size[j] * math.Abs(float64(b[n*rank+j]))
					}
					if math.Abs(float64(y[n])-want) > 2e-6*bound+1e-12 {
						t.Fatalf("%s: %v, rank %d: y[%d,%d] = %g, want %g", s.Name, &p, rank, row, n, y[n], want)
					}
				}
			}
		}
	}
}

// Gates see what is added, and a row's result does not depend on the rows beside it.
func TestAddedToSwiGLU(t *testing.T) {
	for _, s := range Detect() {
		r := rand.New(rand.NewPCG(23, 24))
		for range 8 {
			p := randomProduct(t, r)
			pairs := 1 + r.IntN(3)
			n := pairs*layout.Lanes - r.IntN(layout.Lanes)
			p.w = randomMatrix(t, r, p.w.Name, 2*pairs*layout.Lanes, p.w.K, p.w.Segment)
			l, _, _ := randomLowRank(t, r, p.w.K, p.w.N, 1+r.IntN(40))
			p.x.Added = p.added(s, l, 0, p.rows, false)
			both, want, got := p.run(s, p.w.N), make([]float32, p.rows*n), make([]float32, p.rows*n)
			for i := range p.rows {
				for pair := range pairs {
					at := both[i*p.w.N+2*pair*layout.Lanes:]
					width := min(layout.Lanes, n-pair*layout.Lanes)
					s.Gate(p.w.Gate, want[i*n+pair*layout.Lanes:][:width], at[:width], at[layout.Lanes:][:width])
				}
			}
			for i := range p.rows { // alone
				one := product{w: p.w, x: p.x, rows: 1}
				one.x.Data = one.x.Data[i*one.x.Stride:]
				one.x.Added = one.added(s, l, 0, 1, true)
				s.LinearSwiGLU(NewScratch(1), &one.w, &one.x, got[i*n:], n, n, 1, 0, pairs)
			}
			for i, v := range want {
				if !sameBits(got[i], v) {
					t.Fatalf("%s: %v: gated y[%d] = %g alone, want %g", s.Name, &p, i, got[i], v)
				}
			}
			s.LinearSwiGLU(NewScratch(1), &p.w, &p.x, got, n, n, p.rows, 0, pairs)
			for i, v := range want {
				if !sameBits(got[i], v) {
					t.Fatalf("%s: %v: gated y[%d] = %g, want %g", s.Name, &p, i, got[i], v)
				}
			}
		}
	}
}

func TestLowRankRefusesOtherSizes(t *testing.T) {
	for _, c := range []struct{ k, n, rank, a, b int }{{8, 40, 3, 8 * 32, 40 * 3}, {8, 40, 3, 8 * 3, 64 * 3}, {0, 40, 3, 0, 64 * 3}, {8, 40, 0, 0, 0}, {8, 0, 3, 8 * 32, 0}} {
		if _, err := NewLowRank(c.k, c.n, c.rank, make([]byte, 4*c.a), make([]byte, 4*c.b)); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
