package sched

import (
	"errors"
	"slices"
	"testing"

	"llmc/engine"
)

// tokensOf returns how many tokens each of the sequences has in the step.
func tokensOf(h *harness, st *engine.Step, queued ...*Sequence) []int {
	n := make([]int, len(queued))
	for b, p := range h.s.spare.parts {
		if i := slices.Index(queued, p.q); i >= 0 {
			n[i] = int(st.SeqStart[b+1] - st.SeqStart[b])
		}
	}
	return n
}

func TestAdmissionIsByPriorityThenArrival(t *testing.T) {
	c := config()
	c.MaxSequences = 1
	h := newHarness(t, c)
	var queued []*Sequence
	for _, priority := range []int{1, 0, 1, 0, -1} {
		r := request(0, 4, 1)
		r.Priority = priority
		queued = append(queued, h.add(r))
	}
	var order []int
	for h.s.HasWork() {
		h.step(nil)
		for _, o := range h.outputs {
			order = append(order, slices.Index(queued, o.Seq))
		}
	}
	if want := []int{4, 1, 3, 0, 2}; !slices.Equal(order, want) {
		t.Errorf("served %v, want %v", order, want)
	}
}

// A prompt of 1000 steps' worth neither delays running streams nor holds up a short prompt behind it.
func TestLongPromptStallsNobody(t *testing.T) {
	c := config()
	c.MaxStepTokens, c.MaxContext, c.Pages = 16, 16_100, 5000
	h := newHarness(t, c)
	h.device = nil // contexts this long are slow to verify
	streams := []*Sequence{h.add(request(1, 4, 100)), h.add(request(2, 4, 100))}
	step := func() *engine.Step {
		st := h.s.Schedule(epoch)
		out := make([]engine.Sampled, len(st.Rows))
		h.s.Complete(out)
		return st
	}
	step()
	long := h.add(request(3, 16_000, 1))
	step()
	for range 20 {
		st := step()
		if got := tokensOf(h, st, streams[0], streams[1], long); !slices.Equal(got, []int{1, 1, 14}) {
			t.Fatalf("tokens of two streams and a long prompt: %v", got)
		}
	}
	short := h.add(request(4, 21, 1))
	for i := range 3 {
		if got := tokensOf(h, step(), short); got[0] != 7 {
			t.Fatalf("step %d: %d tokens of the short prompt, want half of 14", i, got[0])
		}
	}
	if short.state != ended || long.computed < 20*14+3*7 {
		t.Errorf("short prompt not done, or the long one has %d tokens", long.computed)
	}
}

func TestShortPromptsGetInBesideManyLongOnes(t *testing.T) {
	c := config()
	c.MaxStepTokens, c.MaxContext, c.Pages = 32, 2000, 5000
	h := newHarness(t, c)
	for i := range 3 {
		h.add(request(int32(10+i), 1000, 1))
	}
	h.step(nil)
	short := h.add(request(4, 30, 1))
	for n := 1; short.state != ended; n++ {
		if n > 3 {
			t.Fatalf("short prompt has %d of 30 tokens after %d steps", short.computed, n)
		}
		h.step(nil)
	}
}

func TestChunkLimit(t *testing.T) {
	c := config()
	c.ChunkTokens = 5
	h := newHarness(t, c)
	q := h.add(request(0, 12, 1))
	for _, want := range []int{5, 5, 2} {
		if got := tokensOf(h, h.step(nil), q); got[0] != want {
			t.Errorf("%d tokens, want %d", got[0], want)
		}
	}
}

// Memory for two: the third in rank gives way, and gets its turn when there is room.
func TestPreemptionTakesTheWorstRanked(t *testing.T) {
	c := config()
	c.MaxContext, c.PageSize, c.Pages, c.NoPrefixCache = 40, 4, 15, true
	h := newHarness(t, c)
	var queued []*Sequence
	for i, priority := range []int{1, 0, 0} { // the first to come ranks last
		r := request(int32(i), 12, 24)
		r.Priority = priority
		queued = append(queued, h.add(r))
	}
	for !queued[0].again {
		h.step(nil)
		if queued[1].again || queued[2].again {
			t.Fatal("a better-ranked sequence was preempted")
		}
	}
	if h.s.Stats().Preemptions != 1 || queued[0].state != waiting {
		t.Fatalf("%+v", h.s.Stats())
	}
	h.drain(200)
	if queued[1].again {
		t.Error("the best-ranked sequence was preempted")
	}
	for _, q := range queued {
		h.expect(q, alone(h.s.config, q.request))
	}
}

func TestQueueLimitCountsThoseWithoutAPlace(t *testing.T) {
	c := config()
	c.MaxSequences, c.QueueLimit = 2, 3
	h := newHarness(t, c)
	for range 5 {
		h.add(request(0, 4, 4))
	}
	if _, err := h.s.Add(request(0, 4, 4)); !errors.Is(err, ErrQueueFull) {
		t.Fatalf("sixth request: %v", err)
	}
	h.step(nil) // two run now
	if _, err := h.s.Add(request(0, 4, 4)); !errors.Is(err, ErrQueueFull) {
		t.Fatalf("fourth waiting request: %v", err)
	}
	h.drain(100)
	h.add(request(0, 4, 4))
}

