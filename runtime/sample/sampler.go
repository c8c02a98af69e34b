package sample

import (
	"math"

	"llmc/engine"
)

// leastTemperature is below what is still drawn; vLLM's value.
const leastTemperature = 1e-5

// Sampler chooses tokens. It holds the scratch of one goroutine, which grows at first and is reused then.
type Sampler struct {
	edits   edits
	ranked  []ranked
	weights []float64
	blocks  []float64
}

// New returns a sampler for vocabularies of the given size.
func New(vocab int) *Sampler {
	return &Sampler{
		ranked:  make([]ranked, 0, 2*nucleus),
		weights: make([]float64, 0, nucleus),
		blocks:  make([]float64, 0, vocab/blockTokens+1),
	}
}

// Sample answers one row from its logits [V], which are the same afterwards. It appends alternatives to out.Top[:0], so that the
// owner of out decides on their memory. If the logits allow no choice, it returns an error that wraps ErrLogits and sets out.Token
// to -1. Ids in the sampling and the history must be below V; whoever takes requests checks that.
func (s *Sampler) Sample(row *engine.Row, logits []float32, out *engine.Sampled) error {
	if row.Logits != nil {
		copy(row.Logits, logits)
	}
	u := 0.0
	if row.Sampling != nil && row.Sampling.Temperature >= leastTemperature {
		u = uniform(row.Sampling.Seed, row.Position)
	}
	return s.sample(row, logits, out, u)
}

// sample is Sample with the random number given.
func (s *Sampler) sample(row *engine.Row, logits []float32, out *engine.Sampled, u float64) error {
	*out = engine.Sampled{Token: -1, Top: out.Top[:0]}
	raw, err := maximum(logits)
	if err != nil {
		return err
	}
	if row.Sampling.Greedy() {
		out.Token = first(logits, raw)
		return nil
	}
	token, err := s.choose(row, logits, raw, u)
	if err != nil {
		return err
	}
	out.Token = token
	if row.Sampling.Logprobs >= 0 {
		s.logprobs(logits, raw, int(row.Sampling.Logprobs), out)
	}
	return nil
}

// choose applies everything that changes the logits, picks a token, and takes the changes back.
func (s *Sampler) choose(row *engine.Row, logits []float32, most float32, u float64) (int32, error) {
	s.edits.apply(logits, row.Sampling, row.History)
	defer s.edits.undo(logits)
	if len(s.edits.done) > 0 {
		var err error
		if most, err = maximum(logits); err != nil {
			return -1, err
		}
	}
	if row.Sampling.Temperature < leastTemperature {
		return first(logits, most), nil
	}
	return s.pick(row.Sampling, logits, most, u), nil
}

// pick draws at u, in [0, 1), from what temperature, top-k, top-p and min-p leave.
func (s *Sampler) pick(sampling *engine.Sampling, logits []float32, most float32, u float64) int32 {
	d := distribution{logits: logits, max: float64(most), scale: 1 / float64(sampling.Temperature), cut: negligible}
	cut := minPCut(sampling.MinP)
	if sampling.TopK <= 0 && !topPOn(sampling.TopP) {
		d.cut = cut
		blocks, total := d.sum(s.blocks[:0])
		return d.draw(blocks, u*total)
	}
	list, weights := s.truncate(&d, sampling.TopK, sampling.TopP)
	total := 0.0
	for i, r := range list {
		if d.gap(r.logit()) > cut {
			list, weights = list[:i], weights[:i]
			break
		}
		total += weights[i]
	}
	i, _ := crossing(weights, u*total)
	return list[i].id()
}

// logprobs adds the log-probability of the chosen token and of the n most likely ones, under the raw logits.
func (s *Sampler) logprobs(logits []float32, most float32, n int, out *engine.Sampled) {
	d := distribution{logits: logits, max: float64(most), scale: 1, cut: negligible}
	_, total := d.sum(s.blocks[:0])
	norm := float64(most) + math.Log(total)
	out.Logprob = float32(float64(logits[out.Token]) - norm)
	if n == 0 {
		return
	}
	s.ranked = top(s.ranked, logits, n)
	for _, r := range s.ranked {
		out.Top = append(out.Top, engine.TokenLogprob{Token: r.id(), Logprob: float32(float64(r.logit()) - norm)})
	}
}
