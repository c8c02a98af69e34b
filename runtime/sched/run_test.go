package sched

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"llmc/engine"
)

// fataler is what *testing.T, *testing.B and *rapid.T share.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// harness drives a scheduler and its device by a virtual clock, one second a step, and checks after every step that what is
// cached is what unbatched runs would have, that pages are conserved, and that the best-ranked sequence moved on.
type harness struct {
	t       fataler
	s       *Scheduler
	device  *device
	now     time.Time
	answers map[*Sequence]*answer
	outputs []Output
	flights []*flown
	ahead   bool                      // schedules the next step before this one is done
	late    bool                      // the device works on a step when it is waited for, not when it is started
	guessed int                       // steps that were scheduled ahead
	guess   func(q *Sequence) []int32 // drafts for a sequence; nil: none
	copies  int                       // of pages
	harmed  bool                      // a step failed that somebody still wanted something of
}

// flown is a step in flight.
type flown struct {
	st     *engine.Step
	seen   []int            // tokens that each row's history had when the step was started
	before []engine.Sampled // answers of the step before
	out    []engine.Sampled
	ran    bool
	err    error
}

// launch gives a step to the device.
func (h *harness) launch(st *engine.Step) {
	for _, c := range h.s.TakeCopies(nil) {
		if len(h.flights) > 0 {
			h.t.Fatalf("a copy is wanted while a step is in flight")
		}
		h.copies++
		size := h.s.config.PageSize
		copy(h.device.memory[int(c.To)*size:][:size], h.device.memory[int(c.From)*size:][:size])
	}
	f := &flown{st: st, out: make([]engine.Sampled, len(st.Rows)), seen: make([]int, len(st.Rows))}
	for i, r := range st.Rows {
		if r.History != nil {
			f.seen[i] = len(r.History.Outputs())
		}
	}
	if n := len(h.flights); n > 0 {
		f.before = h.flights[n-1].out
	}
	if h.flights = append(h.flights, f); !h.late {
		h.run(f)
	}
}

// run lets the device work on a step, once.
func (h *harness) run(f *flown) {
	if f.ran {
		return
	}
	f.ran, f.err = true, h.device.run(f.st, f.seen, f.before, f.out)
	if f.err != nil && h.device.steps != h.device.failAt {
		h.t.Fatalf("%v", f.err)
	}
}

var epoch = time.Unix(1_000_000, 0)

func newHarness(t fataler, c Config) *harness {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return &harness{t: t, s: s, device: newDevice(c), now: epoch, answers: map[*Sequence]*answer{}}
}

func (h *harness) add(r Request) *Sequence {
	h.t.Helper()
	q, err := h.s.Add(r)
	if err != nil {
		h.t.Fatalf("%v", err)
	}
	h.answers[q] = &answer{}
	return q
}

// step completes a step, and schedules one before if none is in flight. inFlight, if not nil, runs while the device works.
func (h *harness) step(inFlight func()) *engine.Step {
	h.t.Helper()
	h.now = h.now.Add(time.Second)
	if len(h.flights) == 0 {
		h.propose()
		st := h.s.Schedule(h.now)
		if st.T() == 0 {
			if len(h.s.running)+h.s.waiting.count > 0 {
				h.t.Fatalf("empty step with %d running and %d waiting", len(h.s.running), h.s.waiting.count)
			}
			h.collect(nil)
			return st
		}
		if h.s.running[0] != h.s.flights[0].parts[0].q {
			h.t.Fatalf("the best-ranked sequence does not move on")
		}
		h.launch(st)
	}
	if h.ahead {
		if st := h.s.Ahead(h.now); st != nil {
			h.guessed++
			h.launch(st)
		}
	}
	f := h.flights[0]
	h.run(f)
	if inFlight != nil {
		inFlight()
	}
	if h.flights = h.flights[1:]; f.err != nil {
		h.harmed = slices.ContainsFunc(h.s.flights[0].parts, func(p part) bool { return p.alive() })
		h.s.Fail()
	} else {
		h.verifyCache()
		h.s.Complete(f.out)
		h.verifyComputed()
	}
	h.collect(f.out)
	if err := h.s.Check(); err != nil {
		h.t.Fatalf("%v", err)
	}
	return f.st
}

