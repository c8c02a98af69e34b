package cpu

import (
	"llmc/engine"
	"llmc/internal/dtype"
)

// Trace implements engine.Tracer. What function "encode" computes of a step's texts has "encode:" before its names.
func (m *model) Trace(step *engine.Step, out []engine.Sampled, visit func(name string, rows [][]float32)) error {
	m.observe = func(launch int) {
		l := &m.running.program.Launches[launch]
		k := engine.FindKernel(l.Kernel)
		for i, role := range k.Roles {
			if o := l.Operands[i]; role.Writes && o.Kind == engine.OperandBuffer {
				m.show(o.Index, visit)
			}
		}
	}
	defer func() { m.observe = nil }()
	return m.runMain(step, out)
}

func (m *model) show(buffer int, visit func(name string, rows [][]float32)) {
	f := m.running
	v := f.views[buffer]
	if v.format != "" || f.program.Buffers[buffer].DType == dtype.I32 {
		return
	}
	rows := make([][]float32, rowsOf{f.program.Buffers[buffer].Rows}.count(&m.state))
	for i := range rows {
		rows[i] = v.row(i)
	}
	name := f.program.Buffers[buffer].Name
	if f != m.main {
		name = f.program.Func + ":" + name
	}
	visit(name, rows)
}
