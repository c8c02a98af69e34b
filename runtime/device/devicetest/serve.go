package devicetest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"llmc/engine"
	"llmc/runtime"
)

// Serve runs the whole runtime on a device: many requests at once, with too little memory for all of them, preempted now and then, some cancelled. Each wants
// the tokens that it gets when it is alone.
func Serve(t *testing.T, device engine.Device, plan *engine.Plan) {
	t.Helper()
	info := plan.Info()
	const perToken = 1 << 20 // more than a position of the tiny models takes
	settings := engine.Settings{MaxStepTokens: 24, MaxSequences: 4, MaxContext: 96, PageSize: 16, Threads: 2, KVBytes: perToken * 96}
	requests := serveRequests(info.Vocab)
	serve := func(options runtime.Options, together bool) ([][]int32, runtime.Stats) {
		model, err := device.Load(plan, settings)
		check(t, err)
		defer model.Close()
		e, err := runtime.New(&narrow{model}, info, nil, options)
		check(t, err)
		tokens := make([][]int32, len(requests))
		var all sync.WaitGroup
		for i, r := range requests {
			g, err := e.Submit(t.Context(), r)
			check(t, err)
			all.Go(func() { tokens[i] = collect(t, g, together && i%5 == 4) })
			if !together {
				all.Wait()
			}
		}
		all.Wait()
		stats := e.Stats()
		check(t, e.Drain(t.Context()))
		check(t, e.Close())
		return tokens, stats
	}
	alone, _ := serve(runtime.Options{NoPrefixCache: true}, false)
	for _, options := range []runtime.Options{{}, {PreemptEvery: 5, ChunkTokens: 9}} {
		together, stats := serve(options, true)
		for i := range requests {
			want := alone[i]
			if i%5 == 4 { // cancelled
				want = want[:min(len(want), len(together[i]))]
			}
			if !slices.Equal(together[i], want) {
				t.Errorf("%+v: request %d: tokens %v, alone %v", options, i, together[i], want)
			}
		}
		if stats.Running != 0 || stats.PagesHeld != 0 || stats.Failures != 0 || options.PreemptEvery > 0 && stats.Preemptions == 0 {
			t.Errorf("%+v: %+v", options, stats)
		}
	}
}

// narrow is a model that has few pages.
type narrow struct{ engine.Model }

const fewPages = 7

// Limits implements engine.Model.
func (n *narrow) Limits() (engine.Settings, int) {
	settings, pages := n.Model.Limits()
	return settings, min(pages, fewPages)
}

// Foresees implements engine.Starter.
func (n *narrow) Foresees() bool {
	s, ok := n.Model.(engine.Starter)
	return ok && s.Foresees()
}

// Start and Wait implement engine.Starter.
func (n *narrow) Start(step *engine.Step, out []engine.Sampled) error {
	if s, ok := n.Model.(engine.Starter); ok {
		return s.Start(step, out)
	}
	return n.Model.Step(step, out)
}

// Wait implements engine.Starter.
func (n *narrow) Wait() error {
	if s, ok := n.Model.(engine.Starter); ok {
		return s.Wait()
	}
	return nil
}

func serveRequests(vocab int) []runtime.Request {
	random := rand.New(rand.NewPCG(7, 8))
	shared := make([]int32, 20)
	for i := range shared {
		shared[i] = random.Int32N(int32(vocab))
	}
	var requests []runtime.Request
	for i := range 10 {
		prompt := slices.Clone(shared[:[]int{20, 0, 16}[i%3]])
		for range 1 + random.IntN(8) {
			prompt = append(prompt, random.Int32N(int32(vocab)))
		}
		s := engine.Sampling{Seed: uint64(i), Logprobs: -1}
		if i%2 == 1 {
			s.Temperature, s.TopP = 0.9, 0.95
		}
		if i%4 == 2 {
			s.RepetitionPenalty = 1.1
		}
		requests = append(requests, runtime.Request{Prompt: prompt, MaxTokens: 4 + random.IntN(12), IgnoreEOS: i%3 != 0, PromptLogprobs: -1, Sampling: s})
	}
	return requests
}

// collect reads a generation to its end; it is cancelled after its second token where that is wanted.
func collect(t *testing.T, g runtime.Generation, cancel bool) (tokens []int32) {
	for {
		e, ok := g.Next(t.Context())
		if !ok {
			return tokens
		}
		if e.Err != nil {
			t.Errorf("generation failed: %v", e.Err)
		}
		if e.Token >= 0 {
			tokens = append(tokens, e.Token)
		}
		if cancel && len(tokens) == 2 {
			g.Cancel()
		}
	}
}
