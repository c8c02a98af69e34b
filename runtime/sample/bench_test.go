package sample

import (
	"math/rand/v2"
	"testing"

	"llmc/engine"
)

// vocabulary returns logits like a language model's: few likely tokens above a broad hump.
func vocabulary(n int) []float32 {
	rng := rand.New(rand.NewPCG(31, 32))
	logits := make([]float32, n)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 2.2)
	}
	for range 40 {
		logits[rng.IntN(n)] += float32(rng.ExpFloat64() * 5)
	}
	return logits
}

var benchCases = []struct {
	name     string
	sampling engine.Sampling
}{
	{"greedy", engine.Sampling{Logprobs: -1}},
	{"temperature", engine.Sampling{Temperature: 1, Logprobs: -1}},
	{"top-k 50", engine.Sampling{Temperature: 0.8, TopK: 50, Logprobs: -1}},
	{"top-p 0.95", engine.Sampling{Temperature: 0.8, TopP: 0.95, Logprobs: -1}},
	{"top-k 20 top-p 0.8", engine.Sampling{Temperature: 0.7, TopK: 20, TopP: 0.8, Logprobs: -1}},
	{"min-p 0.05", engine.Sampling{Temperature: 1, MinP: 0.05, Logprobs: -1}},
	{"penalties", engine.Sampling{Temperature: 0.7, TopK: 20, RepetitionPenalty: 1.1, Logprobs: -1}},
	{"greedy, 20 logprobs", engine.Sampling{Logprobs: 20}},
}

func benchHistory() *engine.TokenHistory {
	var ids []int32
	for i := range int32(1000) {
		ids = append(ids, i*7)
	}
	return history(ids[:500], ids[500:])
}

func TestSamplingDoesNotAllocate(t *testing.T) {
	logits, h := vocabulary(20_000), benchHistory()
	for i := range benchCases {
		c := &benchCases[i]
		s, out := New(len(logits)), engine.Sampled{Top: make([]engine.TokenLogprob, 0, 20)}
		row := &engine.Row{Sampling: &c.sampling, History: h}
		draw := func() {
			row.Position++
			if err := s.Sample(row, logits, &out); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(20, draw); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func BenchmarkSample150k(b *testing.B) {
	logits, h := vocabulary(150_000), benchHistory()
	for i := range benchCases {
		c := &benchCases[i]
		b.Run(c.name, func(b *testing.B) {
			s, out := New(len(logits)), engine.Sampled{Top: make([]engine.TokenLogprob, 0, 20)}
			row := &engine.Row{Sampling: &c.sampling, History: h}
			b.ReportAllocs()
			for b.Loop() {
				row.Position++
				if err := s.Sample(row, logits, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
