package beam

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"llmc/engine"
)

// model gives the continuations of an output, the most probable first: a distribution that depends on all tokens before.
func model(vocab int, seed uint64, output []int32) []engine.TokenLogprob {
	h := seed
	for _, id := range output {
		h = (h ^ uint64(id+1)) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	list, sum := make([]engine.TokenLogprob, vocab), 0.0
	weights := make([]float64, vocab)
	for i := range list {
		h = h*6364136223846793005 + 1442695040888963407
		weights[i] = math.Exp(4 * float64(h>>40) / (1 << 24))
		sum += weights[i]
	}
	for i, w := range weights {
		list[i] = engine.TokenLogprob{Token: int32(i), Logprob: float32(math.Log(w / sum))}
	}
	slices.SortFunc(list, func(a, b engine.TokenLogprob) int { return cmp.Compare(b.Logprob, a.Logprob) })
	return list
}

// run searches a model.
func run(o Options, vocab int, seed uint64) []Output {
	s := New(o)
	for !s.Done() {
		var next [][]engine.TokenLogprob
		for _, open := range s.Open() {
			list := model(vocab, seed, open.Tokens)
			next = append(next, list[:min(len(list), o.Candidates())])
		}
		s.Advance(next)
	}
	return s.Best()
}

// every lists all outputs that there are, the best first.
func every(o Options, vocab int, seed uint64) (all []Output) {
	var walk func(tokens []int32, sum float64)
	walk = func(tokens []int32, sum float64) {
		for _, next := range model(vocab, seed, tokens) {
			out := Output{Tokens: append(slices.Clone(tokens), next.Token), Sum: sum + float64(next.Logprob), Ended: slices.Contains(o.Ends, next.Token)}
			if out.Ended || len(out.Tokens) == o.MaxTokens {
				out.Score = out.Sum / math.Pow(float64(len(out.Tokens)), o.LengthPenalty)
				all = append(all, out)
				continue
			}
			walk(out.Tokens, out.Sum)
		}
	}
	walk(nil, 0)
	slices.SortFunc(all, func(a, b Output) int { return cmp.Compare(b.Score, a.Score) })
	return all
}

// A search as wide as there are outputs finds them all, in their order.
func TestWideSearchesAreExhaustive(t *testing.T) {
	for seed := range uint64(20) {
		for _, penalty := range []float64{-1, 0, 0.7, 1, 3} {
			o := Options{MaxTokens: 4, LengthPenalty: penalty, Stopping: Stopping(seed % 3), Ends: []int32{1, 3}[:seed%3]}
			want := every(o, 4, seed)
			o.Width = len(want)
			got := run(o, 4, seed)
			if len(got) != len(want) {
				t.Fatalf("seed %d, penalty %v: %d outputs, want %d", seed, penalty, len(got), len(want))
			}
			for i := range got {
				if !slices.Equal(got[i].Tokens, want[i].Tokens) || math.Abs(got[i].Score-want[i].Score) > 1e-12 || got[i].Ended != want[i].Ended {
					t.Fatalf("seed %d, penalty %v, output %d: %+v, want %+v", seed, penalty, i, got[i], want[i])
				}
			}
		}
	}
}

// With one beam, and no end before the last token, it is the greedy output. Steps tell what each token was chosen from.
func TestOneBeamIsGreedy(t *testing.T) {
	got := run(Options{Width: 1, MaxTokens: 12, LengthPenalty: 1}, 50, 7)
	if len(got) != 1 || len(got[0].Tokens) != 12 {
		t.Fatalf("%+v", got)
	}
	for i, id := range got[0].Tokens {
		list := model(50, 7, got[0].Tokens[:i])
		if step := got[0].Steps[i]; list[0].Token != id || step.Token != id || step.Logprob != list[0].Logprob || step.Top[1] != list[1] {
			t.Errorf("token %d is %d: %+v", i, id, step)
		}
	}
}

// "never" finds nothing worse than the heuristic, which finds nothing worse than stopping at the first.
func TestLongerSearchesFindNoWorse(t *testing.T) {
	differ := 0
	for seed := range uint64(200) {
		var best [3]float64
		for stopping := range Stopping(3) {
			out := run(Options{Width: 3, MaxTokens: 8, LengthPenalty: 1, Stopping: stopping, Ends: []int32{0, 4}}, 6, seed)
			best[stopping] = out[0].Score
		}
		if best[Never] < best[Heuristic] || best[Heuristic] < best[First] {
			t.Errorf("seed %d: %v", seed, best)
		}
		if best[Never] > best[First] {
			differ++
		}
	}
	if differ == 0 {
		t.Error("the ways to stop make no difference")
	}
}

// A distribution with impossible tokens leaves fewer outputs than are wanted, and ends.
func TestNothingToGoOnWith(t *testing.T) {
	s := New(Options{Width: 4, MaxTokens: 3, Ends: []int32{1}})
	s.Advance([][]engine.TokenLogprob{{{Token: 1, Logprob: 0}, {Token: 2, Logprob: float32(math.Inf(-1))}, {Token: 3, Logprob: float32(math.NaN())}}})
	if best := s.Best(); !s.Done() || len(best) != 1 || !best[0].Ended {
		t.Errorf("%v, %+v", s.Done(), best)
	}
}
