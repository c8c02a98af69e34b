package runtime

import (
	"fmt"
	"runtime/debug"
	"time"

	"llmc/engine"
	"llmc/runtime/sched"
)

// flight is a step that the device has been given. There are at most two: on a device that takes a step while it works on another, the second is
// scheduled before the first is done, so that the device never waits for the host.
type flight struct {
	step      *engine.Step
	shown     []sched.Shown // parts of images in it
	out       []engine.Sampled
	tokens    int
	sequences int
	prompts   bool      // it takes in prompts
	answering bool      // somebody gets the next token from it, not the first
	begun     time.Time // when the device could begin: when it was started, or when the one before was done
	host      time.Duration
	refused   error // it was not started
}

// launch gives a step to the device. Scheduling it began at since.
func (e *Engine) launch(st *engine.Step, since time.Time) {
	f := &e.memory[e.launched%len(e.memory)]
	e.launched++
	if cap(f.out) < len(st.Rows) {
		f.out = make([]engine.Sampled, e.limits.MaxRows)
	}
	*f = flight{step: st, out: f.out[:len(st.Rows)], tokens: st.T(), sequences: st.B(), prompts: st.T() > len(st.Rows) || st.Encodes(), answering: answers(st)}
	if e.painter != nil {
		f.shown = e.sched.Shown(st) // which only the loop changes
		f.tokens += e.painter.tokens(f.shown)
	}
	if st.Encodes() {
		f.tokens += st.Encode.T()
	}
	for i := range f.out {
		f.out[i] = engine.Sampled{Token: -1, Top: f.out[i].Top[:0]} // a row that the device forgets is no token
	}
	f.refused = e.copyPages()
	e.joules.begin()
	if e.starter != nil && f.refused == nil {
		f.refused = e.guard(func() error {
			if err := e.show(f); err != nil {
				return err
			}
			return e.starter.Start(st, f.out)
		})
	}
	f.begun = e.options.Now()
	f.host = f.begun.Sub(since)
	e.flights = append(e.flights, f)
}

// answers tells whether all tokens of some sequence are followed by a sampled one, as those of prompts are not but for one of a single token.
func answers(st *engine.Step) bool {
	row := 0
	for b := range st.B() {
		from := row
		for row < len(st.Rows) && st.Rows[row].Token < st.SeqStart[b+1] {
			row++
		}
		if row-from == int(st.SeqStart[b+1]-st.SeqStart[b]) {
			return true
		}
	}
	return false
}

// copyPages makes the copies that the next step needs.
func (e *Engine) copyPages() error {
	if len(e.copies) == 0 {
		return nil
	}
	copies := e.copies
	e.copies = e.copies[:0]
	return e.guard(func() error {
		for _, c := range copies {
			if err := e.model.CopyPage(c.To, c.From); err != nil { // who else holds such pages is not known
				return fmt.Errorf("%w: a page could not be copied: %w", engine.ErrDeviceLost, err)
			}
		}
		return nil
	})
}

// land waits for the oldest step in flight.
func (e *Engine) land() (*flight, error) {
	f := e.flights[0]
	e.flights = append(e.flights[:0], e.flights[1:]...)
	switch {
	case f.refused != nil:
		return f, f.refused
	case e.starter != nil:
		return f, e.guard(e.starter.Wait)
	}
	return f, e.guard(func() error {
		if err := e.show(f); err != nil {
			return err
		}
		return e.compute(f.step, f.out)
	})
}

// show puts the rows of images that a step takes in into it, right before the device is given it.
func (e *Engine) show(f *flight) error {
	if e.painter == nil {
		return nil
	}
	return e.painter.show(f.step, f.shown)
}

// guard makes a panic in the device an error like any other.
func (e *Engine) guard(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.options.Log.Error("panic in a step", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in a step: %v", p)
		}
	}()
	return call()
}
