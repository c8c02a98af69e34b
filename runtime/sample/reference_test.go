package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine"
)

// reference says what engine.Sampling means, slowly: everything is sorted, every step makes a new slice. It returns the tokens that
// may be drawn, in the order of the draw, with their probabilities.
func reference(sampling *engine.Sampling, prompt, output []int32, raw []float32) (ids []int32, probs []float64) {
	logits := make([]float64, len(raw))
	for i, v := range edited(sampling, prompt, output, raw) {
		logits[i] = float64(v)
	}
	for i := range logits {
		ids = append(ids, int32(i))
	}
	byLogit := func(a, b int32) int { return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(a, b)) }
	if sampling.Temperature == 0 {
		slices.SortFunc(ids, byLogit)
		return ids[:1], []float64{math.Exp(logits[ids[0]] - logits[ids[0]])} // not a number when all are ruled out
	}
	softmax := func() {
		most, sum := slices.Max(logits), 0.0
		probs = probs[:0]
		for _, id := range ids {
			probs = append(probs, math.Exp((logits[id]-most)/float64(sampling.Temperature)))
			sum += probs[len(probs)-1]
		}
		for i := range probs {
			probs[i] /= sum
		}
	}
	topP := sampling.TopP > 0 && sampling.TopP < 1
	if sampling.TopK > 0 || topP {
		slices.SortFunc(ids, byLogit)
	}
	if sampling.TopK > 0 {
		ids = ids[:min(int(sampling.TopK), len(ids))]
	}
	softmax()
	if topP {
		n, sum := 0, 0.0
		for n == 0 || n < len(ids) && sum < float64(sampling.TopP) {
			sum += probs[n]
			n++
		}
		ids = ids[:n]
		softmax()
	}
	if most := slices.Max(probs); sampling.MinP > 0 {
		ids = slices.DeleteFunc(slices.Clone(ids), func(id int32) bool {
			return probs[slices.Index(ids, id)] < float64(sampling.MinP)*most
		})
		softmax()
	}
	return ids, probs
}

// edited applies bias, bans and penalties.
func edited(sampling *engine.Sampling, prompt, output []int32, raw []float32) []float32 {
	logits := slices.Clone(raw)
	for _, b := range sampling.Bias {
		logits[b.Token] += b.Bias
	}
	for _, id := range sampling.Banned {
		logits[id] = negInf
	}
	for i := range logits {
		outputs := float32(0)
		for _, id := range output {
			if id == int32(i) {
				outputs++
			}
		}
		if p := sampling.RepetitionPenalty; p != 0 && (outputs > 0 || slices.Contains(prompt, int32(i))) {
			if logits[i] > 0 {
				logits[i] /= p
			} else {
				logits[i] *= p
			}
		}
		logits[i] -= sampling.FrequencyPenalty * outputs
		if outputs > 0 {
			logits[i] -= sampling.PresencePenalty
		}
	}
	return logits
}

func history(prompt, output []int32) *engine.TokenHistory {
	h := engine.NewTokenHistory(prompt)
	for _, id := range output {
		h.Add(id)
	}
	return h
}

// randomSampling turns options on and off.
func randomSampling(rng *rand.Rand, vocab int) *engine.Sampling {
	s := &engine.Sampling{Temperature: float32(rng.IntN(4)) * 0.6, Logprobs: -1}
	if rng.IntN(2) == 0 {
		s.TopK = int32(1 + rng.IntN(vocab+2))
	}
	if rng.IntN(2) == 0 {
		s.TopP = rng.Float32()
	}
	if rng.IntN(3) == 0 {
		s.MinP = rng.Float32() * 0.3
	}
	if rng.IntN(3) == 0 {
		s.RepetitionPenalty, s.FrequencyPenalty, s.PresencePenalty = 0.7+rng.Float32(), rng.Float32()-0.3, rng.Float32()-0.3
	}
	for range rng.IntN(4) {
		s.Bias = append(s.Bias, engine.TokenBias{Token: rng.Int32N(int32(vocab)), Bias: rng.Float32()*8 - 4})
	}
	for range rng.IntN(vocab) {
		s.Banned = append(s.Banned, rng.Int32N(int32(vocab)))
	}
	return s
}

// randomLogits has ties if coarse.
func randomLogits(rng *rand.Rand, vocab int, coarse bool) []float32 {
	logits := make([]float32, vocab)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 3)
		if coarse {
			logits[i] = float32(math.Round(float64(logits[i])))
		}
		if rng.IntN(20) == 0 {
			logits[i] = negInf
		}
	}
	logits[rng.IntN(vocab)] = 1
	return logits
}

func randomTokens(rng *rand.Rand, n, vocab int) []int32 {
	ids := make([]int32, rng.IntN(n))
	for i := range ids {
		ids[i] = rng.Int32N(int32(vocab))
	}
	return ids
}

// The sampler picks the token of the reference at any random number that is not at a boundary.
func TestAgainstReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	s := New(64)
	drawn := map[string]int{}
	for n := range 6000 {
		vocab := 2 + rng.IntN(40)
		if n%20 == 0 {
			vocab = 300 + rng.IntN(5000) // several blocks, several rounds of ranking
		}
		logits := randomLogits(rng, vocab, n%3 == 0)
		sampling := randomSampling(rng, vocab)
		prompt, output := randomTokens(rng, 9, vocab), randomTokens(rng, 9, vocab)
		before := slices.Clone(logits)
		ids, probs := reference(sampling, prompt, output, logits)
		row := &engine.Row{Sampling: sampling, History: history(prompt, output)}
		for range 8 {
			u, want := rng.Float64(), int32(-1)
			var out engine.Sampled
			err := s.sample(row, logits, &out, u)
			if want = at(ids, probs, u); want == -2 {
				continue
			}
			if want == -1 != (err != nil) || out.Token != want {
				t.Fatalf("%+v over %d tokens at %v: token %d (%v), want %d", sampling, vocab, u, out.Token, err, want)
			}
			drawn[fmt.Sprintf("k %v p %v err %v", sampling.TopK > 0, topPOn(sampling.TopP), err != nil)]++
		}
		if !slices.Equal(logits, before) {
			t.Fatalf("%+v: logits were changed", sampling)
		}
	}
	if len(drawn) < 6 {
		t.Errorf("cases drawn: %v", drawn)
	}
}

// at inverts the cumulative distribution; -1: there is none, -2: too close to a boundary to tell.
func at(ids []int32, probs []float64, u float64) int32 {
	sum := 0.0
	for i, p := range probs {
		if math.IsNaN(p) {
			return -1
		}
		sum += p
		if math.Abs(sum-u) < 1e-9 {
			return -2
		}
		if sum > u {
			return ids[i]
		}
	}
	return -2
}
