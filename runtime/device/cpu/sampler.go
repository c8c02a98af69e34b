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

func newSampler(m *model, f *function) (*sampler, error) {
	if f.program.Logits < 0 || f.program.Logits >= len(f.views) {
		return nil, fmt.Errorf("program %s: logits are buffer %d of %d", f.program.Func, f.program.Logits, len(f.views))
	}
	p := &sampler{vocab: m.info.Vocab, logits: f.views[f.program.Logits]}
	if p.logits.cols < p.vocab || p.logits.format != "" {
		return nil, fmt.Errorf("program %s: %d logits for a vocabulary of %d", f.program.Func, p.logits.cols, p.vocab)
	}
	for range m.state.workers {
		s := sample.New(p.vocab)
		s.Scan = sample.Scan{Sum: m.set.Sum, ArgMax: m.set.ArgMax}
		p.samplers = append(p.samplers, s)
	}
	return p, nil
}

// run answers every workers-th row. Logits that allow no choice give the token -1, which the scheduler ends the sequence for.
func (p *sampler) run(s *state, worker int) {
	for r := worker; r < len(s.step.Rows); r += s.workers {
		_ = p.samplers[worker].Sample(&s.step.Rows[r], p.logits.row(r)[:p.vocab], &s.out[r])
	}
}
