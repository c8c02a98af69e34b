package team

import (
	"sync/atomic"
	"time"
)

// flag is a counter with one writer, for which workers wait. It has its cache lines for itself.
type flag struct {
	value    atomic.Uint32
	sleepers atomic.Int32
	_        linePad
}

// raise counts up and wakes whoever sleeps.
func (f *flag) raise() {
	f.value.Store(f.value.Load() + 1)
	// Sleepers announce themselves before they look at value a last time, so either this sees them or they see the new value.
	if f.sleepers.Load() > 0 {
		wakeAll(&f.value)
	}
}

// await returns once the counter is no longer old.
func (f *flag) await(old uint32, w *worker) {
	for range w.spins {
		if spin(&f.value, old) || w.naps > 0 {
			break
		}
		w.yield() // the one that we wait for may be queued behind us
	}
	if w.naps > 0 && f.value.Load() == old {
		w.naps--
		for n := 0; n < maxNaps && f.value.Load() == old; n++ {
			f.nap(old)
		}
	}
	if f.value.Load() != old { // in Go, where the race detector sees it
		return
	}
	f.sleepers.Add(1)
	for f.value.Load() == old {
		sleep(&f.value, old)
	}
	f.sleepers.Add(-1)
}

// nap sleeps for a moment, or until the counter is raised.
func (f *flag) nap(old uint32) {
	f.sleepers.Add(1)
	if f.value.Load() == old {
		nap(&f.value, old)
	}
	f.sleepers.Add(-1)
}

// worker is how one worker waits.
type worker struct {
	spins int // rounds before sleeping
	naps  int // waits in which it sleeps for moments rather than yields
}

// A thread that yields forfeits, on kernels that schedule by deadlines (Linux since 6.6, all the more since 6.18), what it had left of its slice, milliseconds, and one that yields
// at every barrier of a step is in debt for hundreds of them as soon as anybody else has work: it was seen to get no processor for 1.4 s. So a worker that notices others on its
// processor, because a yield takes long, sleeps instead for a while: that lets them run too, and costs some 10 us a barrier instead of a slice.
const (
	contended    = 2 * time.Millisecond // a yield that takes longer has let others run for a slice
	crowdedWaits = 64                   // long waits before yielding is tried again
	maxNaps      = 50                   // in one wait, before the worker gives up its place in Go's scheduler too
)

// yield lets another thread have the processor, and notes whether one took it for long.
func (w *worker) yield() {
	begun := time.Now()
	yield()
	if time.Since(begun) > contended {
		w.naps = crowdedWaits
	}
}

// spinTime is how long to wait before sleeping: longer than the gaps between steps and most waits at barriers, far below what
// anybody notices as load. Waking a sleeper costs some 10 us.
const spinTime = 100 * time.Microsecond

// spinRounds returns how many calls of spin take spinTime: a PAUSE is 10 to 170 ns, depending on the processor.
func spinRounds() int {
	var never atomic.Uint32
	const calls = 4
	best := time.Duration(1<<63 - 1)
	for range 3 { // the fastest: others were interrupted
		start := time.Now()
		for range calls {
			spin(&never, 0)
		}
		best = min(best, time.Since(start))
	}
	return max(1, int(spinTime*calls/max(best, 1)))
}
