package sched

import (
	"slices"
	"time"
)

// queue is a heap of waiting sequences of one tenant, best rank first. It implements heap.Interface.
type queue []*Sequence

func (w queue) Len() int           { return len(w) }
func (w queue) Less(i, j int) bool { return w[i].precedes(w[j]) }

func (w queue) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

// Push is heap.Interface's.
func (w *queue) Push(x any) {
	q := x.(*Sequence)
	q.place = len(*w)
	*w = append(*w, q)
}

// Pop is heap.Interface's.
func (w *queue) Pop() any {
	last := len(*w) - 1
	q := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return q
}

// wait puts a sequence among the waiting ones.
func (s *Scheduler) wait(q *Sequence) {
	q.state = waiting
	s.waiting.push(q)
}

// start moves a waiting sequence to its rank among the running ones.
func (s *Scheduler) start(q *Sequence, now time.Time) {
	s.waiting.remove(q)
	q.state = running
	if !q.begun {
		q.begun, q.started = true, now
		q.serve(len(q.request.Prompt)+len(q.request.Source)-q.computed, promptWeight)
	}
	at, _ := slices.BinarySearchFunc(s.running, q, func(r, q *Sequence) int {
		if r.before(q) {
			return -1
		}
		return 1
	})
	s.running = slices.Insert(s.running, at, q)
}

// leave takes a sequence out of wherever it is and gives its pages back.
func (s *Scheduler) leave(q *Sequence) {
	switch q.state {
	case waiting:
		s.waiting.remove(q)
	case running:
		s.pool.Release(&q.table)
		s.releaseSource(q)
		at := slices.Index(s.running, q)
		s.running = slices.Delete(s.running, at, at+1)
	}
	q.state = ended
	q.tenant.live--
	q.request.Images = nil
	q.reborn()
}
