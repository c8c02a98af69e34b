package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// sequenceAhead is a random sequence whose tokens see others behind them: some, or all.
func sequenceAhead(t *testing.T, r *rand.Rand, positions int) *sequence {
	t.Helper()
	kv, err := layout.NewKV(layout.KVTypes[r.IntN(len(layout.KVTypes))], 16*(1+r.IntN(4)), 1+r.IntN(2), []int{16, 24, 32, 64, 128, 33}[r.IntN(6)])
	if err != nil {
		t.Fatal(err)
	}
	s := sequenceIn(r, kv, positions)
	s.ALiBi, s.Ahead = nil, 1<<30
	if r.IntN(2) == 0 {
		s.Ahead = 1 + r.IntN(positions)
	}
	return s
}

// Tokens that see those behind them attend to these, as the textbook writes it, and not to slots that the sequence has not.
func TestAttentionAheadIsAttention(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for range 10 {
		n := 1 + r.IntN(300)
		s := sequenceAhead(t, r, n)
		s.store(genericSet(), 0, n)
		from := r.IntN(n)
		to := min(n, from+1+r.IntN(20))
		q := s.queries(from, to)
		out := s.attend(genericSet(), q)
		bound := 4e-5
		switch s.DType {
		case dtype.BF16:
			bound = 0.08
		case dtype.I8, dtype.U4:
			bound = 8e-4
		case dtype.I16:
			bound = 2e-3 // words of the weights of many positions have 10 bits
		}
		for p := from; p < to; p++ {
			for h := range s.QueryHeads {
				for d, want := range s.expected(p, h) {
					if got := float64(out[(p-from)*q.LDOut+h*s.Dim+d]); !(math.Abs(got-want) <= bound) {
						t.Fatalf("%+v, %d ahead, window %d, position %d of %d, head %d: [%d] = %g, want %g", s.KV, s.Ahead, s.Window, p, n, h, d, got, want)
					}
				}
			}
		}
	}
}

// The bits of every set are the references', whether a token is computed alone or among others.
func TestAttentionAheadIsTheSameAloneAndTogether(t *testing.T) {
	for _, set := range Detect() {
		r := rand.New(rand.NewPCG(43, 44))
		rounds := 10
		if set.Name == Generic {
			rounds = 3
		}
		for range rounds {
			n := 1 + r.IntN(400)
			s := sequenceAhead(t, r, n)
			s.store(set, 0, n)
			from := r.IntN(n)
			to := min(n, from+40)
			together, want := s.attend(set, s.queries(from, to)), s.attend(reference(set), s.queries(from, to))
			ld := s.QueryHeads*s.Dim + 3
			for p := from; p < to; p++ {
				alone := s.attend(set, s.queries(p, p+1))
				for i := range ld - 3 {
					at := (p-from)*ld + i
					if !sameBits(alone[i], together[at]) || !sameBits(together[at], want[at]) || alone[i] != alone[i] {
						t.Fatalf("%s: %+v, %d ahead, window %d, position %d of %d, [%d]: alone %g, together %g, reference %g", set.Name, s.KV, s.Ahead, s.Window, p, n, i,
							alone[i], together[at], want[at])
					}
				}
			}
		}
	}
}
