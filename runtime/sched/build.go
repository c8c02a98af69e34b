package sched

import (
	"slices"

	"llmc/engine"
)

// build writes the planned tokens of the running sequences into a new flight.
func (s *Scheduler) build() *flight {
	f := s.take()
	for _, q := range s.running {
		if q.planned > 0 {
			s.append(f, q)
		}
	}
	s.releaseScratch()
	if !f.drafted() {
		f.step.Drafts = f.step.Drafts[:0]
	}
	if !slices.ContainsFunc(f.step.Adapters, func(place int32) bool { return place != 0 }) {
		f.step.Adapters = f.step.Adapters[:0]
	}
	return f
}

// append gives a sequence its part of a step. From here on its tokens count as computed, and the one that is sampled as there, if not known.
func (s *Scheduler) append(f *flight, q *Sequence) {
	p := part{q: q, life: q.life, from: q.computed, tokens: q.planned, firstRow: len(f.step.Rows), samples: q.planned == q.behind(), drafts: len(q.drafts)}
	s.appendShown(f, q, f.step.T())
	s.appendTokens(&f.step, q)
	appendRows(&f.step, q, p.samples)
	appendDraftRows(&f.step, q)
	p.rows = len(f.step.Rows) - p.firstRow
	f.parts = append(f.parts, p)
	q.computed += q.planned
	if p.samples {
		q.pending++
		q.row = len(f.step.Rows) - 1
	}
	q.drafts = q.drafts[:0]
}

func (s *Scheduler) appendTokens(st *engine.Step, q *Sequence) {
	end := q.computed + q.planned
	st.IDs = append(st.IDs, q.tokens[q.computed:min(end, len(q.tokens))]...)
	if end > len(q.tokens) {
		st.IDs = append(st.IDs, engine.FromRow(q.row))
	}
	st.IDs = append(st.IDs, q.drafts...)
	st.Pages = append(st.Pages, q.table.Pages()...)
	st.Adapters = append(st.Adapters, q.request.Adapter.Place)
	st.EndSequence(q.computed, q.ropeLen, s.pool.PageSize())
	s.appendSource(st, q)
}

// appendRows asks for the sequence's next token if the step completes what it has, and for the log-probabilities of its prompt.
func appendRows(st *engine.Step, q *Sequence, samples bool) {
	first := int32(len(st.IDs) - q.planned - len(q.drafts)) // row of the step of the sequence's first token in it
	end := q.computed + q.planned
	if q.prompt.pending() {
		for position := q.computed; position < min(end, len(q.request.Prompt)-1); position++ {
			st.Rows = append(st.Rows, engine.Row{
				Token:    first + int32(position-q.computed),
				Position: int32(position + 1),
				Sampling: q.prompt.forced(position + 1),
			})
			st.Drafts = append(st.Drafts, -1)
		}
	}
	if samples {
		row := st.NextRow()
		drafts := int32(len(q.drafts)) // which come behind it
		row.Token, row.Position = row.Token-drafts, row.Position-drafts
		row.Sampling, row.History = q.rowSampling(0), q.history
		st.Rows, st.Drafts = append(st.Rows, row), append(st.Drafts, -1)
	}
}
