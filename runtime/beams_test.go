package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"llmc/engine"
	"llmc/runtime/beam"
)

// readBeams takes the events of a search's outputs.
func readBeams(t *testing.T, list []Generation) (all []result) {
	t.Helper()
	for _, g := range list {
		all = append(all, read(t, g))
	}
	return all
}

// Any context of the echo has the alternatives 0, 1, 2, .. of the log-probabilities 0, -1, -2, .., so the most probable outputs are known.
func TestSubmitBeams(t *testing.T) {
	bothWays(t, func(t *testing.T, newEcho func() *echo) {
		e := start(t, newEcho(), Options{})
		r := scriptText(strings.Repeat("x", 30))
		r.MaxTokens, r.IgnoreEOS, r.Sampling.Logprobs = 9, true, 1
		list, err := e.SubmitBeams(context.Background(), r, BeamSearch{Width: 3, LengthPenalty: 1})
		if err != nil {
			t.Fatal(err)
		}
		sums := []float32{0, -1, -1}
		for i, got := range readBeams(t, list) {
			sum := float32(0)
			for _, event := range got.events {
				sum += event.Logprob.Logprob
				if len(event.Logprob.Top) != 1 {
					t.Errorf("%d alternatives, want one", len(event.Logprob.Top))
				}
			}
			if len(got.tokens) != 9 || got.last.Finish != FinishLength || sum != sums[i] {
				t.Errorf("output %d: %v of probability %v, %+v", i, got.tokens, sum, got.last)
			}
			if u := list[i].Usage(); u.PromptTokens != len(r.Prompt) || u.OutputTokens != 9 {
				t.Errorf("usage %+v", u)
			}
		}
		// The prompt was computed once, and a token for each beam in each round: pages are shared, and the last one copied.
		if st := e.Stats(); st.Computed != uint64(len(r.Prompt)+8*3) || st.PagesHeld != 0 {
			t.Errorf("%d tokens were computed, want %d: %+v", st.Computed, len(r.Prompt)+8*3, st)
		}
	})
}

