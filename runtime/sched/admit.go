package sched

import "time"

// openPrefills is how many sequences may be catching up with their prompts at once although they already take the
// whole step. It keeps a few short prompts from waiting behind one long prompt, without spreading memory over many.
const openPrefills = 4

// admit starts waiting sequences in the order of the line while there are places, work for them in this step, and pages.
// The first that does not fit blocks those behind it, so that a long prompt is not overtaken for ever.
func (s *Scheduler) admit(now time.Time) {
	demand, prefills, kept := 0, 0, 0
	count := func(q *Sequence) {
		demand += q.behind()
		if q.behind() > 1 {
			prefills++
		}
		kept += s.missing(q) + 1
	}
	for _, q := range s.running {
		count(q)
	}
	for s.waiting.count > 0 && len(s.running) < s.config.MaxSequences {
		if demand >= s.config.MaxStepTokens && prefills >= openPrefills {
			return
		}
		q := s.waiting.first()
		if !s.fits(q, kept) {
			return
		}
		s.start(q, now)
		count(q)
	}
}

// missing returns how many pages a sequence needs for its tokens beyond those it has.
func (s *Scheduler) missing(q *Sequence) int {
	return max(0, s.pool.PagesFor(q.total())-len(q.table.Pages()))
}

// fits takes what the prefix cache has of the sequence and tells whether there are pages for the rest of its tokens beside the
// kept ones. These are what running sequences need for the tokens they have, and one more for each, so that their next tokens
// do not preempt at once what was admitted just now. While nothing runs, nothing is kept and everything fits.
func (s *Scheduler) fits(q *Sequence, kept int) bool {
	s.match(q)
	if s.missing(q)+s.sourcePages(q)+s.imagePages(q) > s.pool.Available()-kept {
		s.pool.Release(&q.table) // which keeps what was found from being evicted soon
		q.computed = 0
		return false
	}
	s.pool.Reserve(&q.source, len(q.request.Source))
	s.countMatch(q)
	return true
}

// match extends what is computed of a sequence by cached pages. The last token is always computed: its logits are needed.
// Pages are copied only while no step is in flight: the device would have to wait for it.
func (s *Scheduler) match(q *Sequence) {
	if q.prompt.pending() {
		return // the logits of all prompt tokens are needed
	}
	q.computed = max(q.computed, s.pool.Match(&q.table, q.content()[:len(q.tokens)-1], len(s.flights) == 0))
}

// countMatch keeps the statistics of the first way through the prompt.
func (s *Scheduler) countMatch(q *Sequence) {
	if q.again {
		return
	}
	s.stats.PrefixQueries += uint64(len(q.request.Prompt))
	s.stats.PrefixHits += uint64(q.computed)
	q.cached = q.computed
}

// rematch looks again before a prompt's next chunk: other sequences may have computed the same tokens in the meantime.
func (s *Scheduler) rematch(q *Sequence) {
	before := q.computed
	s.match(q)
	if found := q.computed - before; found > 0 && !q.again {
		s.stats.PrefixHits += uint64(found)
		q.cached += found
	}
}
