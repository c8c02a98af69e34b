package sched

import (
	"cmp"
	"slices"
)

// share divides the step's tokens among the running sequences. Those that are one token behind get it: there are never more
// of them than tokens. What is left goes to those with more to catch up with, half of it to the best-ranked and the other
// half by shortest remainder: no prompt starves, and a short one is not held up by a long one. Where it would keep those that are being answered
// waiting for long, a step takes in less than it could hold (Config.PromptTokens).
func (s *Scheduler) share() {
	budget, decoding, newcomers := s.config.MaxStepTokens, 0, 0
	rows := s.config.MaxRows - len(s.running) // beyond one for each
	s.prefills = s.prefills[:0]
	for _, q := range s.running {
		q.planned = 0
		if q.behind() > 1 {
			s.rematch(q)
		}
		switch {
		case q.doomed(), q.waits():
		case q.behind() == 1 && s.newcomer(q):
			newcomers++
		case q.behind() == 1:
			q.planned = 1
			decoding++
			budget--
		case !s.follows(q):
			s.prefills = append(s.prefills, q)
		}
	}
	begun := s.begin(newcomers, decoding)
	decoding, budget = decoding+begun, budget-begun
	if budget, rows = s.shareDrafts(budget, rows); len(s.prefills) == 0 {
		return
	}
	if limit := s.config.PromptTokens; limit != nil && decoding > 0 {
		budget = min(budget, max(1, limit(decoding, len(s.prefills))))
	}
	first, rest := s.prefills[0], s.prefills[1:]
	grant := func(q *Sequence, tokens int) {
		n := min(tokens, q.behind()-q.planned, s.config.ChunkTokens-q.planned)
		if q.prompt.pending() { // a row for each token; the first is set aside already
			free := rows
			if q.planned == 0 {
				free++
			}
			n = min(n, free)
			rows = free - n
		}
		q.planned += n
		budget -= n
	}
	if len(rest) == 0 {
		grant(first, budget)
		return
	}
	grant(first, (budget+1)/2)
	slices.SortFunc(rest, func(a, b *Sequence) int {
		return cmp.Or(cmp.Compare(a.behind(), b.behind()), cmp.Compare(a.arrival, b.arrival))
	})
	for _, q := range rest {
		grant(q, budget)
	}
	grant(first, budget)
}

// newcomer tells whether q waits for its first token. Who continues others' work has had it.
func (s *Scheduler) newcomer(q *Sequence) bool {
	return s.config.Newcomers != nil && q.total() == len(q.request.Prompt) && !q.request.Continues
}

// begin lets as many newcomers have their token as Config.Newcomers says, first those that rank first.
func (s *Scheduler) begin(newcomers, decoding int) (begun int) {
	if newcomers == 0 {
		return 0
	}
	newcomers = min(newcomers, s.config.Newcomers(decoding, newcomers))
	for _, q := range s.running {
		if begun == newcomers {
			break
		}
		if q.planned == 0 && q.behind() == 1 && !q.doomed() && !q.waits() && s.newcomer(q) {
			q.planned = 1
			begun++
		}
	}
	return begun
}

// follows tells whether q had better wait for its next page because a better-ranked sequence is computing the same one. Many
// clients with one system prompt, arriving together, compute it once.
func (s *Scheduler) follows(q *Sequence) bool {
	start, end := q.computed, q.computed+s.config.PageSize
	if s.config.NoPrefixCache || q.prompt.pending() || start%s.config.PageSize != 0 || end >= len(q.tokens) {
		return false
	}
	same := func(r *Sequence) bool {
		return len(r.tokens) >= end && q.table.Level(&r.table) && slices.Equal(q.content()[start:end], r.content()[start:end])
	}
	for _, f := range s.flights { // whose pages are not known yet
		for i := range f.parts {
			if p := &f.parts[i]; p.alive() && p.q != q && p.from+p.tokens >= end && same(p.q) {
				return true
			}
		}
	}
	return slices.ContainsFunc(s.prefills, same)
}
