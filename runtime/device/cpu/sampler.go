package cpu

import (
	"fmt"

	"llmc/runtime/sample"
)

// sampler chooses the tokens of the step's rows from their logits [R, V].
type sampler struct {
	vocab    int
	logits   view
	samplers []*sample.Sampler // one per worker
}

func newSampler(m *model) (*sampler, error) {
	if m.program.Logits < 0 || m.program.Logits >= len(m.views) {
		return nil, fmt.Errorf("program %s: logits are buffer %d of %d", m.program.Func, m.program.Logits, len(m.views))
	}
	p := &sampler{vocab: m.info.Vocab, logits: m.views[m.program.Logits]}
	if p.logits.cols < p.vocab || p.logits.format != "" {
		return nil, fmt.Errorf("program %s: %d logits for a vocabulary of %d", m.program.Func, p.logits.cols, p.vocab)
	}
	for range m.state.workers {
		p.samplers = append(p.samplers, sample.New(p.vocab))
	}
	return p, nil
}

// run answers every workers-th row. Logits that allow no choice give the token -1, which the scheduler ends the sequence for.
func (p *sampler) run(s *state, worker int) {
	for r := worker; r < len(s.step.Rows); r += s.workers {
		_ = p.samplers[worker].Sample(&s.step.Rows[r], p.logits.row(r)[:p.vocab], &s.out[r])
	}
}
