package runtime

import (
	"errors"
	"time"

	"llmc/engine"
)

// run is the loop goroutine.
func (e *Engine) run() {
	defer close(e.done)
	for e.await() {
		e.step()
	}
	for len(e.flights) > 0 {
		e.finish()
	}
	e.mu.Lock()
	e.sched.AbortAll()
	e.publish()
	e.outputs = e.sched.TakeOutputs(e.outputs[:0])
	e.mu.Unlock()
	e.deliver()
	e.joules.close()
}

// await waits for work. It returns false when the engine is closed; steps may be in flight then.
func (e *Engine) await() bool {
	for {
		e.mu.Lock()
		work, closed := e.sched.HasWork(), e.closed.Load()
		e.mu.Unlock()
		if closed || work {
			return !closed
		}
		e.turn.Store(0)
		e.joules.waits()
		e.rest.Wait(e.wake, e.relieve)
	}
}

// step schedules a step if none is in flight, another one ahead where that can be, and hands out what the older of them gives.
func (e *Engine) step() {
	e.rest.Worked()
	e.turn.Store(e.age(e.options.Now()))
	if len(e.flights) == 0 {
		now := e.options.Now()
		e.propose()
		st := e.schedule(now)
		e.deliver() // what ended before it came into the step
		if st.T() == 0 {
			return
		}
		e.launch(st, now)
	}
	if e.starter != nil && e.starter.Foresees() && !e.preempts() && !e.drafter.waits() {
		now := e.options.Now()
		st := e.ahead(now)
		e.deliver()
		if st != nil {
			e.launch(st, now)
		}
	}
	e.finish()
}

// finish waits for the oldest step in flight and hands out what it gives.
func (e *Engine) finish() {
	var f *flight
	f, e.lastErr = e.land()
	landed := e.options.Now()
	if errors.Is(e.lastErr, engine.ErrDeviceLost) {
		e.lose(e.lastErr)
	}
	e.joules.step(e.sched, f.tokens, landed.Sub(f.begun), landed)
	e.out = f.out
	e.complete(f, landed.Sub(f.begun))
	e.tellCache()
	if e.lastErr == nil {
		e.drafter.learn(f.tokens, landed.Sub(f.begun))
	}
	e.deliver()
	if len(e.flights) > 0 {
		e.flights[0].begun = landed
	}
	ended := e.options.Now()
	e.record(f, landed.Sub(f.begun), f.host+ended.Sub(landed), ended)
}

func (e *Engine) schedule(now time.Time) *engine.Step {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.preempts() {
		e.sched.Preempt(1)
	}
	st := e.sched.Schedule(now)
	e.copies = e.sched.TakeCopies(e.copies[:0])
	e.publish()
	e.adapters.count(st)
	e.outputs = e.sched.TakeOutputs(e.outputs[:0])
	return st
}

// preempts tells whether the step after those in flight begins with a preemption.
func (e *Engine) preempts() bool {
	n := e.options.PreemptEvery
	return n > 0 && (int(e.steps.Load())+len(e.flights))%n == n-1
}

// ahead schedules the step behind the one in flight; nil: that has to be done first.
func (e *Engine) ahead(now time.Time) *engine.Step {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed.Load() || e.gone.Load() != nil {
		return nil
	}
	st := e.sched.Ahead(now)
	e.publish()
	e.adapters.count(st)
	e.outputs = e.sched.TakeOutputs(e.outputs[:0])
	return st
}

func (e *Engine) complete(f *flight, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lastErr != nil {
		e.sched.Fail()
	} else {
		e.pace.observe(f.tokens, f.answering, took.Seconds())
		e.sched.Complete(f.out)
		for _, p := range e.held {
			p.find()
		}
	}
	if e.gone.Load() != nil {
		e.sched.AbortAll()
	}
	e.publish()
	e.outputs = e.sched.TakeOutputs(e.outputs[:0])
}

// tellCache tells what the step has done to the prefix cache.
func (e *Engine) tellCache() {
	tell := e.options.CacheEvents
	if tell == nil {
		return
	}
	e.mu.Lock()
	events := e.sched.TakeCacheEvents()
	e.mu.Unlock()
	if len(events) > 0 {
		tell(events)
	}
}

// record keeps count of a step.
func (e *Engine) record(f *flight, device, host time.Duration, now time.Time) {
	e.steps.Add(1)
	e.deviceTime.Add(int64(device))
	e.hostTime.Add(int64(host))
	if e.lastErr != nil {
		e.recordFailure(e.lastErr, f.tokens)
	} else {
		e.streak.Store(0)
		e.lastStep.Store(now.UnixNano())
	}
	if o := e.options.Observer; o != nil {
		o.Step(StepFacts{Tokens: f.tokens, Sequences: f.sequences, Prompts: f.prompts, Failed: e.lastErr != nil, Device: device, Host: host})
	}
}

func (e *Engine) recordFailure(err error, tokens int) {
	e.failures.Add(1)
	e.lastFailure.Store(&err)
	e.streak.Add(1)
	e.options.Log.Error("step failed", "err", err, "tokens", tokens)
}
