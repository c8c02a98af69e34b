package sched

import "time"

// Deadline is by when a sequence has to have come how far; zero times are none. Time is the owner's, who gives it to Schedule: a sequence ends at the first
// step that is scheduled at or after a time that it has missed.
type Deadline struct {
	Start time.Time // it has left the queue
	First time.Time // it has its first token
	End   time.Time // it has ended
}

// due returns the next of the sequence's deadlines that it can still miss; zero: there is none.
func (q *Sequence) due() time.Time {
	d := &q.request.Deadline
	due := d.End
	if !q.begun {
		due = earlier(due, d.Start)
	}
	if q.Outputs() == 0 {
		due = earlier(due, d.First)
	}
	return due
}

// earlier returns the earlier of two times of which a zero one is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expire ends the sequences that have missed a deadline. Sequences that have begun or have their first token may leave s.deadline too early: then all are
// looked at once for nothing.
func (s *Scheduler) expire(now time.Time) {
	if s.deadline.IsZero() || now.Before(s.deadline) {
		return
	}
	var late []*Sequence
	s.deadline = time.Time{}
	for q := range s.all() {
		switch due := q.due(); {
		case due.IsZero():
		case !now.Before(due):
			late = append(late, q)
		default:
			s.deadline = earlier(s.deadline, due)
		}
	}
	for _, q := range late {
		if !q.begun {
			s.drop(q, Overdue)
		} else {
			s.drop(q, Expired)
		}
	}
}
