package gpu

import (
	"errors"
	"fmt"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/runtime/device/limits"
	"llmc/runtime/sample"
)

// Model is a plan loaded on a driver. It implements engine.Model and engine.Tracer.
type Model struct {
	driver   Driver
	info     engine.ModelInfo
	program  *engine.Program
	limits   limits.Limits
	pool     *pool
	slots    []Memory
	arrays   arrays
	launches []launch
	copier   *copier // nil where the program has no code for it
	buckets  []int   // sizes of steps, ascending
	pad      bool    // every step to its bucket
	padded   engine.Step
	sampler  *sample.Sampler
	logits   []float32 // of a row whose request does not ask for them
	rowBytes []byte
	visit    func(launch int) error // after each launch when set; see Trace
	closed   bool
}

// Load binds the program of the plan that fits the driver's card best, or settings.Target's; see Choose. The model owns the driver.
func Load(plan *engine.Plan, driver Driver, settings engine.Settings) (*Model, error) {
	m := &Model{driver: driver, info: plan.Info()}
	if err := m.load(plan, settings); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Model) load(plan *engine.Plan, settings engine.Settings) error {
	if settings.PageSize == 0 {
		settings.PageSize = limits.DefaultPageSize
	}
	card := m.driver.Card()
	var err error
	if m.program, err = Choose(plan, card, settings.Target, settings.PageSize); err != nil {
		return err
	}
	settings.Target = m.program.Target
	weights, err := weightBytes(plan, m.program)
	if err != nil {
		return err
	}
	if m.pool, err = newPool(m.program.Caches, settings.PageSize); err != nil {
		return err
	}
	request := limits.Request{Settings: settings, Info: &m.info, TokenBytes: m.pool.pageBytes / int64(settings.PageSize),
		Threads: 1, Memory: card.Memory - weights}
	if m.limits, err = request.Fill(); err != nil {
		return err
	}
	if m.limits.PageSize%16 != 0 {
		return fmt.Errorf("page size is %d: must be a multiple of 16", m.limits.PageSize)
	}
	m.buckets = m.program.Buckets(m.limits.MaxStepTokens)
	if m.pool.mem, err = m.driver.Alloc("KV pages", m.pool.pageBytes*int64(m.limits.Pages)); err != nil {
		return err
	}
	if err := m.takeMemory(); err != nil {
		return err
	}
	m.sampler, m.logits, m.rowBytes = sample.New(m.info.Vocab), make([]float32, m.info.Vocab), make([]byte, 4*m.info.Vocab)
	return m.bind(plan)
}

// takeMemory allocates activations and the step's arrays for the largest step.
func (m *Model) takeMemory() error {
	l := &m.limits
	env := sym.Bind(int64(l.MaxStepTokens), int64(l.MaxSequences), int64(l.MaxRows), int64(l.MaxContext))
	for i, slot := range m.program.Slots {
		bytes, err := slot.Eval(env)
		if err != nil {
			return err
		}
		mem, err := m.driver.Alloc(fmt.Sprintf("activations %d", i), bytes)
		if err != nil {
			return err
		}
		m.slots = append(m.slots, mem)
	}
	return m.arrays.take(m.driver, l, m.program)
}

// Limits implements engine.Model.
func (m *Model) Limits() (engine.Settings, int) { return m.limits.Settings, m.limits.Pages }

// Step implements engine.Model.
func (m *Model) Step(step *engine.Step, out []engine.Sampled) error {
	if m.closed {
		return errors.New("the model is closed")
	}
	if err := m.limits.Check(step, out); err != nil {
		return err
	}
	run := step
	if m.pad && step.T() > 0 {
		run, _ = m.Padded(step)
	}
	if err := m.arrays.write(run); err != nil {
		return err
	}
	env := sym.Bind(int64(run.T()), int64(run.B()), int64(len(run.Rows)), 0)
	for i := range m.launches {
		if err := m.launches[i].queue(m.driver, env); err != nil {
			return err
		}
		if m.visit != nil {
			if err := errors.Join(m.driver.Finish(), m.visit(i)); err != nil {
				return err
			}
		}
	}
	if err := m.driver.Finish(); err != nil {
		return err
	}
	return m.sample(step, out)
}

// sample chooses the tokens of the step's rows on the host.
func (m *Model) sample(step *engine.Step, out []engine.Sampled) error {
	b := &m.program.Buffers[m.program.Logits]
	for i := range step.Rows {
		if err := m.slots[b.Slot].Read(b.Offset+int64(i)*b.Stride, m.rowBytes); err != nil {
			return err
		}
		decodeFloats(m.logits, m.rowBytes)
		_ = m.sampler.Sample(&step.Rows[i], m.logits, &out[i]) // no choice is the token -1, for which the sequence is ended
	}
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
