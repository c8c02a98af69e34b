package sample

import (
	"math"
	"math/rand/v2"
	"testing"

	"llmc/engine"
)

// Drawn at many positions, tokens come as often as their probabilities say: Pearson's chi-square against the reference, with fixed
// seeds. The limit is the mean of the statistic plus five standard deviations.
func TestDrawsFollowTheDistribution(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	s := New(64)
	for n, sampling := range []*engine.Sampling{
		{Temperature: 1, Seed: 1},
		{Temperature: 1, Seed: 1 << 40},
		{Temperature: 0.6, TopK: 7, Seed: 2},
		{Temperature: 1.7, TopP: 0.8, Seed: 3},
		{Temperature: 1, MinP: 0.05, Seed: 4},
		{Temperature: 1.3, TopK: 30, TopP: 0.9, MinP: 0.01, FrequencyPenalty: 0.4, RepetitionPenalty: 1.2, Seed: 5},
	} {
		sampling.Logprobs = -1
		logits := randomLogits(rng, 64, false)
		prompt, output := []int32{1, 2, 3}, []int32{3, 4, 4}
		ids, probs := reference(sampling, prompt, output, logits)
		row := &engine.Row{Sampling: sampling, History: history(prompt, output)}
		const draws = 40_000
		counts := map[int32]float64{}
		for position := range int32(draws) {
			row.Position = position
			var out engine.Sampled
			if err := s.Sample(row, logits, &out); err != nil {
				t.Fatal(err)
			}
			counts[out.Token]++
		}
		chi, cells, rest, restCount := 0.0, 0.0, 0.0, 0.0
		for i, id := range ids {
			if want := probs[i] * draws; want >= 5 {
				chi += (counts[id] - want) * (counts[id] - want) / want
				cells++
			} else { // rare tokens are one cell together
				rest += want
				restCount += counts[id]
			}
			delete(counts, id)
		}
		if rest >= 5 {
			chi += (restCount - rest) * (restCount - rest) / rest
			cells++
		}
		if len(counts) > 0 {
			t.Errorf("case %d: drew tokens without probability: %v", n, counts)
		}
		if free := cells - 1; chi > free+5*math.Sqrt(2*free) {
			t.Errorf("case %d: chi-square %.1f with %v degrees of freedom", n, chi, free)
		}
	}
}

// Neighbouring positions and seeds draw independently: pairs of draws from two tokens fill a 2x2 table evenly.
func TestNeighboursAreIndependent(t *testing.T) {
	for _, next := range []struct {
		name     string
		seed     uint64
		position int32
	}{{"position", 0, 1}, {"seed", 1, 0}, {"high half of seed", 1 << 32, 0}} {
		var table [2][2]float64
		const pairs = 40_000
		for i := range int32(pairs) {
			a, b := uniform(uint64(i)<<8, i), uniform(uint64(i)<<8+next.seed, i+next.position)
			table[int(a*2)][int(b*2)]++
		}
		chi := 0.0
		for _, row := range table {
			for _, n := range row {
				chi += (n - pairs/4) * (n - pairs/4) / (pairs / 4)
			}
		}
		if chi > 3+5*math.Sqrt(6) {
			t.Errorf("next %s: chi-square %.1f of %v", next.name, chi, table)
		}
	}
}
