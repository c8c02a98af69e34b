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
	masses  []uint64
	blocks  []uint64
	allowed []float32 // logits under a mask

	Scan Scan
}

// Scan is what a device has that scans a row of logits sooner; nil: nothing.
type Scan struct {
	Sum    func(x []float32) float32 // in any order
	ArgMax func(x []float32) int     // the first of the largest; NaN counts as less than everything
}

// New returns a sampler for vocabularies of the given size.
func New(vocab int) *Sampler {
	return &Sampler{
		ranked: make([]ranked, 0, 2*nucleus),
		masses: make([]uint64, 0, nucleus),
		blocks: make([]uint64, 0, vocab/blockTokens+1),
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
	raw, first, err := s.maximum(logits)
	if err != nil {
		return err
	}
	if row.Sampling.Greedy() {
		out.Token = first
		return nil
	}
	token, err := s.choose(row, logits, raw, first, u)
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
func (s *Sampler) choose(row *engine.Row, logits []float32, most float32, first int32, u float64) (int32, error) {
	s.edits.apply(logits, row.Sampling, row.History)
	defer s.edits.undo(logits)
	if row.Sampling.Allowed != nil {
		logits = s.mask(logits, row.Sampling.Allowed)
	}
	if len(s.edits.done) > 0 || row.Sampling.Allowed != nil {
		var err error
		if most, first, err = s.maximum(logits); err != nil {
			return -1, err
		}
	}
	if row.Sampling.Temperature < leastTemperature {
		return first, nil
	}
	return s.pick(row.Sampling, logits, most, u), nil
}

// mask returns the logits of the tokens that are allowed, the others ruled out, in memory of the sampler.
func (s *Sampler) mask(logits []float32, allowed []uint32) []float32 {
	s.allowed = append(s.allowed[:0], logits...)
	for i := range s.allowed {
		if allowed[i/32]>>(i%32)&1 == 0 {
			s.allowed[i] = negInf
		}
	}
	return s.allowed
}

// pick draws at u, in [0, 1), from what temperature, top-k, top-p and min-p leave.
func (s *Sampler) pick(sampling *engine.Sampling, logits []float32, most float32, u float64) int32 {
	d := newDistribution(logits, most, scale(sampling.Temperature))
	cut := minPCut(sampling.MinP)
	if !rankedDraw(sampling) {
		d.cut = cut
		blocks, total := d.sum(s.blocks[:0])
		return d.draw(blocks, part(fraction(u), total))
	}
	list, masses := s.truncate(&d, sampling.TopK, sampling.TopP)
	total := uint64(0)
	for i, r := range list {
		if d.gap(r.logit()) > cut {
			masses = masses[:i]
			break
		}
		total += masses[i]
	}
	i, _ := crossing(masses, part(fraction(u), total))
	return list[i].id()
}

// scale is what gaps are multiplied with.
func scale(temperature float32) float64 { return engine.MassSteps / float64(temperature) }

// rankedDraw tells whether tokens are drawn in the order of their likelihood.
func rankedDraw(p *engine.Sampling) bool { return p.TopK > 0 || topPOn(p.TopP) }

// logprobs adds the log-probability of the chosen token and of the n most likely ones, under the raw logits.
func (s *Sampler) logprobs(logits []float32, most float32, n int, out *engine.Sampled) {
	d := newDistribution(logits, most, engine.MassSteps)
	_, total := d.sum(s.blocks[:0])
	norm := logNorm(most, total, len(logits))
	out.Logprob = logprob(logits[out.Token], norm)
	if n == 0 {
		return
	}
	s.ranked = top(s.ranked, logits, n)
	for _, r := range s.ranked {
		out.Top = append(out.Top, engine.TokenLogprob{Token: r.id(), Logprob: logprob(r.logit(), norm)})
	}
}

// logNorm is the logarithm of the sum of the exponentials of all logits.
func logNorm(most float32, total uint64, vocab int) float64 {
	return float64(most) + math.Log(math.Ldexp(float64(total), -engine.MassBits(vocab)))
}

func logprob(logit float32, norm float64) float32 { return float32(float64(logit) - norm) }
