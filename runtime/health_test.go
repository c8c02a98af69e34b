package runtime

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"llmc/engine"
)

func TestHealthAfterFailuresInARow(t *testing.T) {
	synctest.Test(t, testFailuresInARow)
}

func testFailuresInARow(t *testing.T) {
	m := newEcho()
	broken := true
	m.before = func(int, *engine.Step, []engine.Sampled) error {
		if broken {
			return errors.New("device lost")
		}
		return nil
	}
	e := start(t, m, Options{})
	for range failuresInRow {
		if err := e.Health(); err != nil {
			t.Fatalf("too early: %v", err)
		}
		finished(t, submit(t, e, scriptText("a")))
		synctest.Wait() // a failure is counted after its events have been put
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "device lost") {
		t.Errorf("health: %v", err)
	}
	broken = false
	finished(t, submit(t, e, scriptText("a")))
	synctest.Wait()
	if err := e.Health(); err != nil {
		t.Errorf("health after a good step: %v", err)
	}
}

func TestHealthOfAHangingStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, gate := held(t, newEcho(), Options{StallAfter: time.Minute})
		time.Sleep(time.Hour)
		if err := e.Health(); err != nil {
			t.Errorf("idle: %v", err)
		}
		g := submit(t, e, scriptText("a"))
		time.Sleep(59 * time.Second)
		if err := e.Health(); err != nil {
			t.Errorf("slow: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := e.Health(); err == nil || err.Error() != "a step has been running for 1m1s" {
			t.Errorf("hanging: %v", err)
		}
		close(gate)
		finished(t, g)
		synctest.Wait()
		if err := e.Health(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// Health and Stats answer while something hangs with the engine's lock held, and Health says so.
func TestHealthTakesNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held, gate := held(t, newEcho(), Options{StallAfter: time.Minute})
		g := submit(t, held, scriptText("a"))
		time.Sleep(time.Minute)
		if err := held.Health(); err != nil {
			t.Errorf("within the limit: %v", err)
		}
		held.mu.Lock()
		time.Sleep(time.Second)
		if err := held.Health(); err == nil {
			t.Error("a step that hangs is healthy")
		}
		if s := held.Stats(); s.Running != 1 {
			t.Errorf("%+v", s)
		}
		held.mu.Unlock()
		close(gate)
		finished(t, g)
		synctest.Wait()
		if err := held.Health(); err != nil {
			t.Errorf("after the step: %v", err)
		}
	})
}
