package sched

// place finds pages for what was planned, in order of rank. When pages run out, the worst-ranked running sequences
// are preempted; the worst-ranked itself makes do with what is left and keeps what it has. Walking in order of rank means that a
// victim has never been placed yet.
func (s *Scheduler) place() {
	for i := 0; i < len(s.running); i++ {
		q := s.running[i]
		for !s.pool.Reserve(&q.table, q.computed+q.planned) {
			if last := len(s.running) - 1; last > i {
				s.preempt(last)
			} else {
				room := (len(q.table.Pages()) + s.pool.Available()) * s.config.PageSize
				q.planned = min(q.planned, room-q.computed)
			}
		}
	}
	s.placeDrafts()
}

// preempt sends a running sequence back to wait. Its pages stay cached until somebody needs them.
func (s *Scheduler) preempt(i int) {
	q := s.running[i]
	s.running = append(s.running[:i], s.running[i+1:]...)
	s.pool.Keep(&q.table, q.content()[:q.computed]) // no step is in flight
	s.pool.Release(&q.table)
	s.releaseSource(q)
	q.computed, q.planned, q.made, q.again = 0, 0, 0, true
	q.drafts = q.drafts[:0]
	s.stats.Preemptions++
	s.wait(q)
}

// Preempt sends the n worst-ranked running sequences back to wait, as if memory had run out. It is for tests of what
// preemption may not change, and must not be called while a step is in flight.
func (s *Scheduler) Preempt(n int) {
	if len(s.flights) > 0 {
		panic("sched: preempted while a step is in flight")
	}
	for ; n > 0 && len(s.running) > 0; n-- {
		s.preempt(len(s.running) - 1)
	}
}
