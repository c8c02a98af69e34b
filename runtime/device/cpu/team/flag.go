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
func (f *flag) await(old uint32, spins int) {
	for range spins {
		if spin(&f.value, old) {
			break
		}
		yield() // the one that we wait for may be queued behind us
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
