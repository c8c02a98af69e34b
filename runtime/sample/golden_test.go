package sample

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"llmc/engine"
)

// golden is a case of testdata/processors.json, which testdata/processors.py recorded.
type golden struct {
	Options struct {
		Temperature, TopP, MinP, RepetitionPenalty float32
		TopK                                       int32
		Bias                                       map[string]float32
		Banned                                     []int32
	}
	Logits          []float32
	Seen            []int32
	Probs, Logprobs []float64
}

func (g *golden) sampling(t *testing.T) *engine.Sampling {
	o := &g.Options
	s := &engine.Sampling{
		Temperature: o.Temperature, TopK: o.TopK, TopP: o.TopP, MinP: o.MinP,
		RepetitionPenalty: o.RepetitionPenalty, Banned: o.Banned, Logprobs: 5,
	}
	for token, bias := range o.Bias {
		id, err := strconv.Atoi(token)
		if err != nil {
			t.Fatal(err)
		}
		s.Bias = append(s.Bias, engine.TokenBias{Token: int32(id), Bias: bias})
	}
	return s
}

// Random numbers at even steps draw each token as often as its probability in transformers says, give or take one step.
func TestAgainstTransformers(t *testing.T) {
	text, err := os.ReadFile("testdata/processors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []golden }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 10 {
		t.Fatalf("only %d cases", len(file.Cases))
	}
	const steps = 1 << 14
	for n, g := range file.Cases {
		s := New(len(g.Logits))
		row := &engine.Row{Sampling: g.sampling(t), History: history(g.Seen[:6], g.Seen[6:])}
		counts := make([]float64, len(g.Logits))
		for i := range steps {
			var out engine.Sampled
			if err := s.sample(row, g.Logits, &out, (float64(i)+0.5)/steps); err != nil {
				t.Fatal(err)
			}
			counts[out.Token]++
			for _, top := range append(out.Top, engine.TokenLogprob{Token: out.Token, Logprob: out.Logprob}) {
				if want := g.Logprobs[top.Token]; math.Abs(float64(top.Logprob)-want) > 2e-5 {
					t.Fatalf("case %d: log-probability of token %d is %v, want %v", n, top.Token, top.Logprob, want)
				}
			}
		}
		for id, p := range g.Probs {
			if math.Abs(counts[id]-p*steps) > 1.01 || p == 0 && counts[id] > 0 {
				t.Errorf("case %d %+v: token %d was drawn %v times of %d, want %v", n, g.Options, id, counts[id], steps, p*steps)
			}
		}
	}
}
