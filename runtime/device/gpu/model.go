package gpu

import (
	"errors"
	"fmt"
	"sync"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/runtime/device/limits"
	"llmc/runtime/sample"
)

// Model is a plan loaded on a driver. It implements engine.Model and engine.Tracer.
type Model struct {
	*function // that the plan is for: see engine.Plan.Main

	functions []*function // all of them, in the order of the plan
	running   *function   // whose launches are being queued, for a step of these sizes
	sizes     sym.Env

	driver   Driver
	info     engine.ModelInfo
	limits   limits.Limits
	taken    *MemoryPlan
	pool     *pool
	adapters adapters
	peers    peers
	stage    stage
	sampling sampling
	persist  persistentChoice
	begin    *auxiliary // nil where the program has no code for it
	copyList Memory     // nil where the program has no code that copies pages
	copier   *auxiliary // likewise
	flights  []*flight  // steps that have been started, oldest first
	memory   [2]flight  // of flights, in turn
	started  int
	buckets  []int // sizes of steps, ascending
	padTo    int   // tokens of the longest step that is made as long as its bucket
	padded   engine.Step
	replay   replay
	sampler  *sample.Sampler
	logits   []float32 // of a row whose request does not ask for them
	rowBytes []byte
	visit    func(launch int) error // after each launch, or the beginning, has been queued when set; see Trace and Profile
	clock    Timer                  // takes the times around the launches of a step when set; see TimeSteps
	plan     *engine.Plan
	turn     sync.Mutex // of who uses the driver: steps and copies of pages, or an adapter that is being loaded
	closed   bool
}

// Load binds the program of the plan that fits the driver's card best, or settings.Target's; see Choose. The model owns the driver.
func Load(plan *engine.Plan, driver Driver, settings engine.Settings) (*Model, error) {
	m := &Model{driver: driver, info: plan.Info(), plan: plan}
	if err := m.load(plan, settings); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// load plans first. While the weights are on their way, the rest is taken and everything that a step wants is made.
func (m *Model) load(plan *engine.Plan, settings engine.Settings) error {
	card := m.driver.Card()
	programs, cut, err := choose(plan, card, settings, m.stage.number)
	if err != nil {
		return err
	}
	m.stage.Stage = cut
	m.setFunctions(programs)
	if settings.Drafts > 0 && m.program.KeepsState() {
		return engine.ErrNoDrafts
	}
	setPageSize(&settings, m.program)
	settings.Target = m.program.Target
	if m.taken, err = PlanMemory(plan, programs, card, settings); err != nil {
		return err
	}
	if err := m.peers.leastPages(m.taken); err != nil {
		return err
	}
	if m.pool, err = newPool(m.program, settings.PageSize); err != nil {
		return err
	}
	m.limits = m.taken.Limits
	whole := m.program
	if cut != nil { // all stages run steps of one size
		whole = cut.Whole
	}
	m.buckets = whole.Buckets(m.limits.MaxStepTokens)
	m.sampler, m.logits, m.rowBytes = sample.New(m.info.Vocab), make([]float32, m.info.Vocab), make([]byte, 4*m.info.Vocab)
	for _, f := range m.functions {
		if f.types, err = typesOf(plan, f.program); err != nil {
			return err
		}
	}
	upload, err := m.sendWeights(plan, heldBy(programs))
	if err != nil {
		return err
	}
	if err := m.prepare(plan, upload); err != nil {
		return err
	}
	if err := upload.Wait(); err != nil {
		return err
	}
	if err := m.join(); err != nil {
		return err
	}
	if err := m.peers.wait(); err != nil {
		return err
	}
	return m.warmUp()
}

// prepare does what needs the addresses of the weights alone.
func (m *Model) prepare(plan *engine.Plan, weights Upload) error {
	if err := m.takeWork(); err != nil {
		return err
	}
	// Code comes before the pages: how much it takes is not planned, and who wants all memory for pages is told about them.
	code, err := m.peers.afterFirst(func() (Code, error) { return m.loadCode(plan) })
	if err != nil {
		return fmt.Errorf("code of target %s: %w", m.program.Target, err)
	}
	if err := m.takePool(); err != nil {
		return err
	}
	if err := m.peers.meet(m.driver); err != nil {
		return err
	}
	if err := m.bind(code, weights); err != nil {
		return err
	}
	return m.recordSteps()
}

// takeMemory allocates activations, then the step's arrays, for the largest step. Memory of the device is taken nowhere else, or it is not planned.
func (m *Model) takeMemory(a allocator) error {
	l := &m.limits
	if err := takeSlots(a, m.functions, largest(l)); err != nil {
		return err
	}
	m.sampling.find(m.program, l.Vocab)
	if err := m.adapters.find(m.plan, m.program, l); err != nil {
		return err
	}
	for _, f := range m.functions {
		sampling, adapters := &m.sampling, &m.adapters
		if f != m.function {
			sampling, adapters = nil, nil
		}
		if err := f.arrays.take(a, l, f.program, sampling, adapters); err != nil {
			return err
		}
	}
	if err := m.sampling.take(a, l, m.arrays.memory); err != nil {
		return err
	}
	if err := m.peers.take(a, m.functions, l); err != nil {
		return err
	}
	if err := m.takeTasks(a); err != nil {
		return err
	}
	if err := m.takeCopyList(a); err != nil {
		return err
	}
	return m.adapters.take(a, l)
}

// Limits implements engine.Model.
func (m *Model) Limits() (engine.Settings, int) { return m.limits.Settings, m.limits.Pages }

// beginning is what the launch that begins a step is called where others have their number.
const beginning = -1

// queue queues the launches of a step of the given sizes, in which rows want what flags say.
func (m *Model) queue(env sym.Env, flags uint32) error {
	if m.begin != nil {
		if err := m.queueBeginning(env); err != nil {
			return err
		}
		if m.visit != nil {
			if err := m.visit(beginning); err != nil {
				return err
			}
		}
	}
	first := 0
	if p := m.persist.now; p != nil {
		if err := m.driver.Launch(&p.call); err != nil {
			return fmt.Errorf("launch %s: %w", p.Entry, err)
		}
		first = p.Launches
	}
	return m.queueFrom(m.function, first, env, flags)
}

// queueFrom queues the launches of a function from number first on.
func (m *Model) queueFrom(f *function, first int, env sym.Env, flags uint32) error {
	m.running, m.sizes = f, env
	for i := first; i < len(f.launches); i++ {
		if wanted := f.launches[i].flags; wanted != 0 && wanted&flags == 0 {
			continue
		}
		if err := m.queueLaunch(f, i, env); err != nil {
			return err
		}
		if m.visit != nil {
			if err := m.visit(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// readLogits copies a row's logits.
func (m *Model) readLogits(row int) error {
	b := &m.program.Buffers[m.program.Logits]
	if err := m.slots[b.Slot].Read(b.Offset+int64(row)*b.Stride, m.rowBytes); err != nil {
		return err
	}
	decodeFloats(m.logits, m.rowBytes)
	return nil
}

// Close gives everything back.
func (m *Model) Close() error {
	if m.closed {
		return nil
	}
	m.closed = true
	return m.driver.Close()
}
