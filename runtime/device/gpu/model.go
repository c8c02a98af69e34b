package gpu

import (
	"errors"
	"fmt"
	"strings"

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
	sampler  *sample.Sampler
	logits   []float32 // of a row whose request does not ask for them
	rowBytes []byte
	visit    func(launch int) error // after each launch when set; see Trace
	closed   bool
}

// Load binds the most demanding program of the plan that the driver can run, or settings.Target's. The model owns the driver.
func Load(plan *engine.Plan, driver Driver, settings engine.Settings) (*Model, error) {
	m := &Model{driver: driver, info: plan.Info()}
	if err := m.load(plan, settings); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Model) load(plan *engine.Plan, settings engine.Settings) error {
	target, err := chooseTarget(plan.Targets("step"), settings.Target, m.driver.Capability())
	if err != nil {
		return err
	}
	if m.program, err = plan.Program("step", target); err != nil {
		return err
	}
	settings.Target = target
	if settings.PageSize == 0 {
		settings.PageSize = limits.DefaultPageSize
	}
	if m.pool, err = newPool(m.program.Caches, settings.PageSize); err != nil {
		return err
	}
	request := limits.Request{Settings: settings, Info: &m.info, TokenBytes: m.pool.pageBytes / int64(settings.PageSize),
		Threads: 1, Memory: m.driver.TotalMemory()}
	if m.limits, err = request.Fill(); err != nil {
		return err
	}
	if m.limits.PageSize%16 != 0 {
		return fmt.Errorf("page size is %d: must be a multiple of 16", m.limits.PageSize)
	}
	if m.pool.mem, err = m.driver.Alloc("KV pages", m.pool.pageBytes*int64(m.limits.Pages)); err != nil {
		return err
	}
	if err := m.takeMemory(); err != nil {
		return err
	}
	m.sampler, m.logits, m.rowBytes = sample.New(m.info.Vocab), make([]float32, m.info.Vocab), make([]byte, 4*m.info.Vocab)
	return m.bind(plan)
}

// chooseTarget picks the newest of the plan's GPU targets that a device of the capability runs.
func chooseTarget(built []string, wanted string, capability int) (string, error) {
	best, newest := "", 0
	for _, name := range built {
		t, err := engine.FindTarget(name)
		if err != nil || t.Device != "cuda" || wanted != "" && name != wanted || t.SM > capability || t.SM < newest {
			continue
		}
		if t.Exact && t.SM != capability {
			continue
		}
		best, newest = name, t.SM
	}
	if best == "" {
		return "", fmt.Errorf("the plan has no program for a GPU of compute capability %d.%d, it has %s: build it with --arch sm%d",
			capability/10, capability%10, strings.Join(built, ", "), capability)
	}
	return best, nil
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
	if err := m.arrays.write(step); err != nil {
		return err
	}
	env := sym.Bind(int64(step.T()), int64(step.B()), int64(len(step.Rows)), 0)
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

// CopyPage implements engine.Model.
func (m *Model) CopyPage(dst, src int32) error {
	if dst < 0 || src < 0 || int(dst) >= m.limits.Pages || int(src) >= m.limits.Pages {
		return fmt.Errorf("copy of page %d to %d: there are %d pages", src, dst, m.limits.Pages)
	}
	page := make([]byte, m.pool.pageBytes)
	if err := m.pool.mem.Read(int64(src)*m.pool.pageBytes, page); err != nil {
		return err
	}
	return m.pool.mem.Write(int64(dst)*m.pool.pageBytes, page)
}

// Close gives everything back.
func (m *Model) Close() error {
	if m.closed {
		return nil
	}
	m.closed = true
	return m.driver.Close()
}
