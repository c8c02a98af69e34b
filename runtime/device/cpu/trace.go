package cpu

import (
	"llmc/engine"
	"llmc/internal/dtype"
)

// Trace implements engine.Tracer.
func (m *model) Trace(step *engine.Step, out []engine.Sampled, visit func(name string, rows [][]float32)) error {
	m.observe = func(launch int) {
		l := &m.program.Launches[launch]
		k := engine.FindKernel(l.Kernel)
		for i, role := range k.Roles {
			if o := l.Operands[i]; role.Writes && o.Kind == engine.OperandBuffer {
				m.show(o.Index, visit)
			}
		}
	}
	defer func() { m.observe = nil }()
	return m.Step(step, out)
}

func (m *model) show(buffer int, visit func(name string, rows [][]float32)) {
	v := m.views[buffer]
	if v.format != "" || m.program.Buffers[buffer].DType == dtype.I32 {
		return
	}
	rows := make([][]float32, rowsOf{m.program.Buffers[buffer].Rows}.count(&m.state))
	for i := range rows {
		rows[i] = v.row(i)
	}
	visit(m.program.Buffers[buffer].Name, rows)
}
