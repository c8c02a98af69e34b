package gpu

import (
	"llmc/engine"
)

// encodeTexts checks what a step says of texts, and queues function "encode" of those that it brings. Its launches are
// traced with those of the step, but not timed.
func (m *Model) encodeTexts(step *engine.Step) error {
	if !m.program.Encodes() {
		return nil
	}
	if err := m.limits.CheckTexts(step); err != nil || !step.Encodes() {
		return err
	}
	f := m.find(engine.EncodeFunc)
	if f == nil {
		return noFunction(engine.EncodeFunc)
	}
	if visit, clock := m.visit, m.clock; clock != nil {
		m.visit, m.clock = nil, nil
		defer func() { m.visit, m.clock = visit, clock }()
	}
	if err := m.queueFunction(f, step.Encode); err != nil {
		return err
	}
	for _, before := range m.flights { // which have been answered
		if before.err != nil {
			return before.err
		}
	}
	return nil
}
