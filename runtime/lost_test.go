package runtime

import (
	"errors"
	"fmt"
	"testing"

	"llmc/engine"
)

// TestLostDevice wants everybody to be told, in the step and waiting, nobody to be admitted, and the reason to be known.
func TestLostDevice(t *testing.T) { bothWays(t, testLostDevice) }

func testLostDevice(t *testing.T, newEcho func() *echo) {
	m := newEcho()
	m.limits.MaxSequences, m.limits.MaxRows = 1, 1
	begun := make(chan struct{})
	m.before = func(step int, _ *engine.Step, _ []engine.Sampled) error {
		if step < 3 {
			return nil
		}
		<-begun
		return fmt.Errorf("%w: illegal address", engine.ErrDeviceLost)
	}
	e := start(t, m, Options{})
	running, waiting := submit(t, e, scriptText("hello")), submit(t, e, scriptText("later"))
	close(begun)
	for i, g := range []Generation{running, waiting} {
		r := read(t, g)
		if r.last.Finish != FinishError || !errors.Is(r.last.Err, engine.ErrDeviceLost) {
			t.Errorf("request %d ended with %+v", i, r.last)
		}
	}
	<-e.Lost()
	if err := e.Health(); !errors.Is(err, engine.ErrDeviceLost) {
		t.Errorf("health: %v", err)
	}
	if _, err := e.Submit(t.Context(), scriptText("more")); !errors.Is(err, ErrDraining) {
		t.Errorf("submitting: %v", err)
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Errorf("draining: %v", err)
	}
}
