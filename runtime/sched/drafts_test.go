package sched

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawGuesses returns what drafts the tokens that come next, up to a number, and is wrong about some of them.
func drawGuesses(t *rapid.T, c Config) func(q *Sequence) []int32 {
	most, wrong := rapid.IntRange(1, 9).Draw(t, "most drafts"), rapid.IntRange(0, 10).Draw(t, "wrong of ten")
	known := map[uint64][]int32{} // outputs, by arrival, which is not the order of jobs
	return func(q *Sequence) []int32 {
		output, ok := known[q.arrival]
		if !ok {
			output = alone(c, q.request).output
			known[q.arrival] = output
		}
		var drafts []int32
		for n := q.Outputs(); len(drafts) < most; n++ {
			id := int32(0)
			if n < len(output) {
				id = output[n]
			}
			if rapid.IntRange(1, 10).Draw(t, "wrong") <= wrong {
				id = (id + 1) % int32(c.Vocab)
			}
			drafts = append(drafts, id)
		}
		return drafts
	}
}

// right drafts what comes, as far as a request alone knows it.
func right(c Config, most int) func(q *Sequence) []int32 {
	return func(q *Sequence) []int32 {
		output := alone(c, q.request).output[q.Outputs():]
		return output[:min(len(output), most)]
	}
}

// TestRightDraftsAreTakenTogether wants a sequence to grow by its drafts and one token more in a step.
func TestRightDraftsAreTakenTogether(t *testing.T) {
	c := config()
	h := newHarness(t, c)
	h.guess = right(c, 4)
	r := request(3, 10, 16)
	q := h.add(r)
	h.drain(5)
	h.expect(q, alone(c, r))
	// The prompt's step gives one token, three steps give five each.
	if st := h.s.Stats(); h.device.steps != 4 || st.Drafts != 3 || st.DraftTokens != 12 || st.AcceptedTokens != 12 {
		t.Errorf("%d steps, %+v", h.device.steps, st)
	}
	if drafted, accepted := q.Verified(); drafted != 12 || accepted != 12 {
		t.Errorf("%d of %d drafts were right", accepted, drafted)
	}
}

// TestAStopAmongDraftsEnds wants nothing to be handed out behind a stop token that was drafted.
func TestAStopAmongDraftsEnds(t *testing.T) {
	c := config()
	h := newHarness(t, c)
	r := request(3, 10, 16)
	whole := alone(c, r).output
	r.StopTokens = whole[3:4]
	h.guess = func(*Sequence) []int32 { return whole[1:9] }
	q := h.add(r)
	h.drain(5)
	h.expect(q, alone(c, r))
	if h.device.steps != 2 {
		t.Errorf("%d steps", h.device.steps)
	}
}

// TestDraftsTakeWhatIsLeft wants drafts to keep to the limits of a step, to leave prompts half of it, and to preempt nobody.
func TestDraftsTakeWhatIsLeft(t *testing.T) {
	c := config()
	c.MaxStepTokens, c.MaxRows, c.MaxSequences = 12, 6, 4
	h := newHarness(t, c)
	h.guess = right(c, 8)
	a := request(3, 5, 40)
	qa := h.add(a)
	h.step(nil)
	b := request(50, 30, 4)
	qb := h.add(b)
	if st := h.step(nil); st.T() != 12 || len(st.Rows) != 5 { // one token and four drafts, since rows are for two; the prompt has the others
		t.Errorf("%d tokens, %d rows beside a prompt", st.T(), len(st.Rows))
	}
	h.drain(40)
	h.expect(qa, alone(c, a))
	h.expect(qb, alone(c, b))

	c = config()
	c.Pages, c.MaxContext, c.MaxSequences = 8, 32, 2
	h = newHarness(t, c)
	h.guess = right(c, 8)
	for i := range 2 {
		h.add(request(int32(20+30*i), 8, 8))
	}
	h.drain(20)
	if st := h.s.Stats(); st.Preemptions != 0 || st.AcceptedTokens == 0 {
		t.Errorf("%+v", st)
	}
}

// TestNoStepIsAheadOfDrafts wants the tokens of a step with drafts to be known before the next one is scheduled.
func TestNoStepIsAheadOfDrafts(t *testing.T) {
	c := config()
	h := newHarness(t, c)
	h.ahead, h.late = true, true
	r := request(3, 10, 16)
	q := h.add(r)
	h.step(nil) // and the one ahead of it is in flight
	h.step(nil)
	for len(h.flights) > 0 {
		h.ahead = false
		h.step(nil)
	}
	h.ahead, h.guess = true, right(c, 3)
	before := h.guessed
	h.step(nil)
	if h.guessed != before || len(h.flights) != 0 {
		t.Errorf("a step is ahead of drafts")
	}
	h.drain(20)
	h.expect(q, alone(c, r))
}

// TestWhoTakesDrafts wants sequences whose rows depend on more than their tokens to take none.
func TestWhoTakesDrafts(t *testing.T) {
	c := config()
	for name, change := range map[string]func(r *Request){
		"penalties": func(r *Request) { r.Sampling.PresencePenalty = 1 },
		"a mask":    func(r *Request) { r.Sampling.Allowed = make([]uint32, 4) },
		"one token": func(r *Request) { r.MaxTokens = 2 },
	} {
		h := newHarness(t, c)
		r, plain := request(3, 10, 16), request(4, 10, 16)
		change(&r)
		h.add(r)
		q := h.add(plain)
		h.step(nil)
		if got := h.s.Drafting(nil); !slices.Equal(got, []*Sequence{q}) {
			t.Errorf("%s: %d sequences take drafts", name, len(got))
		}
	}
}
