package runtime

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"llmc/engine"
)

// run is the loop goroutine.
func (e *Engine) run() {
	defer close(e.done)
	for e.await() {
		e.step()
	}
	e.mu.Lock()
	e.sched.AbortAll()
	e.outputs = e.sched.TakeOutputs(e.outputs[:0])
	e.mu.Unlock()
	e.deliver()
}

// await waits for work. It returns false when the engine is closed.
func (e *Engine) await() bool {
	for {
		e.mu.Lock()
		work, closed := e.sched.HasWork(), e.closed
		e.mu.Unlock()
		if closed || work {
			return !closed
		}
		<-e.wake
	}
}

// step schedules, computes and hands out one step.
func (e *Engine) step() {
	started := e.options.Now()
	st := e.schedule(started)
	e.deliver() // what ended before it came into the step
	if st.T() == 0 {
		return
	}
	e.stepStarted.Store(started.UnixNano())
	tokens, out := st.T(), e.out[:len(st.Rows)]
	computing := e.options.Now()
	e.lastErr = e.compute(st, out)
	computed := e.options.Now()
	if errors.Is(e.lastErr, engine.ErrDeviceLost) {
		e.lose(e.lastErr)
	}
	e.complete(out)
	e.deliver()
	e.stepStarted.Store(0)
	ended := e.options.Now()
	e.record(tokens, computed.Sub(computing), ended.Sub(started)-computed.Sub(computing), ended)
}

func (e *Engine) schedule(now time.Time) *engine.Step {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.options.PreemptEvery; n > 0 && e.steps.Load()%uint64(n) == uint64(n)-1 {
		e.sched.Preempt(1)
	}
	st := e.sched.Schedule(now)
	e.outputs = e.sched.TakeOutputs(e.outputs[:0])
	return st
}

// compute runs the device. A panic in it is an error like any other.
func (e *Engine) compute(st *engine.Step, out []engine.Sampled) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.options.Log.Error("panic in a step", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in a step: %v", p)
		}
	}()
	for i := range out {
		out[i] = engine.Sampled{Token: -1, Top: out[i].Top[:0]} // a row that the device forgets is no token
	}
	return e.model.Step(st, out)
}

func (e *Engine) complete(out []engine.Sampled) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lastErr != nil {
		e.sched.Fail()
	} else {
		e.sched.Complete(out)
	}
	if e.gone.Load() != nil {
		e.sched.AbortAll()
	}
	e.outputs = e.sched.TakeOutputs(e.outputs[:0])
}

// record keeps count of a step.
func (e *Engine) record(tokens int, device, host time.Duration, now time.Time) {
	e.steps.Add(1)
	e.deviceTime.Add(int64(device))
	e.hostTime.Add(int64(host))
	if e.lastErr != nil {
		e.recordFailure(e.lastErr, tokens)
	} else {
		e.streak.Store(0)
		e.lastStep.Store(now.UnixNano())
	}
	if o := e.options.Observer; o != nil {
		o.Step(tokens)
	}
	if e.timer != nil {
		e.timer.StepTimes(device, host)
	}
}

func (e *Engine) recordFailure(err error, tokens int) {
	e.failures.Add(1)
	e.lastFailure.Store(&err)
	e.streak.Add(1)
	e.options.Log.Error("step failed", "err", err, "tokens", tokens)
}
