package sched

import "llmc/engine"

// build writes the planned tokens of the running sequences into the step.
func (s *Scheduler) build() {
	s.step.Reset()
	s.batch = s.batch[:0]
	for _, q := range s.running {
		if q.planned > 0 {
			s.batch = append(s.batch, q)
			s.appendTokens(q)
			s.appendRows(q)
		}
	}
	s.inFlight = len(s.batch) > 0
}

func (s *Scheduler) appendTokens(q *Sequence) {
	st := &s.step
	end := q.computed + q.planned
	st.IDs = append(st.IDs, q.tokens[q.computed:end]...)
	for position := q.computed; position < end; position++ {
		st.Positions = append(st.Positions, int32(position))
		st.RopeLen = append(st.RopeLen, int32(max(q.ropeLen, position+1)))
		st.Slots = append(st.Slots, s.pool.Slot(&q.table, position))
	}
	st.SeqStart = append(st.SeqStart, int32(len(st.IDs)))
	st.Context = append(st.Context, int32(end))
	st.Pages = append(st.Pages, q.table.Pages()...)
	st.PageStart = append(st.PageStart, int32(len(st.Pages)))
}

// appendRows asks for the sequence's next token if the step completes what it has, and for the log-probabilities of its prompt.
func (s *Scheduler) appendRows(q *Sequence) {
	st := &s.step
	q.firstRow = len(st.Rows)
	first := int32(len(st.IDs) - q.planned) // row of the step of the sequence's first token in it
	end := q.computed + q.planned
	if q.prompt.pending() {
		for position := q.computed; position < min(end, len(q.request.Prompt)-1); position++ {
			st.Rows = append(st.Rows, engine.Row{
				Token:    first + int32(position-q.computed),
				Position: int32(position + 1),
				Sampling: q.prompt.forced(position + 1),
			})
		}
	}
	if end == len(q.tokens) {
		st.Rows = append(st.Rows, engine.Row{
			Token:    int32(len(st.IDs) - 1),
			Position: int32(end),
			Sampling: q.sampling(),
			History:  q.history,
		})
	}
	q.rows = len(st.Rows) - q.firstRow
}
