package cpu

import (
	"fmt"

	"llmc/engine"
)

// sampler chooses the tokens of the step's rows from their logits [R, V].
type sampler struct {
	m      *model
	logits view
}

func newSampler(m *model) (*sampler, error) {
	if m.program.Logits < 0 || m.program.Logits >= len(m.views) {
		return nil, fmt.Errorf("program %s: logits are buffer %d of %d", m.program.Func, m.program.Logits, len(m.views))
	}
	logits := m.views[m.program.Logits]
	if logits.cols < m.info.Vocab {
		return nil, fmt.Errorf("program %s: %d logits for a vocabulary of %d", m.program.Func, logits.cols, m.info.Vocab)
	}
	return &sampler{m, logits}, nil
}

func (p *sampler) run(s *state, worker int) {
	for r := worker; r < len(s.step.Rows); r += s.workers {
		row := &s.step.Rows[r]
		logits := p.logits.row(r)[:p.m.info.Vocab]
		if row.Logits != nil {
			copy(row.Logits, logits)
		}
		s.out[r] = engine.Sampled{Token: int32(p.m.set.ArgMax(logits))}
	}
}
