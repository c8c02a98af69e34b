package sched

import (
	"container/heap"
	"iter"
)

// line is the waiting sequences. Those of a tenant are in order of rank; among tenants, and below priorities, it is whoever has had the least service for
// its share: the virtual token counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024). It is work-conserving, since nobody is kept
// waiting for what a tenant has had before while there is room, and an idle tenant saves up nothing. With one tenant it is first come, first served.
type line struct {
	tenants map[string]*tenant
	active  []*tenant // with sequences that wait, in no order
	count   int       // sequences that wait
	left    *tenant   // that was the last to leave the line
	tidyAt  int       // tenants, at which those that need not be known are forgotten
}

// tenant is on whose behalf sequences are computed.
type tenant struct {
	share   float64
	served  float64 // tokens by their weights, over the share
	waiting queue
	place   int // in line.active; none: it is not
	live    int // sequences that have not ended
}

const (
	// promptWeight and outputWeight are what a token counts: one of the output takes a step's turn, those of a prompt share one. The numbers are the paper's.
	promptWeight, outputWeight = 1, 2
	// none marks a tenant that does not wait.
	none = -1
	// fewTenants are not worth tidying up.
	fewTenants = 64
)

// tenant returns the tenant of a request, which may be new.
func (l *line) tenant(r *Request) *tenant {
	t := l.tenants[r.Tenant]
	if t == nil {
		l.tidy()
		if l.tenants == nil {
			l.tenants = map[string]*tenant{}
		}
		t = &tenant{place: none}
		l.tenants[r.Tenant] = t
	}
	t.share = 1
	if r.Share > 0 {
		t.share = float64(r.Share)
	}
	return t
}

// joining returns what a tenant counts as served when it begins to wait: no less than the least of those that wait.
func (l *line) joining(t *tenant) float64 {
	if t.place != none {
		return t.served
	}
	return max(t.served, l.least())
}

// least returns what was served the tenant that is to be served next.
func (l *line) least() float64 {
	if len(l.active) == 0 {
		return l.lastServed()
	}
	least := l.active[0].served
	for _, t := range l.active[1:] {
		least = min(least, t.served)
	}
	return least
}

func (l *line) lastServed() float64 {
	if l.left == nil {
		return 0
	}
	return l.left.served
}

// push appends a sequence to those that wait.
func (l *line) push(q *Sequence) {
	t := q.tenant
	if t.place == none {
		t.place = len(l.active)
		l.active = append(l.active, t)
	}
	heap.Push(&t.waiting, q)
	l.count++
}

// remove takes a sequence out.
func (l *line) remove(q *Sequence) {
	t := q.tenant
	heap.Remove(&t.waiting, q.place)
	l.count--
	if len(t.waiting) > 0 {
		return
	}
	last := l.active[len(l.active)-1]
	l.active[t.place], last.place = last, t.place
	l.active[len(l.active)-1] = nil
	l.active = l.active[:len(l.active)-1]
	t.place, l.left = none, t
}

// first returns the sequence that is to run next; nil: none waits.
func (l *line) first() *Sequence {
	var best *Sequence
	for _, t := range l.active {
		if q := t.waiting[0]; best == nil || q.precedes(best) {
			best = q
		}
	}
	return best
}

// precedes tells whether a waiting sequence runs before another. One that was preempted, or continues something, goes first: its output is being waited for.
func (q *Sequence) precedes(r *Sequence) bool {
	switch {
	case q.request.Priority != r.request.Priority:
		return q.request.Priority < r.request.Priority
	case q.goesOn() != r.goesOn():
		return q.goesOn()
	case q.tenant.served != r.tenant.served:
		return q.tenant.served < r.tenant.served
	}
	return q.arrival < r.arrival
}

func (q *Sequence) goesOn() bool { return q.begun || q.request.Continues }

// all are the waiting sequences in no order.
func (l *line) all() iter.Seq[*Sequence] {
	return func(yield func(*Sequence) bool) {
		for _, t := range l.active {
			for _, q := range t.waiting {
				if !yield(q) {
					return
				}
			}
		}
	}
}

// full tells whether a tenant may not queue one more sequence behind as many as find a place. One that has less than its part of a full queue may: who sends
// most is refused first.
func (l *line) full(t *tenant, limit, places int) bool {
	if limit == 0 || l.count < limit+places {
		return false
	}
	others := len(l.active)
	if t.place != none {
		others--
	}
	return l.count >= 2*limit+places || len(t.waiting) >= limit/(others+1)
}

// tidy forgets tenants that would begin anew with what they have been served.
func (l *line) tidy() {
	if len(l.tenants) < max(l.tidyAt, fewTenants) {
		return
	}
	known := min(l.least(), l.lastServed())
	for name, t := range l.tenants {
		if t.live == 0 && t.served <= known {
			delete(l.tenants, name)
		}
	}
	l.tidyAt = 2 * len(l.tenants)
}

// serve counts tokens that a sequence has had.
func (q *Sequence) serve(tokens, weight int) {
	q.tenant.served += float64(tokens*weight) / q.tenant.share
}
