package sched

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// job is a request with the steps at which things happen to it.
type job struct {
	Request
	arrives  int
	abortsAt int // step; -1: never
	inFlight bool
}

var salts = []string{"", "", "a", "b"}

// drawRequest draws a prompt that shares its beginning with others, and options.
func drawRequest(t *rapid.T, s *Scheduler) Request {
	vocab := s.config.Vocab
	r := request(int32(rapid.IntRange(0, 2).Draw(t, "document")), rapid.IntRange(1, 40).Draw(t, "shared"), rapid.IntRange(1, 24).Draw(t, "output"))
	for range rapid.IntRange(0, 6).Draw(t, "own") {
		r.Prompt = append(r.Prompt, int32(rapid.IntRange(0, vocab-1).Draw(t, "token")))
	}
	if rapid.IntRange(0, 3).Draw(t, "open end") == 0 {
		r.MaxTokens = 0
	}
	r.Sampling.Seed = uint64(rapid.IntRange(0, 3).Draw(t, "seed"))
	r.MinTokens = min(rapid.IntRange(0, 8).Draw(t, "min tokens"), r.MaxTokens)
	for i := range rapid.IntRange(0, 9).Draw(t, "stop tokens") {
		r.StopTokens = append(r.StopTokens, int32(i*11%vocab))
	}
	r.Salt = rapid.SampledFrom(salts).Draw(t, "salt")
	r.Priority = rapid.IntRange(0, 2).Draw(t, "priority")
	r.Tenant, r.Share = rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "tenant"), rapid.IntRange(0, 3).Draw(t, "share")
	if rapid.IntRange(0, 4).Draw(t, "penalties") == 0 {
		r.Sampling.FrequencyPenalty = 0.5
	}
	if rapid.IntRange(0, 4).Draw(t, "prompt logprobs") == 0 {
		r.PromptLogprobs = 0
	}
	drawText(t, s, &r)
	return r
}

// drawText gives a request what one of an encoder-decoder has: a text, and tokens that its output begins and ends with.
func drawText(t *rapid.T, s *Scheduler, r *Request) {
	token := func(label string) int32 { return int32(rapid.IntRange(0, s.config.Vocab-1).Draw(t, label)) }
	for range rapid.IntRange(min(1, s.MaxSource()), s.MaxSource()).Draw(t, "text length") {
		r.Source = append(r.Source, token("text token"))
	}
	if rapid.IntRange(0, 3).Draw(t, "forced") == 0 {
		r.First, r.Last = []int32{token("first")}, []int32{token("last")}
	}
	r.Prompt = r.Prompt[:min(len(r.Prompt), s.MaxTokens()-1)] // texts take room too
}

func drawConfig(t *rapid.T) Config {
	c := Config{Vocab: 97, NoPrefixCache: rapid.IntRange(0, 3).Draw(t, "no prefix cache") == 0}
	c.MaxContext = rapid.IntRange(50, 80).Draw(t, "context")
	c.PageSize = rapid.SampledFrom([]int{1, 3, 4, 16}).Draw(t, "page size")
	least := (c.MaxContext + c.PageSize - 1) / c.PageSize // one sequence must fit
	c.Pages = least + rapid.IntRange(0, 3*least).Draw(t, "spare pages")
	c.MaxStepTokens = rapid.SampledFrom([]int{1, 2, 7, 32, 500}).Draw(t, "step tokens")
	c.MaxSequences = rapid.IntRange(1, 12).Draw(t, "sequences")
	c.MaxRows = rapid.IntRange(1, 20).Draw(t, "rows")
	c.ChunkTokens = rapid.SampledFrom([]int{0, 1, 5, 16}).Draw(t, "chunk")
	if rapid.IntRange(0, 2).Draw(t, "texts") == 0 {
		c.MaxSource = rapid.IntRange(1, 30).Draw(t, "text")
		c.Pages += 1 + (c.MaxSource+c.PageSize-1)/c.PageSize
	}
	c.CopyPages = rapid.Bool().Draw(t, "copies")
	c.RopeSalt = rapid.SampledFrom([]string{"", "longrope:20", "dynamic:20"}).Draw(t, "rope")
	return c
}

// The same requests give the same tokens whatever the batch, chunk, page size, memory, order of arrival, preemption and prefix
// cache: those of a run of each request alone.
func TestSchedulesChangeNothing(t *testing.T) {
	for _, part := range []string{"a", "b", "c"} { // 100 schedules each
		t.Run(part, func(t *testing.T) { rapid.Check(t, runSchedule) })
	}
}

