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

// wait waits a moment for value to be other than old; sleepers counts who sleeps for it. It fails when nothing has come for the timeout.
func (w *waiter) wait(value *atomic.Uint64, old uint64, sleepers *atomic.Uint32) error {
	if w.rounds == 0 {
		w.last = time.Now()
	}
	w.rounds++
	for range 64 {
		if value.Load() != old {
			return nil
		}
	}
	now := time.Now()
	w.waited, w.last = w.waited+min(now.Sub(w.last), 2*longNap), now
	if w.waited < spinFor {
		runtime.Gosched() // the other side may be a goroutine that waits for this processor, or a thread
		yield()
		return nil
	}
	if w.timeout > 0 && w.waited > w.timeout {
		return fmt.Errorf("nothing has come for %v", w.timeout)
	}
	nap := shortNap
	if w.naps++; w.naps > napsBefore {
		nap = longNap
	}
	sleepers.Add(1)
	if value.Load() == old {
		sleep(value, old, nap)
	}
	sleepers.Add(^uint32(0))
	return nil
}
