package cuda_test

import (
	"math"
	"math/rand/v2"
	"os"
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
	if rng.IntN(5) == 0 {
		scale = 1e-6 // more nearly equal tokens than a list holds, in long vocabularies
	}
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
	for n, vocab := range []int{1, 2, 64, 301, 2049, 6001} {
		rng := rand.New(rand.NewPCG(3, uint64(n)))
		d := newDeviceSampler(t, []string{"sm80", "sm90"}[n%2], vocab)
		rounds := max(3, 6-vocab/100)
		if os.Getenv("LLMC_LONG") != "" {
			rounds *= 20
		}
		for range rounds {
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

// TestSampleLongVocabulary samples from a vocabulary of today's length, each way once, and one greedy row with one launch.
func TestSampleLongVocabulary(t *testing.T) {
	const vocab = 150_001
	rng := rand.New(rand.NewPCG(7, 8))
	logits := make([]float32, vocab)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 2.2)
	}
	for range 40 {
		logits[rng.IntN(vocab)] += float32(rng.ExpFloat64() * 5)
	}
	history := engine.NewTokenHistory([]int32{5, 77_777})
	history.Add(vocab - 1)
	rows := []engine.Row{
		{Sampling: &engine.Sampling{Temperature: 1, Logprobs: -1}},
		{Sampling: &engine.Sampling{Temperature: 0.9, TopP: 0.95, MinP: 0.001, Logprobs: 20, RepetitionPenalty: 1.3}, History: history},
		{Sampling: &engine.Sampling{Temperature: 0.7, TopK: 3000, TopP: 0.99, Seed: 3, Logprobs: -1}},
	}
	d := newDeviceSampler(t, "sm90", vocab)
	all := [][]float32{logits, logits, logits}
	same(t, rows, d.step(all, rows, nil), onHost(rows, all))
	if d.read != 0 {
		t.Errorf("%d bytes of logits were read", d.read)
	}
	greedy := []engine.Row{{}}
	same(t, greedy, d.step(all[:1], greedy, nil), onHost(greedy, all))
	if want := []string{"begin_step", "select_rows_1", "sample_scan_1"}; !slices.Equal(d.launched, want) || d.read != 0 {
		t.Errorf("a greedy row launches %v and reads %d bytes of logits, want %v", d.launched, d.read, want)
	}
}

// TestSampleFallsBack wants rows that the device does not answer to be the host's, and logits to be copied for those and for rows that ask.
func TestSampleFallsBack(t *testing.T) {
	const vocab = 3001
	d := newDeviceSampler(t, "sm80", vocab)
	rng := rand.New(rand.NewPCG(9, 9))
	flat, rough := make([]float32, vocab), make([]float32, vocab)
	for i := range flat {
		flat[i], rough[i] = float32(rng.IntN(1000))*1e-6, float32(rng.NormFloat64()*3)
	}
	long := engine.NewTokenHistory(nil)
	long.Add(4)
	sampling := func(s engine.Sampling) *engine.Sampling { s.Logprobs, s.Seed = s.Logprobs-1, rng.Uint64(); return &s }
	for _, c := range []struct {
		name   string
		row    engine.Row
		logits []float32
		host   bool
	}{
		{"more alternatives than there is room for", engine.Row{Sampling: sampling(engine.Sampling{Logprobs: 201})}, rough, true},
		{"a token biased twice", engine.Row{Sampling: sampling(engine.Sampling{Bias: []engine.TokenBias{{Token: 7, Bias: 5}, {Token: 7, Bias: 6}}})}, rough, true},
		{"more bans than there is room for", engine.Row{Sampling: sampling(engine.Sampling{Banned: make([]int32, 70_000)})}, rough, true},
		{"more nearly equal tokens than a list can hold", engine.Row{Sampling: sampling(engine.Sampling{Temperature: 1, TopP: 0.5})}, flat, false},
		{"nearly equal alternatives", engine.Row{Sampling: sampling(engine.Sampling{Logprobs: 6})}, flat, false},
		{"nearly equal tokens in order of id", engine.Row{Sampling: sampling(engine.Sampling{Temperature: 1})}, flat, false},
		{"equal tokens by mass", engine.Row{Sampling: sampling(engine.Sampling{Temperature: 1, TopP: 0.9, Logprobs: 100})}, make([]float32, vocab), false},
		{"equal tokens", engine.Row{Sampling: sampling(engine.Sampling{Temperature: 1, TopK: 2000})}, make([]float32, vocab), false},
		{"all bounds kept", engine.Row{Sampling: sampling(engine.Sampling{Logprobs: 129, Temperature: 1, TopP: 0.9, PresencePenalty: 1}), History: long}, rough, false},
	} {
		rows, logits := []engine.Row{{}, c.row, {}}, [][]float32{flat, c.logits, rough}
		same(t, rows, d.step(logits, rows, nil), onHost(rows, logits))
		want := int64(0)
		if c.host {
			want = 4 * vocab
		}
		if d.read != want {
			t.Errorf("%s: %d bytes of logits were read, want %d", c.name, d.read, want)
		}
		rows[1].Logits = make([]float32, vocab)
		same(t, rows, d.step(logits, rows, nil), onHost(rows, logits))
		if d.read != 4*vocab || !slices.Equal(rows[1].Logits, c.logits) {
			t.Errorf("%s: %d bytes of logits were read; they are the raw ones: %v", c.name, d.read, slices.Equal(rows[1].Logits, c.logits))
		}
	}
}

// TestAcceptOnDevice verifies drafts, guessed right and wrong, behind all ways to sample.
func TestAcceptOnDevice(t *testing.T) {
	const vocab = 40
	d := newDeviceSampler(t, "sm89", vocab)
	rng := rand.New(rand.NewPCG(5, 5))
	accepted := map[int32]int{}
	for range 14 {
		rows, logits := make([]engine.Row, 1+rng.IntN(sampledRows)), [][]float32(nil)
		for i := range rows {
			row, l := randomRow(rng, vocab)
			rows[i], logits = row, append(logits, l)
		}
		want := onHost(rows, logits)
		drafts := make([]int32, len(rows))
		for i := range drafts {
			drafts[i] = max(0, want[i].Token)
			if rng.IntN(8) == 0 {
				drafts[i] = rng.Int32N(vocab)
			}
			if rng.IntN(12) == 0 || i == len(rows)-1 {
				drafts[i] = -1
			}
		}
		sample.Accept(drafts, want)
		same(t, rows, d.step(logits, rows, drafts), want)
		for _, w := range want {
			accepted[w.Accepted]++
		}
	}
	if len(accepted) < 4 {
		t.Errorf("lengths of accepted drafts: %v", accepted)
	}
}
