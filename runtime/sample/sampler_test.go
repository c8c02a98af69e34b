package sample

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine"
)

// The known answers of Philox4x32-10 that its authors distribute with Random123 (kat_vectors).
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{
			[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, [2]uint32{0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	} {
		if got := philox(c.counter, c.key); got != c.want {
			t.Errorf("philox(%x, %x) = %x, want %x", c.counter, c.key, got, c.want)
		}
	}
}

func TestUniformDependsOnSeedAndPositionAlone(t *testing.T) {
	seen := map[float64]bool{}
	for _, seed := range []uint64{0, 1, 1 << 32, 1<<32 + 1} {
		for position := range int32(100) {
			u := uniform(seed, position)
			if u < 0 || u >= 1 || seen[u] || u != uniform(seed, position) {
				t.Fatalf("seed %d, position %d: %v", seed, position, u)
			}
			seen[u] = true
		}
	}
}

func TestGreedyTakesTheLowestIDOfEqualLogits(t *testing.T) {
	negZero := float32(math.Copysign(0, -1))
	for _, c := range []struct {
		logits []float32
		want   int32
	}{
		{[]float32{1, 3, 3, 2}, 1},
		{[]float32{-5, -4, -6, -4, -4, -9}, 1},
		{[]float32{negInf, negInf, -1e30}, 2},
		{[]float32{negZero, 0, negZero}, 0},
		{[]float32{7}, 0},
	} {
		for _, sampling := range []*engine.Sampling{nil, {Logprobs: -1}, {Logprobs: 0}, {Temperature: 1, TopK: 1, Logprobs: -1}, {Temperature: 1e-6, Logprobs: -1}} {
			var out engine.Sampled
			if err := New(8).Sample(&engine.Row{Sampling: sampling}, c.logits, &out); err != nil || out.Token != c.want {
				t.Errorf("%v with %+v: token %d (%v), want %d", c.logits, sampling, out.Token, err, c.want)
			}
		}
	}
}

func TestLogitsThatAreNotNumbers(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, n := range []int{1, 4, 7} {
		for at := range n {
			for _, bad := range []float32{nan, inf} {
				logits := make([]float32, n)
				logits[at] = bad
				for _, sampling := range []*engine.Sampling{nil, {Temperature: 1, Logprobs: 2}, {Temperature: 1, TopK: 2, TopP: 0.5}} {
					out := engine.Sampled{Token: 5}
					if err := New(n).Sample(&engine.Row{Sampling: sampling}, logits, &out); !errors.Is(err, ErrLogits) || out.Token != -1 {
						t.Errorf("%v: token %d, error %v", logits, out.Token, err)
					}
				}
			}
		}
	}
}

func TestEverythingRuledOut(t *testing.T) {
	sampling := &engine.Sampling{Temperature: 1, Banned: []int32{0, 1, 2}}
	logits := []float32{1, 2, 3}
	var out engine.Sampled
	if err := New(3).Sample(&engine.Row{Sampling: sampling}, logits, &out); !errors.Is(err, ErrLogits) {
		t.Errorf("token %d, error %v", out.Token, err)
	}
	if !slices.Equal(logits, []float32{1, 2, 3}) {
		t.Errorf("logits are %v after a failure", logits)
	}
}

// Log-probabilities are those of the raw logits, whatever was done to choose the token.
func TestLogprobsAreOfTheRawLogits(t *testing.T) {
	logits := []float32{1, 4, 2, 4, -3}
	norm := math.Log(math.Exp(1) + 2*math.Exp(4) + math.Exp(2) + math.Exp(-3))
	row := &engine.Row{Sampling: &engine.Sampling{
		Temperature: 0.5, Bias: []engine.TokenBias{{Token: 4, Bias: 1e30}}, Banned: []int32{1}, Logprobs: 3,
	}}
	out := engine.Sampled{Top: make([]engine.TokenLogprob, 0, 8)}
	memory := &out.Top[:1][0]
	if err := New(5).Sample(row, logits, &out); err != nil || out.Token != 4 {
		t.Fatalf("token %d (%v), want the one with the bias", out.Token, err)
	}
	near := func(got float32, want float64) bool { return math.Abs(float64(got)-want) < 1e-6 }
	if !near(out.Logprob, -3-norm) {
		t.Errorf("log-probability %v, want %v", out.Logprob, -3-norm)
	}
	for i, want := range []engine.TokenLogprob{{Token: 1, Logprob: 4}, {Token: 3, Logprob: 4}, {Token: 2, Logprob: 2}} {
		if got := out.Top[i]; got.Token != want.Token || !near(got.Logprob, float64(want.Logprob)-norm) {
			t.Errorf("alternative %d is %+v", i, got)
		}
	}
	if len(out.Top) != 3 || &out.Top[0] != memory {
		t.Errorf("%d alternatives, in the caller's memory: %v", len(out.Top), &out.Top[0] == memory)
	}
}

func TestRawLogitsAreCopied(t *testing.T) {
	raw := make([]float32, 3)
	row := &engine.Row{Logits: raw, Sampling: &engine.Sampling{Bias: []engine.TokenBias{{Token: 0, Bias: 9}}, Logprobs: -1}}
	var out engine.Sampled
	if err := New(3).Sample(row, []float32{1, 2, 3}, &out); err != nil || out.Token != 0 || !slices.Equal(raw, []float32{1, 2, 3}) {
		t.Errorf("token %d (%v), logits %v", out.Token, err, raw)
	}
}

func TestTopAgainstSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var buf []ranked
	for n := range 300 {
		logits := randomLogits(rng, 1+rng.IntN(4000), n%2 == 0)
		if n%5 == 0 {
			slices.Sort(logits) // every token beats those before
		}
		want := make([]ranked, 0, len(logits))
		for id, v := range logits {
			if v != negInf {
				want = append(want, rank(v, int32(id)))
			}
		}
		slices.Sort(want)
		k := rng.IntN(len(logits) + 3)
		buf = top(buf, logits, k)
		if !slices.Equal(buf, want[:min(k, len(want))]) {
			t.Fatalf("top %d of %d logits is wrong", k, len(logits))
		}
		for _, r := range buf {
			if logits[r.id()] != r.logit() {
				t.Fatalf("token %d has %v, want %v", r.id(), r.logit(), logits[r.id()])
			}
		}
	}
}

