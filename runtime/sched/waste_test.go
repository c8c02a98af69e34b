package sched

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"llmc/engine"
)

// Sequences hold the pages of what they have and of the tokens of the step, no more: less than a page each is wasted, in every step, whatever the lengths.
// Of mixed lengths that is below 2 % of the memory; of lengths that are worst for pages it is what pages of that size waste at that length.
func TestWastedMemory(t *testing.T) {
	for _, c := range []struct {
		name           string
		prompt, output func(*rand.Rand) int
		most           float64 // share of the memory held
	}{
		{"mixed", func(r *rand.Rand) int { return 1 + r.IntN(2048) }, func(r *rand.Rand) int { return 1 + r.IntN(512) }, 0.02},
		{"long and short by turns", func(r *rand.Rand) int { return []int{3000, 17}[r.IntN(2)] }, func(r *rand.Rand) int { return []int{40, 300}[r.IntN(2)] }, 0.02},
		{"a token into the last page", func(r *rand.Rand) int { return 1 + 16*(32+r.IntN(64)) }, func(*rand.Rand) int { return 8 }, 0.02},
		{"shorter than two pages", func(*rand.Rand) int { return 17 }, func(*rand.Rand) int { return 1 }, 0.5},
	} {
		waste := wasted(t, c.prompt, c.output)
		t.Logf("%s: %.2f %% wasted", c.name, 100*waste)
		if waste > c.most {
			t.Errorf("%s: %.2f %% of the memory is wasted, want at most %v %%", c.name, 100*waste, 100*c.most)
		}
	}
}

// wasted serves 200 requests, and returns how much of what is held holds nothing, on average of the steps.
func wasted(t *testing.T, prompt, output func(*rand.Rand) int) float64 {
	t.Helper()
	const size = 16
	s, err := New(Config{
		Settings: engine.Settings{MaxStepTokens: 512, MaxSequences: 32, MaxRows: 32, MaxContext: 4096, PageSize: size}, Pages: 1500, Vocab: 97, CopyPages: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		r := Request{PromptLogprobs: -1, MaxTokens: output(random), Sampling: engine.Sampling{Logprobs: -1}, Salt: fmt.Sprint(i), Prompt: make([]int32, prompt(random))}
		if _, err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	held, empty := 0, 0
	for s.HasWork() {
		st := s.Schedule(epoch)
		used := 0
		for _, q := range s.running {
			used += q.computed
			if slots := len(q.table.Pages()) * size; slots-q.computed >= size {
				t.Fatalf("a sequence of %d tokens holds %d pages", q.computed, len(q.table.Pages()))
			}
		}
		slots := s.Stats().PagesHeld * size
		held, empty = held+slots, empty+slots-used
		if st.T() > 0 {
			s.Complete(make([]engine.Sampled, len(st.Rows)))
		}
		s.TakeOutputs(nil)
	}
	return float64(empty) / float64(held)
}
