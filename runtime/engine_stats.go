package runtime

import (
	"errors"
	"fmt"
	"time"

	"llmc/runtime/sched"
)

// Stats describes an engine at one moment. Counters only grow.
type Stats struct {
	sched.Stats
	PageSize         int
	Steps, Failures  uint64        // steps, and those of them that failed
	DeviceTime       time.Duration // of all steps
	HostTime         time.Duration // of scheduling and handing out, of all steps
	LastStep         time.Time     // end of the last good step; zero: there was none
	Draining, Closed bool
}

// KVUsage returns the share of the KV pages that requests hold, 0 to 1.
func (s *Stats) KVUsage() float64 { return float64(s.PagesHeld) / float64(s.Pages) }

// Stats returns the present figures.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	s := Stats{Stats: e.sched.Stats(), Draining: e.draining, Closed: e.closed}
	e.mu.Unlock()
	s.PageSize = e.limits.PageSize
	s.Steps, s.Failures = e.steps.Load(), e.failures.Load()
	s.DeviceTime, s.HostTime = time.Duration(e.deviceTime.Load()), time.Duration(e.hostTime.Load())
	if at := e.lastStep.Load(); at != 0 {
		s.LastStep = time.Unix(0, at)
	}
	return s
}

// failuresInRow is how many steps in a row may fail before the engine calls itself unhealthy. It goes on trying.
const failuresInRow = 3

var errClosed = errors.New("engine is closed")

// Health returns why the engine can not serve; nil while it is idle or makes progress.
func (e *Engine) Health() error {
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return errClosed
	}
	if gone := e.gone.Load(); gone != nil {
		return *gone
	}
	if at := e.stepStarted.Load(); at != 0 {
		if took := time.Duration(e.age(e.options.Now()) - at); took > e.options.StallAfter {
			return fmt.Errorf("a step has been running for %v", took.Round(time.Second))
		}
	}
	if n := e.streak.Load(); n >= failuresInRow {
		return fmt.Errorf("the last %d steps failed: %w", n, *e.lastFailure.Load())
	}
	return nil
}

// age returns nanoseconds since the engine was made, from 1 on. They come from the monotonic clock: one that is set anew, an hour on or back, makes no step look stuck.
func (e *Engine) age(at time.Time) int64 { return max(1, int64(at.Sub(e.born))) }