// verifyCache compares the device's memory for every sequence of the oldest step with an unbatched run.
func (h *harness) verifyCache() {
	h.t.Helper()
	for _, p := range h.s.flights[0].parts {
		if !p.alive() {
			continue
		}
		h.verifyPositions(p.q, p.from+p.tokens)
	}
}

// verifyPositions does so for the first positions of a sequence.
func (h *harness) verifyPositions(q *Sequence, positions int) {
	h.t.Helper()
	want, _ := words(h.s.config.RopeSalt, q.request.Source, q.tokens[:positions], wholeLength(h.s.config.RopeSalt, len(q.tokens), len(q.request.Prompt)))
	size, pages := h.s.pool.PageSize(), q.table.Pages()
	for p, w := range want {
		if h.device.memory[int(pages[p/size])*size+p%size] != w {
			h.t.Fatalf("sequence %d: position %d of the cache is wrong", q.arrival, p)
		}
	}
}

// verifyComputed does so for all that the sequences count as computed when no step is in flight.
func (h *harness) verifyComputed() {
	h.t.Helper()
	if len(h.s.flights) > 0 {
		return
	}
	for _, q := range h.s.running {
		h.verifyPositions(q, q.computed)
	}
}

// propose drafts for the sequences that take any.
func (h *harness) propose() {
	if h.guess != nil {
		for _, q := range h.s.Drafting(nil) {
			h.s.Propose(q, h.guess(q))
		}
	}
}

func (h *harness) collect(out []engine.Sampled) {
	h.t.Helper()
	h.outputs = h.s.TakeOutputs(h.outputs[:0])
	for _, o := range h.outputs {
		a := h.answers[o.Seq]
		if a.finish != Running {
			h.t.Fatalf("output after the end of sequence %d", o.Seq.arrival)
		}
		if o.Token >= 0 {
			a.output = append(a.output, o.Token)
			a.samples = append(a.samples, out[o.Row])
		}
		a.finish = o.Finish
		a.prompt = o.Seq.PromptLogprobs()
	}
}

// drain steps until nothing is left, within a bound that only a livelock exceeds.
func (h *harness) drain(bound int) {
	h.t.Helper()
	for i := 0; h.s.HasWork(); i++ { // steps in flight included
		if i > bound {
			h.t.Fatalf("not done after %d steps: %+v", bound, h.s.Stats())
		}
		h.step(nil)
	}
	if st := h.s.Stats(); st.PagesHeld != 0 {
		h.t.Fatalf("%d pages are still held", st.PagesHeld)
	}
}

func (h *harness) expect(q *Sequence, want answer) {
	h.t.Helper()
	if err := h.answers[q].differs(want); err != nil {
		h.t.Fatalf("sequence %d: %v", q.arrival, err)
	}
}

func (a *answer) differs(want answer) error {
	switch {
	case !slices.Equal(a.output, want.output):
		return fmt.Errorf("output %v, want %v", a.output, want.output)
	case a.finish != want.finish:
		return fmt.Errorf("finish %d, want %d", a.finish, want.finish)
	case len(a.prompt) != len(want.prompt):
		return fmt.Errorf("%d prompt log-probabilities, want %d", len(a.prompt), len(want.prompt))
	}
	for i, p := range want.prompt {
		if a.prompt[i].Token != p.Token || a.prompt[i].Logprob != p.Logprob {
			return fmt.Errorf("prompt log-probability %d is %+v, want %+v", i, a.prompt[i], p)
		}
	}
	return nil
}

// config returns roomy limits for tests to tighten.
func config() Config {
	return Config{
		Settings: engine.Settings{MaxStepTokens: 64, MaxSequences: 16, MaxRows: 16, MaxContext: 256, PageSize: 4},
		Pages:    512, Vocab: 97,
	}
}

// request returns a prompt of n tokens that begin with first, and asks for so many tokens.
func request(first int32, n, output int) Request {
	r := Request{MaxTokens: output, PromptLogprobs: -1, Sampling: engine.Sampling{Logprobs: -1}}
	for i := range n {
		r.Prompt = append(r.Prompt, (first+int32(i)*7)%97)
	}
	return r
}

func TestOneRequest(t *testing.T) {
	h := newHarness(t, config())
	r := request(3, 10, 5)
	q := h.add(r)
	h.drain(10)
	h.expect(q, alone(h.s.config, r))
}
