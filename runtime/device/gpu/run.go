package gpu

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/sym"
)

// Run implements engine.Runner. Steps of whole sequences are launched as they are: neither padded nor recorded.
func (m *Model) Run(function string, step *engine.Step, out [][]float32) error {
	if m.closed {
		return errClosed
	}
	f := m.find(function)
	if f == nil {
		return noFunction(function)
	}
	if len(step.Soft) != step.T()*f.soft {
		return fmt.Errorf("step of %d rows brings %d numbers; function %s reads rows of %d", step.T(), len(step.Soft), function, f.soft)
	}
	limits := m.limits
	limits.Types = f.types
	if err := limits.CheckWhole(step); err != nil {
		return err
	}
	env := step.Sizes()
	if err := f.checkRoom(env, out); err != nil {
		return err
	}
	if err := m.queueFunction(f, step); err != nil {
		return err
	}
	if err := m.driver.Finish(); err != nil {
		return err
	}
	for i, to := range out {
		if err := f.readResult(&f.program.Results[i], env, to); err != nil {
			return err
		}
	}
	return nil
}

// queueFunction queues a function of a step that has been checked. Steps in flight are answered first: its activations lie where theirs are, with the cells
// in which the device answers them, and ids of the next step may name those.
func (m *Model) queueFunction(f *function, step *engine.Step) error {
	for _, before := range m.flights {
		m.land(before)
	}
	if err := f.arrays.write(m.driver, step, f.block); err != nil {
		return err
	}
	return m.timed(func() error { return m.queueFrom(f, 0, step.Sizes(), 0) })
}

// checkRoom wants room for the results that are wanted of a step.
func (f *function) checkRoom(env sym.Env, out [][]float32) error {
	results := f.program.Results
	if len(out) > len(results) {
		return fmt.Errorf("room for %d results; function %s gives %d", len(out), f.program.Func, len(results))
	}
	for i, to := range out {
		b := &f.program.Buffers[results[i].Buffer]
		rows, err := b.Rows.Eval(env)
		if err != nil {
			return err
		}
		if to != nil && int64(len(to)) < rows*b.Cols {
			return fmt.Errorf("room for %d numbers; result %s of function %s has %d", len(to), results[i].Name, f.program.Func, rows*b.Cols)
		}
	}
	return nil
}

// readResult copies the rows of a result, which has room; to is nil where it is not wanted.
func (f *function) readResult(r *engine.Result, env sym.Env, to []float32) error {
	b := &f.program.Buffers[r.Buffer]
	rows, err := b.Rows.Eval(env)
	if to == nil || rows == 0 || err != nil {
		return err
	}
	bytes := make([]byte, (rows-1)*b.Stride+4*b.Cols)
	if err := f.slots[b.Slot].Read(b.Offset, bytes); err != nil {
		return fmt.Errorf("result %s: %w", r.Name, err)
	}
	for i := range rows {
		decodeFloats(to[i*b.Cols:(i+1)*b.Cols], bytes[i*b.Stride:])
	}
	return nil
}

// runMain runs the function that the plan is for: a step, or whole sequences whose rows are not sampled.
func (m *Model) runMain(step *engine.Step, out []engine.Sampled) error {
	if m.steps() {
		return m.Step(step, out)
	}
	return m.Run(m.program.Func, step, nil)
}

var (
	_ engine.Runner         = (*Model)(nil)
	_ engine.FunctionTracer = (*Model)(nil)
)
