package sched

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Deadlines end sequences, queued or running, at the first step after one that they have missed, and no others; what they have by then is the beginning
// of what they would have had.
func TestRandomDeadlines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		h := newHarness(t, c)
		draw := func(label string) (d time.Time) {
			if rapid.Bool().Draw(t, label) {
				d = epoch.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, label+" at")) * time.Second)
			}
			return d
		}
		var requests []Request
		var queued []*Sequence
		for range rapid.IntRange(1, 12).Draw(t, "jobs") {
			r := drawRequest(t, h.s)
			r.Deadline = Deadline{Start: draw("start"), First: draw("first"), End: draw("end")}
			requests, queued = append(requests, r), append(queued, h.add(r))
		}
		firsts := map[*Sequence]time.Time{}
		for h.s.HasWork() {
			h.step(nil)
			for _, q := range queued {
				if len(h.answers[q].output) > 0 && firsts[q].IsZero() {
					firsts[q] = h.now
				}
				if due := q.due(); !due.IsZero() && h.now.After(due) && q.state != ended { // it may have its first token in the step at that time
					t.Fatalf("sequence %d goes on after its deadline", q.arrival)
				}
			}
		}
		for i, q := range queued {
			checkDeadlines(t, h, q, firsts[q])
			want, got := alone(h.s.config, requests[i]), h.answers[q]
			if got.finish == Expired || got.finish == Overdue {
				want = answer{output: want.output[:len(got.output)], finish: got.finish, prompt: got.prompt}
			}
			h.expect(q, want)
		}
	})
}

// checkDeadlines compares what became of a sequence with its deadlines.
func checkDeadlines(t *rapid.T, h *harness, q *Sequence, first time.Time) {
	d := q.request.Deadline
	missed := func(by, at time.Time) bool { return !by.IsZero() && at.After(by) }
	switch finish := h.answers[q].finish; {
	case finish == Overdue && (!q.started.IsZero() || d == Deadline{}), finish == Expired && q.started.IsZero():
		t.Fatalf("sequence %d: finish %d, started at %v", q.arrival, finish, q.started)
	case finish == Expired && d.End.IsZero() && (d.First.IsZero() || !first.IsZero()):
		t.Fatalf("sequence %d expired without a reason", q.arrival)
	case missed(d.Start, q.started), missed(d.First, first):
		t.Fatalf("sequence %d went on after a deadline: %+v, started %v, first token %v", q.arrival, d, q.started, first)
	}
}

// A forecast counts what goes first: prompts ahead, outputs until there is a place, and nothing where nobody is.
func TestForecast(t *testing.T) {
	c := config()
	c.MaxSequences = 2
	h := newHarness(t, c)
	if f := h.s.Forecast(&Request{Prompt: []int32{1, 2, 3}, MaxTokens: 5}); (f != Forecast{Prompt: 3, Outputs: 5, Idle: true}) {
		t.Errorf("of an empty scheduler: %+v", f)
	}
	for i, output := range []int{10, 20} {
		h.add(request(int32(i), 4, output))
	}
	h.step(nil)
	h.step(nil) // 8 and 18 are left
	h.add(request(2, 6, 30))
	low := request(3, 7, 1)
	low.Priority = 1
	h.add(low)
	r := request(9, 5, 3)
	r.StopTokens, r.MinTokens = []int32{1}, 2
	if f := h.s.Forecast(&r); (f != Forecast{Prompt: 5 + 6, Rounds: 18, Decoding: 2, Outputs: 3}) {
		t.Errorf("behind one: %+v", f)
	}
	r.Priority = 2
	if f := h.s.Forecast(&r); (f != Forecast{Prompt: 5 + 6 + 7, Rounds: 19, Decoding: 2, Outputs: 3}) {
		t.Errorf("behind two: %+v", f)
	}
	r.Priority = -1
	if f := h.s.Forecast(&r); (f != Forecast{Prompt: 5, Rounds: 8, Decoding: 2, Outputs: 3}) {
		t.Errorf("before all: %+v", f)
	}
	h.drain(200)
	again := request(0, 9, 1) // begins with the first prompt's page, which is cached
	if f := h.s.Forecast(&again); f.Prompt != 9-4 || h.s.Stats().PagesHeld != 0 {
		t.Errorf("of a prompt that is cached in part: %+v", f)
	}
}