func TestDropIsSilent(t *testing.T) {
	c := config()
	c.MaxSequences = 1
	h := newHarness(t, c)
	run, wait := h.add(request(0, 4, 8)), h.add(request(0, 4, 8))
	h.step(nil)
	h.s.Drop(run)
	h.s.Drop(wait)
	h.s.Drop(run)
	if h.outputs = h.s.TakeOutputs(nil); len(h.outputs) != 0 || h.s.HasWork() {
		t.Fatalf("outputs %v", h.outputs)
	}
	if err := h.s.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestAbortAll(t *testing.T) {
	c := config()
	c.MaxSequences = 2
	h := newHarness(t, c)
	var queued []*Sequence
	for range 5 {
		queued = append(queued, h.add(request(0, 4, 8)))
	}
	h.step(h.s.AbortAll)
	h.s.AbortAll()
	if h.s.HasWork() {
		t.Errorf("%+v", h.s.Stats())
	}
	for _, q := range queued {
		if h.answers[q].finish != Aborted || q.Started().IsZero() == (q.arrival < 2) {
			t.Errorf("sequence %d: finish %d, started %v", q.arrival, h.answers[q].finish, q.Started())
		}
	}
}

func TestTokenOutsideTheVocabularyEndsItsSequenceAlone(t *testing.T) {
	for _, bad := range []int32{-1, 97} {
		h := newHarness(t, config())
		a, b := h.add(request(0, 4, 8)), h.add(request(1, 4, 8))
		st := h.s.Schedule(epoch)
		out := make([]engine.Sampled, len(st.Rows))
		if err := h.device.Step(st, out); err != nil {
			t.Fatal(err)
		}
		out[0].Token = bad
		h.s.Complete(out)
		h.collect(out)
		if h.answers[a].finish != BadSample || h.answers[b].finish != Running {
			t.Errorf("token %d: finishes %d and %d", bad, h.answers[a].finish, h.answers[b].finish)
		}
		h.drain(20)
		h.expect(b, alone(h.s.config, b.request))
	}
}

// Config.PromptTokens bounds what a step takes in beside streams, not what it takes in alone.
func TestPromptTokensBoundsStepsWithStreams(t *testing.T) {
	c := config()
	c.MaxStepTokens, c.MaxContext, c.Pages = 64, 2000, 5000
	var asked [2]int
	c.PromptTokens = func(decoding, coming int) int {
		asked = [2]int{decoding, coming}
		return 20
	}
	h := newHarness(t, c)
	streams := []*Sequence{h.add(request(1, 4, 40)), h.add(request(2, 4, 40))}
	h.step(nil)
	long, other := h.add(request(3, 500, 1)), h.add(request(4, 300, 1))
	st := h.step(nil)
	if got := tokensOf(h, st, streams[0], streams[1], long, other); !slices.Equal(got, []int{1, 1, 10, 10}) || asked != [2]int{2, 2} {
		t.Errorf("tokens of two streams and two prompts: %v, asked %v", got, asked)
	}
	c.PromptTokens = func(_, _ int) int { return 0 }
	h = newHarness(t, c)
	h.add(request(1, 4, 40))
	h.step(nil)
	long = h.add(request(3, 500, 1))
	if got := tokensOf(h, h.step(nil), long); got[0] != 1 {
		t.Errorf("%d tokens of a prompt, want one", got[0])
	}
	h = newHarness(t, c)
	long = h.add(request(3, 500, 1))
	if got := tokensOf(h, h.step(nil), long); got[0] != c.MaxStepTokens {
		t.Errorf("%d tokens of a prompt alone, want all %d", got[0], c.MaxStepTokens)
	}
}

// Config.Newcomers bounds how many are given their first token beside streams, in their order, and nobody is given up.
func TestNewcomersBeginByDegrees(t *testing.T) {
	c := config()
	var asked [][2]int
	c.Newcomers = func(decoding, want int) int {
		asked = append(asked, [2]int{decoding, want})
		if decoding == 0 {
			return want
		}
		return min(want, 2)
	}
	h := newHarness(t, c)
	streams := []*Sequence{h.add(request(1, 1, 40)), h.add(request(2, 1, 40))}
	if got := tokensOf(h, h.step(nil), streams...); !slices.Equal(got, []int{1, 1}) {
		t.Fatalf("tokens of two newcomers alone: %v", got)
	}
	var late []*Sequence
	for i := range 5 {
		late = append(late, h.add(request(int32(3+i), 1, 10)))
	}
	for step, want := range [][]int{{1, 1, 0, 0, 0}, {1, 1, 1, 1, 0}, {1, 1, 1, 1, 1}} {
		st := h.step(nil)
		if got := tokensOf(h, st, late...); !slices.Equal(got, want) || !slices.Equal(tokensOf(h, st, streams...), []int{1, 1}) {
			t.Errorf("step %d: tokens of newcomers beside two streams: %v, want %v", step, got, want)
		}
	}
	if want := [][2]int{{0, 2}, {2, 5}, {4, 3}, {6, 1}}; !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
	for _, q := range late {
		h.drain(60)
		h.expect(q, alone(h.s.config, q.request))
	}
}