// A device's scan finds what the sampler's own does, whatever logits hold.
func TestScanChangesNothing(t *testing.T) {
	scan := Scan{
		Sum: func(x []float32) (total float32) {
			for _, v := range x {
				total += v
			}
			return total
		},
		ArgMax: func(x []float32) int {
			best, top := 0, negInf
			for i, v := range x {
				if v > top {
					best, top = i, v
				}
			}
			return best
		},
	}
	r := rand.New(rand.NewPCG(11, 12))
	odd := []float32{float32(math.NaN()), float32(math.Inf(1)), negInf, 0, 2}
	for range 2000 {
		logits := make([]float32, 1+r.IntN(40))
		for i := range logits {
			logits[i] = float32(r.IntN(5)) - 2
			if r.IntN(20) == 0 {
				logits[i] = odd[r.IntN(len(odd))]
			}
		}
		own, device := New(len(logits)), New(len(logits))
		device.Scan = scan
		sampling := &engine.Sampling{Logprobs: int32(r.IntN(3)) - 1, TopP: 1, Temperature: float32(r.IntN(2)), Seed: r.Uint64(), Bias: []engine.TokenBias{{Token: 0, Bias: float32(r.IntN(3))}}}
		if r.IntN(3) == 0 {
			sampling.Allowed = []uint32{r.Uint32(), r.Uint32()}
		}
		var want, got engine.Sampled
		wantErr := own.Sample(&engine.Row{Sampling: sampling}, logits, &want)
		err := device.Sample(&engine.Row{Sampling: sampling}, logits, &got)
		if (err == nil) != (wantErr == nil) || got.Token != want.Token || got.Logprob != want.Logprob {
			t.Fatalf("%v: token %d, %v; without a scan %d, %v", logits, got.Token, err, want.Token, wantErr)
		}
	}
}
