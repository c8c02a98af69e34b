package cpu

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"llmc/engine"
	"llmc/engine/partition"
	"llmc/internal/sym"
	"llmc/runtime/device/cpu/kernel"
	"llmc/runtime/device/cpu/team"
	"llmc/runtime/device/limits"
	"llmc/runtime/sample"
)

// model is a plan loaded on the CPU: the programs of its functions, each bound to memory of its own, over one pool of KV pages.
type model struct {
	plan      *engine.Plan
	info      *engine.ModelInfo
	functions []*function
	main      *function // that the plan is for: see engine.Plan.Main
	running   *function
	settings  limits.Limits
	set       *kernel.Set
	team      *team.Team
	leave     func() // the team, which all models with as many threads share
	kv        *kvPool
	parts     []float32 // of attention; see attentionParts
	turns     []*turning
	gathered  gathered // of products with experts
	adapters  adapters
	state     state
	work      func(worker int)
	device    Device
	places    *places          // nil: all memory is as near
	split     *Split           // nil: this is the only rank
	steps     uint64           // run with other ranks
	told      []byte           // what the other ranks are told of a step
	together  sync.Mutex       // of who exchanges something with other ranks
	moved     []int            // bytes of a page, of each rank
	observe   func(launch int) // worker 0 calls it after each launch when set; see Trace
	part      *part            // of the launches that are run alone; nil: all are
}

// function is one program bound to its memory.
type function struct {
	program    *engine.Program
	arena      region
	views      []view
	ropes      []*ropeTable
	attentions []*attention
	runners    []runner
	partition  *partition.Program // nil: all of it is this rank's
	exchanges  []*exchange        // behind launches; nil: none
	sampler    *sampler           // of the function "step"; nil of others
	live       map[int][]int      // of launches before which a step has stopped: see kept
	soft       int                // numbers of a row that steps bring instead of tokens; 0: none
	inserts    int                // numbers of a row that steps may bring in place of a token's; 0: they bring none
	positions  int                // that a whole sequence may have, where there is a table of them; 0: as many as the context
}

// state is what one step's launches share.
type state struct {
	step    *engine.Step
	out     []engine.Sampled
	env     sym.Env
	workers int
	adapted bool              // some sequence has an adapter
	scratch []*kernel.Scratch // one per worker, as turn
	turn    []turnState
	failure atomic.Pointer[error]
}

// rowsOf counts the rows of a launch's result in a step.
type rowsOf struct {
	dim     sym.Dim
	experts *partition.Range // only rows at these
	offsets view             // where each expert's begin
}

func rowsOfBuffer(b *binding, role string) rowsOf {
	r := rowsOf{dim: b.f.program.Buffers[b.operand(role).Index].Rows}
	if part := b.part; part.Experts != nil {
		r.experts, r.offsets = part.Experts, b.f.views[part.Offsets]
	}
	return r
}

// span is the rows of a step that are computed.
func (r rowsOf) span(s *state) (first, end int) {
	n := r.count(s)
	if r.experts == nil {
		return 0, n
	}
	offsets := r.offsets.i32()
	first = min(n, int(offsets[r.experts.From]))
	return first, min(n, int(offsets[r.experts.To]))
}

// share is a worker's part of them.
func (r rowsOf) share(s *state, worker int) (lo, hi int) {
	first, end := r.span(s)
	lo, hi = share(end-first, worker, s.workers)
	return first + lo, first + hi
}

func (r rowsOf) count(s *state) int { return r.countIn(s.env) }

func (r rowsOf) countIn(env sym.Env) int {
	n, _ := r.dim.Eval(env)
	return int(n)
}

func (m *model) Limits() (engine.Settings, int) { return m.settings.Settings, m.settings.Pages }

