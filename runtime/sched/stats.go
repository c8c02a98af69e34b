package sched

import "llmc/runtime/kv"

// Stats describes a scheduler at one moment. Counters only grow.
type Stats struct {
	Running, Waiting int
	PagesHeld        int // by running sequences
	PagesCached      int // by nobody, but can be found again
	Pages            int // in all

	Preemptions   uint64
	PrefixQueries uint64 // prompt tokens that were looked up
	PrefixHits    uint64 // prompt tokens that were found
	Computed      uint64 // tokens that went through the device, again after preemption included
	Sampled       uint64

	Drafts         uint64 // sequences of steps that brought drafts
	DraftTokens    uint64
	AcceptedTokens uint64              // of these
	AcceptedAt     [DraftPlaces]uint64 // accepted tokens by their place in the chain
}

// DraftPlaces is how many places of a chain of drafts are counted apart; those behind them are only in AcceptedTokens.
const DraftPlaces = 16

// Stats returns the present figures.
func (s *Scheduler) Stats() Stats {
	st := s.stats
	st.Running, st.Waiting = len(s.running), s.waiting.count
	st.PagesHeld, st.PagesCached, st.Pages = s.pool.Held(), s.pool.Cached(), s.pool.Total()
	return st
}

// Check verifies that pages are conserved and ranks kept. It is slow and meant for tests.
func (s *Scheduler) Check() error {
	var tables []*kv.Table
	for _, q := range s.running {
		tables = append(tables, &q.table, &q.source)
	}
	for _, p := range s.pins {
		tables = append(tables, &p.table)
	}
	return s.pool.Check(tables...)
}