func runSchedule(t *rapid.T) {
	c := drawConfig(t)
	h := newHarness(t, c)
	h.ahead, h.late = rapid.Bool().Draw(t, "ahead"), rapid.Bool().Draw(t, "late")
	jobs := make([]job, rapid.IntRange(1, 14).Draw(t, "jobs"))
	total := 0
	for i := range jobs {
		jobs[i] = job{Request: drawRequest(t, h.s), abortsAt: -1}
		jobs[i].arrives = rapid.IntRange(0, 30).Draw(t, "arrival")
		if rapid.IntRange(0, 5).Draw(t, "aborted") == 0 {
			jobs[i].abortsAt = rapid.IntRange(0, 40).Draw(t, "abort step")
			jobs[i].inFlight = rapid.Bool().Draw(t, "in flight")
		}
		total += stepsAlone(c)
	}
	if rapid.Bool().Draw(t, "drafts") {
		h.guess = drawGuesses(t, c)
	}
	preemptions := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 30).Draw(t, "preemptions")
	queued := make([]*Sequence, len(jobs))
	for n := 0; n <= 40; n++ {
		for i := range jobs {
			if jobs[i].arrives == n {
				queued[i] = h.add(jobs[i].Request)
			}
		}
		h.aborts(jobs, queued, n, false)
		if n < len(preemptions) && len(h.flights) == 0 {
			h.s.Preempt(preemptions[n])
		}
		h.step(func() { h.aborts(jobs, queued, n, true) })
	}
	// A token at a time with everything else in the way: more steps than tokens, also those computed again, mean a livelock.
	h.drain(4 * total)
	for i := range jobs {
		h.compare(jobs[i], queued[i])
	}
}

// aborts aborts what is due, and what is aborted must have ended when the step has.
func (h *harness) aborts(jobs []job, queued []*Sequence, step int, inFlight bool) {
	for i := range jobs {
		if jobs[i].abortsAt == step && jobs[i].inFlight == inFlight && queued[i] != nil {
			h.s.Abort(queued[i])
		}
		if q := queued[i]; q != nil && 0 <= jobs[i].abortsAt && jobs[i].abortsAt < step && q.state != ended && jobs[i].arrives <= jobs[i].abortsAt {
			h.t.Fatalf("sequence %d goes on after its abort", q.arrival)
		}
	}
}

func (h *harness) compare(j job, q *Sequence) {
	want := alone(h.s.config, j.Request)
	got := h.answers[q]
	if got.finish == Aborted { // a beginning of the output
		if len(got.output) > len(want.output) {
			h.t.Fatalf("sequence %d: %d tokens after an abort, %d without", q.arrival, len(got.output), len(want.output))
		}
		want.output, want.finish = want.output[:len(got.output)], Aborted
		if got.prompt == nil {
			want.prompt = nil
		}
	}
	h.expect(q, want)
}

// stepsAlone bounds the steps that a sequence takes a token at a time.
func stepsAlone(c Config) int {
	if strings.HasPrefix(c.RopeSalt, "dynamic:") { // each token computes all before it anew
		return c.MaxContext * c.MaxContext
	}
	return c.MaxContext
}

// Failing steps take their own sequences with them and nobody else.
func TestRandomFailures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		h := newHarness(t, c)
		h.ahead, h.late = rapid.Bool().Draw(t, "ahead"), rapid.Bool().Draw(t, "late")
		h.device.failAt = rapid.IntRange(1, 30).Draw(t, "failing step")
		var requests []Request
		var queued []*Sequence
		for range rapid.IntRange(1, 12).Draw(t, "jobs") {
			r := drawRequest(t, h.s)
			requests, queued = append(requests, r), append(queued, h.add(r))
		}
		h.drain(len(queued) * 4 * stepsAlone(c))
		failed := 0
		for i, q := range queued {
			want := alone(h.s.config, requests[i])
			if got := h.answers[q]; got.finish == Failed {
				failed++
				want = answer{output: want.output[:len(got.output)], finish: Failed, prompt: got.prompt}
			}
			h.expect(q, want)
		}
		if h.harmed != (failed > 0) {
			t.Fatalf("a step failed and nobody noticed")
		}
	})
}