// Choices of one prompt take its pages once, and compute it once but for its last page.
func TestChoicesShareThePromptsPages(t *testing.T) {
	m := newEcho()
	e, err := newEngine(m.model(), info, newBytesStream, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := scriptText(strings.Repeat("x", 501)) // 502 tokens, in pages of 4
	const n = 8
	for i := range n {
		r.Sampling.Seed = uint64(i)
		if _, err := e.Submit(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	steps := 0
	for e.Stats().Sampled < 3*n {
		if e.step(); steps > 100 {
			t.Fatalf("%+v", e.Stats())
		}
		steps++
	}
	st := e.Stats()
	full := len(r.Prompt) / m.limits.PageSize
	if most := uint64(len(r.Prompt) + n*(m.limits.PageSize+3)); st.PagesHeld > full+2*n || st.Computed > most {
		t.Errorf("%d pages are held by %d choices of a prompt with %d, %d tokens were computed, want at most %d", st.PagesHeld, n, full, st.Computed, most)
	}
}

func TestBeamsEndWithTheirText(t *testing.T) {
	m := newEcho()
	m.before = func(_ int, _ *engine.Step, out []engine.Sampled) error {
		for i := range out {
			out[i].Top = append(out[i].Top[:0], engine.TokenLogprob{Token: 'a', Logprob: -0.5}, engine.TokenLogprob{Token: idEOS, Logprob: -0.9}, engine.TokenLogprob{Token: 'b', Logprob: -2})
		}
		return nil
	}
	e := start(t, m, Options{})
	r := scriptText("x")
	r.MaxTokens = 3
	list, err := e.SubmitBeams(context.Background(), r, BeamSearch{Width: 2, LengthPenalty: 1, Stopping: beam.Never})
	if err != nil {
		t.Fatal(err)
	}
	got := readBeams(t, list)
	if got[0].text != "aaa" || got[0].last.Finish != FinishLength || got[1].text != "aa" || got[1].last.Finish != FinishStop || len(got[1].tokens) != 3 {
		t.Errorf("%+v", got)
	}
}

func TestBeamsThatAreRefused(t *testing.T) {
	e := start(t, newEcho(), Options{})
	for name, change := range map[string]func(*Request, *BeamSearch){
		"n":              func(_ *Request, s *BeamSearch) { s.Width = 65 },
		"length_penalty": func(_ *Request, s *BeamSearch) { s.LengthPenalty = 1e9 },
		"use_beam_search": func(r *Request, _ *BeamSearch) {
			r.Stop = []string{"x"}
		},
		"prompt": func(r *Request, _ *BeamSearch) { r.Prompt = nil },
	} {
		r, s := scriptText("x"), BeamSearch{Width: 2, LengthPenalty: 1}
		change(&r, &s)
		var field *FieldError
		if _, err := e.SubmitBeams(context.Background(), r, s); !errors.As(err, &field) || field.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A search goes on while the engine drains and however full the queue is, and ends with its context, a failing step or its deadline.
func TestBeamsEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(e *Engine, broken *atomic.Bool, cancel func())
		want error
	}{
		{"drained", func(e *Engine, _ *atomic.Bool, _ func()) { go e.Drain(context.Background()) }, nil},
		{"full", func(e *Engine, _ *atomic.Bool, _ func()) {
			for range 20 {
				if _, err := e.Submit(context.Background(), scriptText(strings.Repeat("x", 50))); errors.Is(err, ErrQueueFull) {
					return
				}
			}
			panic("the queue is not full")
		}, nil},
		{"closed", func(e *Engine, _ *atomic.Bool, _ func()) { go e.Close() }, ErrDraining},
		{"cancelled", func(_ *Engine, _ *atomic.Bool, cancel func()) { cancel() }, context.Canceled},
		{"failed", func(_ *Engine, broken *atomic.Bool, _ func()) { broken.Store(true) }, errDevice},
		{"late", func(*Engine, *atomic.Bool, func()) { time.Sleep(time.Hour) }, ErrLate},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newEcho()
				m.limits.MaxSequences = 4
				var broken atomic.Bool
				m.before = func(int, *engine.Step, []engine.Sampled) error {
					time.Sleep(time.Second)
					if broken.Load() {
						return errDevice
					}
					return nil
				}
				e := start(t, m, Options{QueueLimit: 2})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				r := scriptText("x")
				r.MaxTokens, r.Deadline = 30, time.Now().Add(5*time.Minute)
				if c.want == ErrLate {
					r.Deadline = time.Now().Add(10 * time.Second)
				}
				list, err := e.SubmitBeams(ctx, r, BeamSearch{Width: 3, LengthPenalty: 1})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(4500 * time.Millisecond)
				c.do(e, &broken, cancel)
				for _, got := range readBeams(t, list) {
					if !errors.Is(got.last.Err, c.want) || c.want == nil && len(got.tokens) != 30 {
						t.Errorf("%d tokens, %+v, want %v", len(got.tokens), got.last, c.want)
					}
				}
			})
		})
	}
}

var errDevice = errors.New("device fault")

// Steps that beams share memory of are never changed by one of them.
func TestOutputsOfBeamsAreTheirOwn(t *testing.T) {
	e := start(t, newEcho(), Options{})
	r := scriptText("x")
	r.MaxTokens, r.IgnoreEOS = 20, true
	list, err := e.SubmitBeams(context.Background(), r, BeamSearch{Width: 8, LengthPenalty: 1})
	if err != nil {
		t.Fatal(err)
	}
	var seen [][]int32
	for _, got := range readBeams(t, list) {
		if slices.ContainsFunc(seen, func(other []int32) bool { return slices.Equal(other, got.tokens) }) {
			t.Errorf("%v comes twice", got.tokens)
		}
		seen = append(seen, got.tokens)
	}
}
