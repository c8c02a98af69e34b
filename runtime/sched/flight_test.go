package sched

import (
	"testing"

	"llmc/engine"
)

// TestEveryStepIsAhead wants all steps but the first to be scheduled before the one before is done, and none that only a sequence would be part of
// that is sure to end.
func TestEveryStepIsAhead(t *testing.T) {
	h := newHarness(t, config())
	h.ahead, h.late = true, true
	a, b := request(3, 10, 5), request(4, 90, 9)
	qa, qb := h.add(a), h.add(b)
	h.drain(20)
	h.expect(qa, alone(h.s.config, a))
	h.expect(qb, alone(h.s.config, b))
	if h.device.steps != h.guessed+1 || h.device.steps != 10 { // two of the longer prompt, eight tokens more
		t.Errorf("%d steps, %d of them ahead", h.device.steps, h.guessed)
	}
	if st := h.s.Stats(); st.Computed != 10+90+4+8 {
		t.Errorf("%d tokens were computed", st.Computed)
	}
}

// TestStopsAreNoticedLate wants a step that was ahead of the end of a sequence to change nothing, for it and for the one that gets its pages.
func TestStopsAreNoticedLate(t *testing.T) {
	c := config()
	c.Pages, c.MaxContext, c.MaxSequences = 8, 32, 2
	h := newHarness(t, c)
	h.ahead, h.late = true, true
	r := request(3, 10, 12)
	whole := alone(h.s.config, r)
	r.StopTokens = whole.output[3:4]
	first := h.add(r)
	var others []*Sequence
	for i := range 4 {
		others = append(others, h.add(request(int32(20+i), 12, 9)))
	}
	h.drain(60)
	h.expect(first, alone(h.s.config, r))
	for _, q := range others {
		h.expect(q, alone(h.s.config, q.request))
	}
	if h.guessed == 0 {
		t.Error("no step was scheduled ahead")
	}
}

// TestAheadOfAPrefix wants a prompt whose beginning is being computed to wait for it, and to find it.
func TestAheadOfAPrefix(t *testing.T) {
	c := config()
	c.MaxStepTokens = 16
	h := newHarness(t, c)
	h.ahead, h.late = true, true
	long := request(3, 40, 3)
	a := h.add(long)
	h.step(nil)
	b := h.add(long)
	h.drain(30)
	h.expect(a, alone(h.s.config, long))
	h.expect(b, alone(h.s.config, long))
	if b.Cached() != 36 { // all whole pages of four but the last, whose logits are wanted
		t.Errorf("%d tokens of the second prompt were found", b.Cached())
	}
}

// TestFailureAhead wants a failing step to take its own sequences along, out of the step ahead too, and nobody else.
func TestFailureAhead(t *testing.T) {
	c := config()
	c.MaxStepTokens = 16
	h := newHarness(t, c)
	h.ahead = true
	h.device.failAt = 1
	a, b := h.add(request(3, 16, 5)), h.add(request(50, 12, 5))
	h.drain(30)
	if h.answers[a].finish != Failed {
		t.Errorf("the sequence of the failed step: %+v", h.answers[a])
	}
	if got := h.answers[b]; got.finish != Failed {
		h.expect(b, alone(h.s.config, b.request))
	}
}

// TestFromRow wants tokens to come to be told from tokens.
func TestFromRow(t *testing.T) {
	for _, row := range []int{0, 1, 65535} {
		if got, ok := engine.RowOf(engine.FromRow(row)); !ok || got != row {
			t.Errorf("row %d became %d, %v", row, got, ok)
		}
	}
	if _, ok := engine.RowOf(0); ok {
		t.Error("token 0 is a row")
	}
}
