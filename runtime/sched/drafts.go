package sched

import "llmc/engine"

// A sequence that is one token behind may bring guesses of the tokens that come next. The step computes them behind its token and samples a row for
// each; what a row samples counts as long as the guesses before it were right, and the keys and values of the others are written over. So drafts
// change how many tokens a step gives, never which. They get what is left of tokens, rows and pages, and nobody is preempted for them.

// Drafting appends the sequences that take drafts in the next step: those that run and have caught up. Penalties count every token before the one that is
// sampled, so sequences with these take none; under a constraint every row has the mask of its place. No step may be in flight.
func (s *Scheduler) Drafting(dst []*Sequence) []*Sequence {
	if len(s.flights) > 0 {
		panic("sched: the tokens that drafts follow are not known while a step is in flight")
	}
	for _, q := range s.running {
		if q.behind() == 1 && q.history == nil && q.request.Sampling.Allowed == nil && q.MostDrafts() > 0 {
			dst = append(dst, q)
		}
	}
	return dst
}

// Outlook foretells the next step, without drafts.
type Outlook struct {
	Decoding int // sequences that have caught up: a token of each, and a row
	Prompt   int // tokens of others, of prompts or what has to be computed again
	Room     int // drafts that the step has room for
}

// Outlook says what the next step is likely to be. Which of the waiting sequences come into it is not known before.
func (s *Scheduler) Outlook() Outlook {
	var o Outlook
	for _, q := range s.running {
		if n := q.behind(); n > 1 {
			o.Prompt += min(n, s.config.ChunkTokens)
		} else {
			o.Decoding++
		}
	}
	places := max(0, s.config.MaxSequences-len(s.running))
	for q := range s.waiting.all() {
		if places--; places < 0 {
			break
		}
		o.Prompt += min(q.behind(), s.config.ChunkTokens)
	}
	free := s.config.MaxStepTokens - o.Decoding
	o.Prompt = min(o.Prompt, free)
	if o.Prompt > 0 {
		free /= 2
	}
	o.Room = max(0, min(free, s.config.MaxRows-len(s.running)))
	return o
}

// Propose says what may come next in a sequence that Drafting named. The next step takes as many of the drafts as it has room for; they are copied.
func (s *Scheduler) Propose(q *Sequence, drafts []int32) {
	q.drafts = append(q.drafts[:0], drafts...)
	q.keepAllowed()
}

// Tokens returns what the sequence has, prompt and output. It must not be changed and is good until the next Complete.
func (q *Sequence) Tokens() []int32 { return q.tokens }

// MostDrafts returns how many drafts could be right: the token behind them is the last that the sequence may have.
func (q *Sequence) MostDrafts() int { return q.Remaining() - 1 }

// Remaining returns how many more tokens the sequence may have.
func (q *Sequence) Remaining() int { return q.limit - q.total() }

// Sampling returns how the token behind so many guesses is to be chosen.
func (q *Sequence) Sampling(guesses int) *engine.Sampling {
	if s := q.forced.sampling(q.Outputs()+q.pending+guesses, q.limit-len(q.request.Prompt)); s != nil {
		return s
	}
	s := &q.request.Sampling
	if q.early != nil && q.Outputs()+q.pending+guesses < q.request.MinTokens {
		s = q.early
	}
	return s
}

// rowSampling is Sampling for a row of a step, under the constraint.
func (q *Sequence) rowSampling(guesses int) *engine.Sampling {
	s := q.Sampling(guesses)
	if q.request.Constraint == nil || q.forced.sampling(q.Outputs()+q.pending+guesses, q.limit-len(q.request.Prompt)) != nil {
		return s
	}
	return q.constrained(s, q.drafts[:guesses])
}

// Verified returns how many drafts of the sequence have been computed and how many were right.
func (q *Sequence) Verified() (drafted, accepted int) { return q.drafted, q.accepted }

// shareDrafts gives drafts room in the step: at most half of it where prompts are waiting for it too.
func (s *Scheduler) shareDrafts(budget, rows int) (int, int) {
	kept := 0
	if len(s.prefills) > 0 {
		kept = (budget + 1) / 2
	}
	for _, q := range s.running {
		n := 0
		if q.planned == 1 && q.behind() == 1 {
			n = max(0, min(len(q.drafts), q.MostDrafts(), budget-kept, rows))
		}
		q.drafts = q.drafts[:n]
		budget, rows = budget-n, rows-n
	}
	return budget, rows
}

// placeDrafts finds pages for drafts once everything else has its own.
func (s *Scheduler) placeDrafts() {
	for _, q := range s.running {
		if q.planned == 0 {
			q.drafts = q.drafts[:0]
		}
		if n := len(q.drafts); n > 0 && !s.pool.Reserve(&q.table, q.computed+q.planned+n) {
			q.drafts = q.drafts[:min(n, len(q.table.Pages())*s.config.PageSize-q.computed-q.planned)]
		}
	}
}

// appendDraftRows asks for a row behind each draft of the sequence. The row before them is the last that there is.
func appendDraftRows(st *engine.Step, q *Sequence) {
	for i, draft := range q.drafts {
		row := st.Rows[len(st.Rows)-1]
		row.Token, row.Position, row.Sampling = row.Token+1, row.Position+1, q.rowSampling(i+1)
		st.Drafts[len(st.Drafts)-1] = draft
		st.Rows, st.Drafts = append(st.Rows, row), append(st.Drafts, -1)
	}
}

// extendChain extends a sequence by what a chain of rows sampled: drafts that were right, and the token behind them. What was computed for the others
// is forgotten.
func (s *Scheduler) extendChain(p *part, first int, out []engine.Sampled) {
	q := p.q
	right := max(0, min(int(out[first].Accepted), p.drafts))
	q.drafted += p.drafts
	s.stats.countDrafts(p.drafts)
	for i := 0; ; i++ {
		s.extend(q, first+i, out[first+i].Token)
		if i == right || !p.alive() {
			break
		}
		q.accepted++
		s.stats.AcceptedTokens++
		q.computed++
		s.pool.Commit(&q.table, q.content()[:q.computed])
	}
	if p.drafts > 0 && p.alive() {
		s.pool.Trim(&q.table, q.computed)
	}
}

func (st *Stats) countDrafts(tokens int) {
	if tokens > 0 {
		st.Drafts++
		st.DraftTokens += uint64(tokens)
	}
}
