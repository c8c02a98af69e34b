package cpu

import "llmc/engine"

// Trace implements engine.Tracer.
func (m *model) Trace(step *engine.Step, out []engine.Sampled, visit func(name string, rows [][]float32)) error {
	m.observe = func(launch int) {
		l := &m.main.program.Launches[launch]
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
	v := m.main.views[buffer]
	if v.format != "" {
		return
	}
	rows := make([][]float32, rowsOf{m.main.program.Buffers[buffer].Rows}.count(&m.state))
	for i := range rows {
		rows[i] = v.row(i)
	}
	visit(m.main.program.Buffers[buffer].Name, rows)
}
