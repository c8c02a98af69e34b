package cpu

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/runtime/device/cpu/kernel"
	"llmc/runtime/device/cpu/team"
	"llmc/runtime/device/limits"
	"llmc/runtime/sample"
)

// model is a plan loaded on the CPU: one program bound to its memory.
type model struct {
	plan       *engine.Plan
	info       *engine.ModelInfo
	program    *engine.Program
	settings   limits.Limits
	set        *kernel.Set
	team       *team.Team
	leave      func() // the team, which all models with as many threads share
	arena      region
	views      []view
	kv         *kvPool
	ropes      []*ropeTable
	attentions []*attention
	parts      []float32 // of attention; see attentionParts
	turns      []*turning
	gathered   gathered // of products with experts
	runners    []runner
	sampler    *sampler
	state      state
	work       func(worker int)
	observe    func(launch int) // worker 0 calls it after each launch when set; see Trace
}

// state is what one step's launches share.
type state struct {
	step    *engine.Step
	out     []engine.Sampled
	env     sym.Env
	workers int
	scratch []*kernel.Scratch // one per worker, as turn
	turn    []turnState
	failure atomic.Pointer[error]
}

// rowsOf counts the rows of a launch's result in a step.
type rowsOf struct{ dim sym.Dim }

func rowsOfBuffer(b *binding, role string) rowsOf {
	return rowsOf{b.m.program.Buffers[b.operand(role).Index].Rows}
}

func (r rowsOf) count(s *state) int {
	n, _ := r.dim.Eval(s.env)
	return int(n)
}

func (m *model) Limits() (engine.Settings, int) { return m.settings.Settings, m.settings.Pages }

func (m *model) CopyPage(dst, src int32) error { return m.kv.copyPage(dst, src) }

// Step runs one forward pass. A fault in a kernel fails the step, not the process.
func (m *model) Step(step *engine.Step, out []engine.Sampled) error {
	if m.team == nil {
		return errClosed
	}
	if err := m.settings.Check(step, out); err != nil {
		return err
	}
	s := &m.state
	s.step, s.out = step, out
	s.env = step.Sizes()
	s.failure.Store(nil)
	for _, a := range m.attentions {
		a.next.Store(0)
	}
	m.team.Run(m.work)
	s.step, s.out = nil, nil
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	sample.Accept(step.Drafts, out)
	return nil
}

// runStep is one worker's part of a step. After a failure the workers still meet at every barrier, so that none waits for ever.
func (m *model) runStep(worker int) {
	s := &m.state
	for _, r := range m.ropes {
		m.guard(r, worker)
	}
	for i, r := range m.runners {
		if m.program.Launches[i].Sync || i == 0 {
			m.team.Barrier(worker)
		}
		if s.failure.Load() == nil {
			m.guard(r, worker)
		}
		if m.observe != nil {
			m.team.Barrier(worker)
			if worker == 0 {
				m.observe(i)
			}
			m.team.Barrier(worker)
		}
	}
	m.team.Barrier(worker)
	if s.failure.Load() == nil {
		m.guard(m.sampler, worker)
	}
}

// guard runs one launch and turns a panic into the step's failure.
func (m *model) guard(r runner, worker int) {
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("cpu kernel failed: %v\n%s", p, debug.Stack())
			m.state.failure.CompareAndSwap(nil, &err)
		}
	}()
	r.run(&m.state, worker)
}

var errClosed = errors.New("the model is closed")

func (m *model) Close() error {
	if m.team == nil {
		return errors.Join(errClosed, m.release())
	}
	m.leave()
	m.team = nil
	return m.release()
}

func (m *model) release() error {
	errs := []error{m.arena.release(), m.gathered.release()}
	if m.kv != nil {
		errs = append(errs, m.kv.mem.release())
	}
	for _, t := range m.turns {
		for i := range t.scratch {
			errs = append(errs, t.scratch[i].pages.release())
		}
	}
	return errors.Join(errs...)
}
