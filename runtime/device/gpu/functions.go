package gpu

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/sym"
)

// steps tells whether the program serves generation: it samples the rows of steps. Else it is a function of whole sequences.
func (m *Model) steps() bool { return m.program.Func == engine.StepFunc }

// Functions implements engine.Runner.
func (m *Model) Functions() []string {
	if m.steps() {
		return nil
	}
	return []string{m.program.Func}
}

// Results implements engine.Runner.
func (m *Model) Results(function string) []engine.Buffer {
	if m.steps() || function != m.program.Func {
		return nil
	}
	return m.program.ResultBuffers()
}

// Run implements engine.Runner. Steps of whole sequences are launched as they are: neither padded nor recorded.
func (m *Model) Run(function string, step *engine.Step, out [][]float32) error {
	switch {
	case m.closed:
		return errClosed
	case m.steps() || function != m.program.Func:
		return fmt.Errorf("the plan has no function %s", function)
	}
	if width := softWidth(m.program); len(step.Soft) != step.T()*width {
		return fmt.Errorf("step of %d rows brings %d numbers; function %s reads rows of %d", step.T(), len(step.Soft), function, width)
	}
	if err := m.limits.CheckWhole(step); err != nil {
		return err
	}
	env := step.Sizes()
	if err := m.checkRoom(env, out); err != nil {
		return err
	}
	if err := m.arrays.write(m.driver, step, m.memory[0].block); err != nil {
		return err
	}
	if err := m.run(step, 0, false); err != nil {
		return err
	}
	if err := m.driver.Finish(); err != nil {
		return err
	}
	for i, to := range out {
		if err := m.readResult(&m.program.Results[i], env, to); err != nil {
			return err
		}
	}
	return nil
}

// checkRoom wants room for the results that are wanted of a step.
func (m *Model) checkRoom(env sym.Env, out [][]float32) error {
	results := m.program.Results
	if len(out) > len(results) {
		return fmt.Errorf("room for %d results; function %s gives %d", len(out), m.program.Func, len(results))
	}
	for i, to := range out {
		b := &m.program.Buffers[results[i].Buffer]
		rows, err := b.Rows.Eval(env)
		if err != nil {
			return err
		}
		if to != nil && int64(len(to)) < rows*b.Cols {
			return fmt.Errorf("room for %d numbers; result %s of function %s has %d", len(to), results[i].Name, m.program.Func, rows*b.Cols)
		}
	}
	return nil
}

// readResult copies the rows of a result, which has room; to is nil where it is not wanted.
func (m *Model) readResult(r *engine.Result, env sym.Env, to []float32) error {
	b := &m.program.Buffers[r.Buffer]
	rows, err := b.Rows.Eval(env)
	if to == nil || rows == 0 || err != nil {
		return err
	}
	bytes := make([]byte, (rows-1)*b.Stride+4*b.Cols)
	if err := m.slots[b.Slot].Read(b.Offset, bytes); err != nil {
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
