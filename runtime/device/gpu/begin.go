package gpu

import (
	"llmc/engine"
	"llmc/internal/sym"
)

// newBeginner binds the entry that begins a step on the device; nil where the program has none. See engine.BeginStep.
func (m *Model) newBeginner(code Code) (*auxiliary, error) {
	a := m.program.FindAuxiliary(engine.BeginStep)
	if a == nil || m.found() == 0 {
		return nil, nil
	}
	return newAuxiliary(code, a, m.arrays.memory["ids"].Addr(), m.found(), 0, 0, uint64(m.info.Vocab))
}

// queueBeginning begins a step of the given sizes.
func (m *Model) queueBeginning(env sym.Env) error {
	m.begin.call.Args[2], m.begin.call.Args[3] = uint64(env[sym.T]), uint64(env[sym.R])
	return m.begin.queue(m.driver, env[sym.T])
}
