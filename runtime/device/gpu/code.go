package gpu

import (
	"errors"

	"llmc/engine"
)

// loadCode makes the program's entries ready: what an assembler made of the text when the plan was built, where the driver takes that, else the text.
func (m *Model) loadCode(plan *engine.Plan) (Code, error) {
	if loader, ok := m.driver.(CubinLoader); ok && m.program.Cards == 0 {
		cubin, err := plan.Cubin(m.program.Target)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			if code, ok := loader.LoadCubin(cubin); ok {
				return code, nil
			}
		}
	}
	text, err := plan.CardsPTX(m.program.Target, m.program.Cards)
	if err != nil {
		return nil, err
	}
	return m.driver.Load(string(text))
}
