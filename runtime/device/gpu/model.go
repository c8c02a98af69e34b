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
	sampling sampling
	launches []launch
	copier   *copier // nil where the program has no code for it
	buckets  []int   // sizes of steps, ascending
	padTo    int     // tokens of the longest step that is made as long as its bucket
	padded   engine.Step
	replay   replay
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
	env := largest(l)
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
	if err := m.arrays.take(m.driver, l, m.program); err != nil {
		return err
	}
	return m.sampling.take(m.driver, l, m.program, m.arrays.memory)
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
	if m.pads(step) {
		run, _ = m.Padded(step)
	}
	if err := m.write(run); err != nil {
		return err
	}
	if err := m.run(run, run != step); err != nil {
		return err
	}
	if err := m.driver.Finish(); err != nil {
		return err
	}
	return m.sample(step, out)
}

// queue queues the launches of a step of the given sizes.
func (m *Model) queue(env sym.Env) error {
	for i := range m.launches {
		if flags := m.launches[i].flags; flags != 0 && flags&m.sampling.flags == 0 {
			continue
		}
		if err := m.launches[i].queue(m.driver, env); err != nil {
			return err
		}
		if m.visit != nil {
			if err := errors.Join(m.driver.Finish(), m.visit(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// write copies the step and what its rows want to the device.
func (m *Model) write(step *engine.Step) error {
	if err := m.arrays.write(step); err != nil || m.sampling.found == nil {
		return err
	}
	if err := m.sampling.write(step, m.info.Vocab, m.arrays.memory); err != nil {
		return err
	}
	return m.sampling.clear(len(step.Rows), m.slots)
}

// sample answers the step's rows with what the device found, and on the host where it found nothing. Logits are copied for rows that ask
// for them or that the host answers.
func (m *Model) sample(step *engine.Step, out []engine.Sampled) error {
	told := m.sampling.found != nil
	if told {
		if err := m.sampling.read(step, m.slots); err != nil {
			return err
		}
	}
	for i := range step.Rows {
		row := &step.Rows[i]
		if !told || !m.sampling.answer(i, m.info.Vocab, &out[i]) {
			if err := m.readLogits(i); err != nil {
				return err
			}
			_ = m.sampler.Sample(row, m.logits, &out[i]) // no choice is the token -1, for which the sequence is ended
		} else if row.Logits != nil {
			if err := m.readLogits(i); err != nil {
				return err
			}
			copy(row.Logits, m.logits)
		}
	}
	if !told || !m.sampling.accepted(out[:len(step.Rows)]) {
		sample.Accept(step.Drafts, out)
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
