package cuda_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/runtime/sample"
)

var minusInf = float32(math.Inf(-1))

// randomRow is a row of logits with its sampling: all options on and off, with ties, tokens that are ruled out and now and then nothing to choose.
func randomRow(rng *rand.Rand, vocab int) (engine.Row, []float32) {
	coarse, scale := rng.IntN(3) == 0, math.Exp(rng.NormFloat64())*2
	logits := make([]float32, vocab)
	for i := range logits {
		v := rng.NormFloat64() * scale
		if coarse {
			v = math.Round(v)
		}
		if logits[i] = float32(v); rng.IntN(20) == 0 {
			logits[i] = minusInf
		}
	}
	switch rng.IntN(25) {
	case 0:
		logits[rng.IntN(vocab)] = float32(math.NaN())
	case 1:
		logits[rng.IntN(vocab)] = float32(math.Inf(1))
	case 2:
		for i := range logits {
			logits[i] = minusInf
		}
	}
	row := engine.Row{Position: rng.Int32N(1 << 20)}
	if rng.IntN(6) > 0 {
		row.Sampling, row.History = randomSampling(rng, vocab)
	}
	return row, logits
}

func randomSampling(rng *rand.Rand, vocab int) (*engine.Sampling, *engine.TokenHistory) {
	s := &engine.Sampling{Temperature: float32(rng.IntN(4)) * 0.6, Logprobs: -1, Seed: rng.Uint64()}
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
		s.Logprobs = int32(rng.IntN(24))
	}
	if rng.IntN(3) == 0 {
		s.RepetitionPenalty, s.FrequencyPenalty, s.PresencePenalty = 0.7+rng.Float32(), rng.Float32()-0.3, rng.Float32()-0.3
	}
	ids := rng.Perm(vocab)
	for _, id := range ids[:rng.IntN(min(vocab, 5))] {
		s.Bias = append(s.Bias, engine.TokenBias{Token: int32(id), Bias: rng.Float32()*8 - 4})
	}
	if rng.IntN(3) == 0 {
		for range rng.IntN(2 * vocab) {
			s.Banned = append(s.Banned, rng.Int32N(int32(vocab)))
		}
	}
	if rng.IntN(3) == 0 {
		for range (vocab + 31) / 32 {
			s.Allowed = append(s.Allowed, rng.Uint32()&rng.Uint32())
		}
	}
	history := engine.NewTokenHistory([]int32{int32(ids[0]), 0})
	for range rng.IntN(40) {
		history.Add(rng.Int32N(int32(vocab)))
	}
	return s, history
}

// onHost is what runtime/sample answers.
func onHost(rows []engine.Row, logits [][]float32) []engine.Sampled {
	out := make([]engine.Sampled, len(rows))
	s := sample.New(len(logits[0]))
	for i := range rows {
		_ = s.Sample(&rows[i], slices.Clone(logits[i]), &out[i])
	}
	return out
}

// same wants both answers to be the same bits.
func same(t *testing.T, rows []engine.Row, got, want []engine.Sampled) {
	t.Helper()
	for i := range want {
		g, w := got[i], want[i]
		if g.Token != w.Token || math.Float32bits(g.Logprob) != math.Float32bits(w.Logprob) || g.Accepted != w.Accepted ||
			len(g.Top)+len(w.Top) > 0 && !reflect.DeepEqual(g.Top, w.Top) {
			t.Fatalf("row %d %+v:\ngot  %+v\nwant %+v", i, rows[i].Sampling, g, w)
		}
	}
}

// TestSampleAgainstHost samples random rows with random settings on the device and wants the bits of runtime/sample, without the logits
// being read.
func TestSampleAgainstHost(t *testing.T) {
	for n, vocab := range []int{1, 2, 31, 64, 301, 2048, 4097, 9001} {
		rng := rand.New(rand.NewPCG(3, uint64(n)))
		d := newDeviceSampler(t, []string{"sm80", "sm90"}[n%2], vocab)
		for range max(3, 40-vocab/200) {
			rows, logits := make([]engine.Row, 1+rng.IntN(sampledRows)), [][]float32(nil)
			for i := range rows {
				row, l := randomRow(rng, vocab)
				rows[i], logits = row, append(logits, l)
			}
			got := d.step(logits, rows, nil)
			same(t, rows, got, onHost(rows, logits))
			if d.read != 0 {
				t.Fatalf("vocabulary of %d: %d bytes of logits were read", vocab, d.read)
			}
		}
	}
}
