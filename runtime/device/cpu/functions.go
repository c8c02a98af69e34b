package cpu

import (
	"fmt"
	"slices"

	"llmc/engine"
)

// Functions implements engine.Runner.
func (m *model) Functions() []string {
	var names []string
	for _, f := range m.functions {
		if f.program.Func != engine.StepFunc {
			names = append(names, f.program.Func)
		}
	}
	return names
}

// wholeSequences tells whether some function wants all tokens of a sequence in one step.
func (m *model) wholeSequences() bool { return len(m.Functions()) > 0 }

// find returns a function that Run takes, nil if there is none of that name.
func (m *model) find(name string) *function {
	i := slices.IndexFunc(m.functions, func(f *function) bool { return f.program.Func == name })
	if i < 0 || name == engine.StepFunc {
		return nil
	}
	return m.functions[i]
}

// Results implements engine.Runner.
func (m *model) Results(name string) []engine.Buffer {
	f := m.find(name)
	if f == nil {
		return nil
	}
	return f.program.ResultBuffers()
}

// Run implements engine.Runner.
func (m *model) Run(name string, step *engine.Step, out [][]float32) error {
	if m.team == nil {
		return errClosed
	}
	f := m.find(name)
	if f == nil {
		return fmt.Errorf("the plan has no function %s", name)
	}
	if err := m.settings.CheckWhole(step); err != nil {
		return err
	}
	if err := f.checkRows(step); err != nil {
		return err
	}
	env := step.Sizes()
	for i, to := range out {
		if i >= len(f.program.Results) {
			return fmt.Errorf("room for %d results; function %s gives %d", len(out), name, len(f.program.Results))
		}
		b := &f.program.Buffers[f.program.Results[i].Buffer]
		rows, err := b.Rows.Eval(env)
		if err != nil {
			return err
		}
		if to != nil && int64(len(to)) < rows*b.Cols {
			return fmt.Errorf("room for %d numbers; result %s of function %s has %d", len(to), f.program.Results[i].Name, name, rows*b.Cols)
		}
	}
	if err := m.run(f, step, nil); err != nil {
		return err
	}
	for i, to := range out {
		f.copyResult(i, to, rowsOf{dim: f.program.Buffers[f.program.Results[i].Buffer].Rows}.countIn(env))
	}
	return nil
}

// checkRows wants the rows that the function reads instead of tokens, and positions that it knows.
func (f *function) checkRows(step *engine.Step) error {
	if len(step.Soft) != step.T()*f.soft {
		return fmt.Errorf("step of %d rows brings %d numbers; function %s reads rows of %d", step.T(), len(step.Soft), f.program.Func, f.soft)
	}
	for b, context := range step.Context {
		if f.positions > 0 && int(context) > f.positions {
			return fmt.Errorf("sequence %d has %d rows; function %s knows %d positions", b, context, f.program.Func, f.positions)
		}
	}
	return nil
}

// copyResult copies the rows of a result; to is nil where it is not wanted.
func (f *function) copyResult(i int, to []float32, rows int) {
	if to == nil {
		return
	}
	v := f.views[f.program.Results[i].Buffer]
	for r := range rows {
		copy(to[r*v.cols:(r+1)*v.cols], v.row(r))
	}
}

// encodeTexts checks what a step says of texts, and runs function "encode" of those that it brings.
func (m *model) encodeTexts(step *engine.Step) error {
	if !m.main.program.Encodes() {
		return nil
	}
	if err := m.settings.CheckTexts(step); err != nil || !step.Encodes() {
		return err
	}
	f := m.find(engine.EncodeFunc)
	if f == nil {
		return fmt.Errorf("the plan has no function %s", engine.EncodeFunc)
	}
	return m.run(f, step.Encode, nil)
}

// runMain runs the function that the plan is for: a step, or whole sequences whose rows are not sampled.
func (m *model) runMain(step *engine.Step, out []engine.Sampled) error {
	if m.main.sampler != nil {
		return m.Step(step, out)
	}
	return m.Run(m.main.program.Func, step, nil)
}

var _ engine.Runner = (*model)(nil)
