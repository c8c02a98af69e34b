package runtime

import "testing"

// A consumer that is always a little behind gets everything in order, and the queue stays as small as what it is behind.
func TestEventQueueOfALaggingConsumer(t *testing.T) {
	q := eventQueue{ready: make(chan struct{}, 1)}
	const behind, events = 5, 10_000
	for i := range int32(events) {
		q.put(Event{Token: i})
		if i < behind {
			continue
		}
		if e, ok := q.next(t.Context()); !ok || e.Token != i-behind {
			t.Fatalf("event %d is %+v", i-behind, e)
		}
	}
	if cap(q.events) > 8*behind {
		t.Errorf("room for %d events, %d are left", cap(q.events), len(q.events)-q.taken)
	}
	q.put(Event{Token: -1, Finish: FinishStop})
	for i := range behind {
		if e, ok := q.next(t.Context()); !ok || e.Token != int32(events-behind+i) {
			t.Fatalf("event %+v", e)
		}
	}
	if e, ok := q.next(t.Context()); !ok || e.Finish != FinishStop {
		t.Fatalf("last event %+v", e)
	}
	if _, ok := q.next(t.Context()); ok {
		t.Error("an event after the last")
	}
}