// CopyPage implements engine.Model: each rank copies what it has of the page.
func (m *model) CopyPage(dst, src int32) error {
	m.together.Lock()
	defer m.together.Unlock()
	if err := m.announceCopy(dst, src); err != nil {
		return err
	}
	return m.kv.copyPage(dst, src)
}

// KeepsState implements engine.StateKeeper.
func (m *model) KeepsState() bool { return m.main.program.KeepsState() }

// Step runs one forward pass. A fault in a kernel fails the step, not the process.
func (m *model) Step(step *engine.Step, out []engine.Sampled) error {
	if m.team == nil {
		return errClosed
	}
	if m.main.sampler == nil {
		return fmt.Errorf("the plan has no function %s, it has %s", engine.StepFunc, strings.Join(m.Functions(), ", "))
	}
	if err := m.settings.Check(step, out); err != nil {
		return err
	}
	if err := m.adapters.check(step); err != nil {
		return err
	}
	if err := limits.CheckInserted(step, m.main.program.Func, m.main.inserts); err != nil {
		return err
	}
	if err := m.encodeTexts(step); err != nil {
		return err
	}
	if err := m.run(m.main, step, out); err != nil {
		return err
	}
	sample.Accept(step.Drafts, out)
	return nil
}

// run computes a function of a step that has been checked.
func (m *model) run(f *function, step *engine.Step, out []engine.Sampled) error {
	s := &m.state
	m.running, s.step, s.out = f, step, out
	s.env = step.Sizes()
	s.failure.Store(nil)
	for _, a := range f.attentions {
		a.next.Store(0)
	}
	m.adapters.begin(m, f)
	m.together.Lock()
	defer m.together.Unlock()
	if err := m.announce(f, step); err != nil {
		return err
	}
	m.team.Run(m.work)
	s.step, s.out = nil, nil
	if failure := s.failure.Load(); failure != nil {
		return m.failed(*failure)
	}
	return nil
}

// runStep is one worker's part of a step. After a failure the workers still meet at every barrier, so that none waits for ever.
func (m *model) runStep(worker int) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // which guard takes
	s, f := &m.state, m.running
	for _, r := range f.ropes {
		m.guard(r, worker)
	}
	exchanged := false
	first, last := m.bounds(f)
	for i := first; i < last; i++ {
		r := f.runners[i]
		if f.program.Launches[i].Sync || i == first || exchanged {
			m.team.Barrier(worker)
		}
		if s.adapted {
			m.runDown(r, worker)
		}
		if r != nil && s.failure.Load() == nil {
			m.guard(r, worker)
		}
		if exchanged = m.split != nil && f.exchanges[i] != nil; exchanged {
			m.team.Barrier(worker)
			if worker == 0 && s.failure.Load() == nil {
				m.guard(f.exchanges[i], worker)
			}
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
	if f.sampler != nil && m.part == nil && s.failure.Load() == nil {
		m.guard(f.sampler, worker)
	}
}

// guard runs one launch and turns a panic into the step's failure; one of weights that are not there any more ends the model's service.
func (m *model) guard(r runner, worker int) {
	defer func() {
		if p := recover(); p != nil {
			err := engine.Fault(p, m.files()...)
			if err == nil {
				err = fmt.Errorf("cpu kernel failed: %v\n%s", p, debug.Stack())
			}
			m.state.failure.CompareAndSwap(nil, &err)
		}
	}()
	r.run(&m.state, worker)
}

// files lists the plans whose mapped files launches read.
func (m *model) files() []*engine.Plan { return append([]*engine.Plan{m.plan}, m.adapters.loaded...) }

var errClosed = errors.New("the model is closed")

func (m *model) Close() error {
	if m.team == nil {
		return errors.Join(errClosed, m.release())
	}
	m.places.end()
	m.dismiss()
	m.leave()
	m.team = nil
	return m.release()
}

func (m *model) release() error {
	errs := []error{m.gathered.release()}
	for _, f := range m.functions {
		errs = append(errs, f.arena.release())
	}
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
