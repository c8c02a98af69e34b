package cpu

import (
	"llmc/engine"
	"llmc/internal/dtype"
)

// Trace implements engine.Tracer. What function "encode" computes of a step's texts has "encode:" before its names.
func (m *model) Trace(step *engine.Step, out []engine.Sampled, visit func(name string, rows [][]float32)) error {
	defer m.observed(visit, nil)()
	return m.runMain(step, out)
}

// TracePlaces implements engine.PlaceTracer.
func (m *model) TracePlaces(step *engine.Step, out []engine.Sampled, visit func(name string, rows [][]float32), places func(name string, values []int32)) error {
	defer m.observed(visit, places)()
	return m.runMain(step, out)
}

// TraceFunction implements engine.FunctionTracer.
func (m *model) TraceFunction(function string, step *engine.Step, visit func(name string, rows [][]float32)) error {
	defer m.observed(visit, nil)()
	return m.Run(function, step, nil)
}

// observed has visit called after each launch, until what it returns is.
func (m *model) observed(visit func(name string, rows [][]float32), places func(name string, values []int32)) (end func()) {
	m.observe = func(launch int) {
		l := &m.running.program.Launches[launch]
		k := engine.FindKernel(l.Kernel)
		for i, role := range k.Roles {
			if o := l.Operands[i]; role.Writes && o.Kind == engine.OperandBuffer {
				m.show(o.Index, visit, places)
			}
		}
	}
	return func() { m.observe = nil }
}

func (m *model) show(buffer int, visit func(name string, rows [][]float32), places func(name string, values []int32)) {
	f := m.running
	v := f.views[buffer]
	if f.program.Buffers[buffer].DType == dtype.I32 {
		if places != nil {
			n := rowsOf{dim: f.program.Buffers[buffer].Rows}.count(&m.state)
			places(f.program.Buffers[buffer].Name, v.i32()[:n*v.cols])
		}
		return
	}
	if v.format != "" {
		return
	}
	rows := make([][]float32, rowsOf{dim: f.program.Buffers[buffer].Rows}.count(&m.state))
	for i := range rows {
		rows[i] = v.row(i)
	}
	name := f.program.Buffers[buffer].Name
	if f.program.Func == engine.EncodeFunc {
		name = f.program.Func + ":" + name
	}
	visit(name, rows)
}

var (
	_ engine.FunctionTracer = (*model)(nil)
	_ engine.PartTracer     = (*model)(nil)
)
