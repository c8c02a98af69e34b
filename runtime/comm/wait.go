package comm

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// How long a side waits in which way. Most waits are for ranks that are about as far: they are over while one spins.
const (
	spinFor    = 50 * time.Microsecond
	shortNap   = 200 * time.Microsecond
	napsBefore = 50 // short naps before long ones
	longNap    = 20 * time.Millisecond
)

// waiter is one wait: it grows more patient each time that nothing has come of it.
type waiter struct {
	last    time.Time     // when it was looked at the clock
	waited  time.Duration // by a clock that stands still while this process does: being paused is not waiting
	rounds  int
	naps    int
	timeout time.Duration // 0: for ever
}

// progress begins anew: something came.
func (w *waiter) progress() { w.rounds, w.naps, w.waited = 0, 0, 0 }

// patience says how long to sleep before the next look: not at all for a while, in which others may run. It fails when nothing has come for the timeout.
func (w *waiter) patience() (nap time.Duration, err error) {
	now := time.Now()
	if w.rounds++; w.rounds == 1 {
		w.last = now
	}
	w.waited, w.last = w.waited+min(now.Sub(w.last), 2*longNap), now
	switch {
	case w.waited < spinFor:
		runtime.Gosched() // the other side may be a goroutine that waits for this processor, or a thread
		yield()
		return 0, nil
	case w.timeout > 0 && w.waited > w.timeout:
		return 0, fmt.Errorf("nothing has come for %v", w.timeout)
	}
	if w.naps++; w.naps > napsBefore {
		return longNap, nil
	}
	return shortNap, nil
}

// wait waits a moment for value to be other than old; sleepers counts who sleeps for it.
func (w *waiter) wait(value *atomic.Uint64, old uint64, sleepers *atomic.Uint32) error {
	for range 64 {
		if value.Load() != old {
			return nil
		}
	}
	nap, err := w.patience()
	if err != nil || nap == 0 {
		return err
	}
	sleepers.Add(1)
	if value.Load() == old {
		sleep(value, old, nap)
	}
	sleepers.Add(^uint32(0))
	return nil
}
