package sched

import (
	"slices"

	"llmc/engine"
)

// Complete takes the results of the oldest step in flight: out[i] answers its row i. What was computed may now be shared.
func (s *Scheduler) Complete(out []engine.Sampled) {
	f := s.land()
	if len(out) != len(f.step.Rows) {
		panic("sched: a step has as many results as rows")
	}
	for i := range f.parts {
		p := &f.parts[i]
		s.stats.Computed += uint64(p.tokens + p.drafts)
		if p.alive() {
			s.completePart(p, out)
		}
	}
	s.sweep()
}

func (s *Scheduler) completePart(p *part, out []engine.Sampled) {
	q := p.q
	s.pool.Commit(&q.table, q.content()[:p.from+p.tokens])
	rows := out[p.firstRow : p.firstRow+p.rows]
	if p.samples {
		rows = rows[:len(rows)-1-p.drafts]
	}
	if len(rows) > 0 {
		q.prompt.record(p.from+1, rows)
	}
	if p.samples {
		q.pending--
		s.extendChain(p, p.firstRow+len(rows), out)
	}
}

// extend gives a sequence its sampled token and ends it if that was the last.
func (s *Scheduler) extend(q *Sequence, row int, token int32) {
	if token < 0 || int(token) >= s.config.Vocab {
		s.end(q, BadSample)
		return
	}
	q.tokens = append(q.tokens, token)
	if q.history != nil {
		q.history.Add(token)
	}
	s.stats.Sampled++
	q.serve(1, outputWeight)
	finish := q.finished(token)
	if finish == BadSample {
		q.tokens = q.tokens[:len(q.tokens)-1]
		s.end(q, BadSample)
		return
	}
	if finish == Running {
		s.change(q)
	} else {
		s.learn(q.Outputs())
		s.pool.Keep(&q.table, q.content()[:len(q.tokens)-1])
		s.release(q)
	}
	s.outputs = append(s.outputs, Output{Seq: q, Row: row, Token: token, Outputs: q.Outputs(), Finish: finish})
}

// finished tells whether the token just sampled was the last.
func (q *Sequence) finished(token int32) Finish {
	if _, stop := slices.BinarySearch(q.stops, token); stop {
		return StopToken
	}
	if finish := q.follow(token); finish != Running {
		return finish
	}
	if len(q.tokens) >= q.limit {
		return Length
	}
	return Running
}

// Fail says that the oldest step in flight could not be computed: its sequences end. Their pages are given back without anybody having to trust
// what the device may have written to them; pages that were full before have not been written to.
func (s *Scheduler) Fail() {
	f := s.land()
	for i := range f.parts {
		if p := &f.parts[i]; p.alive() {
			s.end(p.q, Failed)
		}
	}
	s.sweep()
}

// end ends a running sequence without a token. The caller sweeps.
func (s *Scheduler) end(q *Sequence, finish Finish) {
	s.release(q)
	s.outputs = append(s.outputs, Output{Seq: q, Row: -1, Token: -1, Outputs: q.Outputs(), Finish: finish})
}

func (s *Scheduler) release(q *Sequence) {
	s.pool.Release(&q.table)
	s.releaseSource(q)
	q.state = ended
	q.tenant.live--
	q.request.Images = nil // they are large
	q.reborn()
}

// sweep takes the ended sequences out of the running ones.
func (s *Scheduler) sweep() {
	s.running = slices.DeleteFunc(s.running, func(q *Sequence) bool { return q.state == ended })
}
