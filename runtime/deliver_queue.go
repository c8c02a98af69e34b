package runtime

import (
	"context"
	"sync"
)

// eventQueue carries events from the step loop to one consumer. The loop never waits: a consumer that is behind finds the events when
// it comes, and is woken only if it waits.
type eventQueue struct {
	mu      sync.Mutex
	events  []Event
	taken   int  // leading events that have been taken
	waiting bool // the consumer is about to wait for ready
	ended   bool // the last event has been put
	ready   chan struct{}
}

// put appends an event. Nothing is put after the last.
func (q *eventQueue) put(e Event) {
	q.mu.Lock()
	if len(q.events) == cap(q.events) && 2*q.taken >= len(q.events) { // move rather than grow if that frees half
		n := copy(q.events, q.events[q.taken:])
		clear(q.events[n:])
		q.events, q.taken = q.events[:n], 0
	}
	q.events = append(q.events, e)
	q.ended = e.Finish != ""
	wake := q.waiting
	q.waiting = false
	q.mu.Unlock()
	if wake {
		select {
		case q.ready <- struct{}{}:
		default: // left over from a consumer that gave up waiting
		}
	}
}

// next waits for an event. It returns false after the last one, or when ctx ends while there is none.
func (q *eventQueue) next(ctx context.Context) (Event, bool) {
	for {
		q.mu.Lock()
		if q.taken < len(q.events) {
			e := q.events[q.taken]
			q.events[q.taken] = Event{}
			if q.taken++; q.taken == len(q.events) {
				q.events, q.taken = q.events[:0], 0
			}
			q.mu.Unlock()
			return e, true
		}
		if q.ended {
			q.mu.Unlock()
			return Event{}, false
		}
		q.waiting = true
		q.mu.Unlock()
		select {
		case <-q.ready:
		case <-ctx.Done():
			return Event{}, false
		}
	}
}
