package sched

// Abort ends a sequence; an Output says so. What steps in flight give for it is dropped. Aborting an ended sequence does nothing.
func (s *Scheduler) Abort(q *Sequence) { s.drop(q, Aborted) }

// AbortAll aborts every sequence.
func (s *Scheduler) AbortAll() {
	for s.waiting.count > 0 {
		s.Abort(s.waiting.first())
	}
	for i := len(s.running) - 1; i >= 0; i-- {
		s.Abort(s.running[i])
	}
}

// Drop ends a sequence without an Output, because the owner knows: the text of its output holds a stop string.
func (s *Scheduler) Drop(q *Sequence) {
	if q.state != ended {
		s.leave(q)
	}
}

func (s *Scheduler) drop(q *Sequence, finish Finish) {
	if q.state == ended {
		return
	}
	s.leave(q)
	s.outputs = append(s.outputs, Output{Seq: q, Row: -1, Token: -1, Outputs: q.Outputs(), Finish: finish})
}
