package sched

import (
	"math"
	"slices"

	"llmc/engine"
)

// promptLogprobs collects the log-probabilities of a prompt's tokens. The token at each position is known, so it is "sampled" with
// a bias that no logit outweighs: log-probabilities are those of the raw logits, so they come out right.
type promptLogprobs struct {
	sampling []engine.Sampling // [P] by position
	results  []engine.Sampled  // [P]; the first token has no probability
	done     int               // leading results that are there
}

// forcingBias is far above any logit, and small enough that their sum stays finite.
const forcingBias = 1e30

func newPromptLogprobs(prompt []int32, top int) *promptLogprobs {
	p := &promptLogprobs{
		sampling: make([]engine.Sampling, len(prompt)),
		results:  make([]engine.Sampled, len(prompt)),
		done:     1,
	}
	bias := make([]engine.TokenBias, len(prompt))
	for i, id := range prompt {
		p.results[i].Token = id
		bias[i] = engine.TokenBias{Token: id, Bias: forcingBias}
		p.sampling[i] = engine.Sampling{Bias: bias[i : i+1], Logprobs: int32(top)}
	}
	return p
}

// pending tells whether results are still missing. A nil receiver wants none.
func (p *promptLogprobs) pending() bool { return p != nil && p.done < len(p.results) }

// forced returns the sampling that chooses the prompt's token at a position.
func (p *promptLogprobs) forced(position int) *engine.Sampling { return &p.sampling[position] }

// record takes the answers for the positions from first on. After a preemption some are seen again.
func (p *promptLogprobs) record(first int, rows []engine.Sampled) {
	for i, r := range rows {
		r.Top = slices.Clone(r.Top)
		if want := p.results[first+i].Token; r.Token != want { // its logit is -Inf, which no bias outweighs
			r.Token, r.Logprob = want, float32(math.Inf(-1))
		}
		p.results[first+i] = r
		p.done = max(p.done, first+i+1)
	}
	if !p.pending() {
		p.sampling = nil
	}
}

// PromptLogprobs returns the log-probabilities of the prompt's tokens once the first output token has been sampled; nil if they were
// not asked for. The entry of the first token has none.
func (q *Sequence) PromptLogprobs() []engine.Sampled {
	if q.prompt == nil || q.prompt.pending() {
		return nil
	}
	return q.prompt.results
}
