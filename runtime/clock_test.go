package runtime

import (
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"llmc/engine"
)

// setOn returns now as time.Now would, had the clock been set on by some seconds meanwhile: what the wall shows differs, what has passed does not. The fields are those of
// package time, whose wall has the seconds in bits 30 to 62 where there is a monotonic reading.
func setOn(t *testing.T, now time.Time, seconds int64) time.Time {
	t.Helper()
	set := now
	(*struct{ wall uint64 })(unsafe.Pointer(&set)).wall += uint64(seconds) << 30
	if set.Sub(now) != 0 || set.Unix()-now.Unix() != seconds {
		t.Skip("package time keeps its readings in another way")
	}
	return set
}

// A clock that is set an hour on, or back, while a step runs makes that step no step that hangs.
func TestClockJumps(t *testing.T) {
	for _, seconds := range []int64{3600, -3600} {
		var jump atomic.Int64
		m := newEcho()
		begun, end := make(chan struct{}), make(chan struct{})
		m.before = func(step int, _ *engine.Step, _ []engine.Sampled) error {
			if step == 1 {
				close(begun)
				<-end
			}
			return nil
		}
		e := start(t, m, Options{StallAfter: time.Minute, Now: func() time.Time { return setOn(t, time.Now(), jump.Load()) }})
		g := submit(t, e, scriptText("x"))
		<-begun
		jump.Store(seconds)
		if err := e.Health(); err != nil {
			t.Error(err)
		}
		close(end)
		read(t, g)
	}
}
