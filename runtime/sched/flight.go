package sched

import (
	"slices"
	"time"

	"llmc/engine"
)

// flight is a step that has been scheduled and not been completed. There are at most two: one that the device works on, and one ahead of it.
type flight struct {
	step  engine.Step
	parts []part // in the order of the step's sequences
	shown []Shown
}

// part is what a sequence has in a flight.
type part struct {
	q              *Sequence
	life           int // of the sequence when this was scheduled; results for an earlier life count no more
	from, tokens   int // positions from .. from+tokens-1
	firstRow, rows int // of the step's
	samples        bool
	drafts         int // tokens behind these that are guesses, each with a row of its own
}

// drafted tells whether the step verifies drafts.
func (f *flight) drafted() bool {
	return slices.ContainsFunc(f.parts, func(p part) bool { return p.drafts > 0 })
}

// Share is how many tokens of a step a sequence has, guesses included.
type Share struct {
	Seq    *Sequence
	Tokens int
}

// Shares appends the shares of the oldest step in flight.
func (s *Scheduler) Shares(dst []Share) []Share {
	for i := range s.flights[0].parts {
		p := &s.flights[0].parts[i]
		dst = append(dst, Share{p.q, p.tokens + p.drafts})
	}
	return dst
}

// alive tells whether the sequence still wants the results.
func (p *part) alive() bool { return p.q.life == p.life }

// Ahead fills the step behind the one in flight, before what that one samples is known: a token to come is engine.FromRow of its row. It
// returns nil where pages are so scarce that somebody might have to give some back, as they may have to for an image, behind a step with drafts, and where there
// is nothing to do.
//
// A sequence that ends with the step in flight may be part of the step ahead; what that gives for it is dropped. Its pages are given back when it ends:
// the device runs steps in order, so whoever gets them writes them later.
func (s *Scheduler) Ahead(now time.Time) *engine.Step {
	if len(s.flights) != 1 {
		panic("sched: a step ahead is one ahead of a single step in flight")
	}
	if s.flights[0].drafted() { // nobody knows how many tokens it gives
		return nil
	}
	s.expire(now)
	s.admit(now)
	s.share()
	s.shareEncoder()
	if s.makesImages() || !s.fit() {
		return nil
	}
	s.place()
	if f := s.build(); len(f.parts) > 0 {
		return &f.step
	}
	s.spare = s.flights[1]
	s.flights = s.flights[:1]
	return nil
}

// fit tells whether there are pages for what is planned.
func (s *Scheduler) fit() bool {
	missing := 0
	for _, q := range s.running {
		missing += max(0, s.pool.PagesFor(q.computed+q.planned)-len(q.table.Pages()))
	}
	return missing <= s.pool.Available()
}

// take returns an empty flight behind those that there are.
func (s *Scheduler) take() *flight {
	f := s.spare
	if s.spare = nil; f == nil {
		f = &flight{}
	}
	f.step.Reset()
	f.parts = f.parts[:0]
	clear(f.shown) // lets go of the images
	f.shown = f.shown[:0]
	s.flights = append(s.flights, f)
	return f
}

// land takes the oldest flight out. What it holds is good until the next step is scheduled.
func (s *Scheduler) land() *flight {
	if len(s.flights) == 0 {
		panic("sched: no step is in flight")
	}
	f := s.flights[0]
	s.flights = append(s.flights[:0], s.flights[1:]...)
	s.spare = f
	return f
}

// Relieve lets go of the memory of steps, and of sequences that were in them, if there is nothing to do.
func (s *Scheduler) Relieve() {
	if !s.HasWork() {
		s.flights, s.spare, s.running, s.prefills, s.outputs = nil, nil, nil, nil, nil
	}
}
