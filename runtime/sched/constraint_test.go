package sched

import (
	"slices"
	"testing"
)

// inTurns allows, behind n tokens, those that are n more than a multiple of three, until there are most.
type inTurns struct{ n, most int }

func (c *inTurns) Allowed(guesses []int32) []uint32 {
	n := c.n
	for _, id := range guesses {
		if int(id)%3 != n%3 || n == c.most {
			return nil
		}
		n++
	}
	mask := make([]uint32, 4)
	for id := n % 3; id < 97; id += 3 {
		mask[id/32] |= 1 << (id % 32)
	}
	return mask
}

func (c *inTurns) Accept(token int32) Outlet {
	if int(token)%3 != c.n%3 {
		return Astray
	}
	if c.n++; c.n == c.most {
		return Complete
	}
	return Open
}

// TestConstraintsAreKept wants sequences with constraints to sample under the mask of every place, the same whether steps are scheduled ahead, with guesses, and after preemptions,
// beside others without, which are as they are alone.
func TestConstraintsAreKept(t *testing.T) {
	var want [][]int32
	for _, variant := range []struct {
		name    string
		prepare func(h *harness)
		preempt bool
	}{
		{"plain", func(*harness) {}, false},
		{"ahead", func(h *harness) { h.ahead, h.late = true, true }, false},
		{"preempted", func(*harness) {}, true},
		{"guessed", func(h *harness) {
			h.guess = func(q *Sequence) []int32 { // the third is wrong
				if q.request.Constraint == nil {
					return nil
				}
				n := q.Outputs()
				known := want[q.request.Prompt[0]/40][n:]
				guesses := slices.Clone(known[:min(4, len(known))])
				if len(guesses) > 2 {
					guesses[2] = (guesses[2] + 1) % 97
				}
				return guesses
			}
		}, false},
	} {
		t.Run(variant.name, func(t *testing.T) {
			h := newHarness(t, config())
			variant.prepare(h)
			var kept []*Sequence
			for i := range int32(2) {
				r := request(3+40*i, 10, 20)
				r.Constraint = &inTurns{most: 11}
				kept = append(kept, h.add(r))
			}
			free := request(90, 12, 9)
			other := h.add(free)
			for i := range 80 {
				if h.step(nil); variant.preempt && i%3 == 0 && len(h.flights) == 0 {
					h.s.Preempt(2)
				}
				if !h.s.HasWork() {
					break
				}
			}
			h.expect(other, alone(h.s.config, free))
			want = expectTurns(t, h, kept, want, variant.name == "guessed")
		})
	}
}

// expectTurns wants sequences to have ended as their constraints want and with the outputs given, which it returns; nil: any.
func expectTurns(t *testing.T, h *harness, kept []*Sequence, want [][]int32, guessed bool) (outputs [][]int32) {
	t.Helper()
	for i, q := range kept {
		got := h.answers[q]
		if got.finish != Completed || len(got.output) != 11 {
			t.Fatalf("ended by %d with %v", got.finish, got.output)
		}
		for n, id := range got.output {
			if int(id)%3 != n%3 {
				t.Errorf("output %d is %d", n, id)
			}
		}
		if want != nil && !slices.Equal(got.output, want[i]) {
			t.Errorf("%v, want %v", got.output, want[i])
		}
		outputs = append(outputs, got.output)
		if drafted, accepted := q.Verified(); guessed && (accepted < 5 || accepted < drafted-1) {
			// The last one ends the output, and is not counted.
			t.Errorf("%d of %d guesses were right; those that are not allowed are no guesses", accepted, drafted)
		}
	}
	return outputs
}
