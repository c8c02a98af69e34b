package gpu

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/sym"
)

// auxiliary is an entry that serves the program beside its launches, bound to memory. Plans of earlier releases lack some.
type auxiliary struct {
	call Launch
	code *engine.Code
}

// newAuxiliary binds an entry. Arguments that a step or a list has to say are set before it is queued.
func newAuxiliary(code Code, a *engine.Auxiliary, args ...uint64) (*auxiliary, error) {
	kernel, err := code.Entry(a.Code.Entry)
	if err != nil {
		return nil, fmt.Errorf("auxiliary %s: %w", a.Name, err)
	}
	return &auxiliary{Launch{Kernel: kernel, Label: a.Name, Threads: uint32(a.Code.Threads), Shared: uint32(a.Code.Shared), Args: args}, &a.Code}, nil
}

// queue launches the entry for so many things, of which there is at least one.
func (a *auxiliary) queue(d Driver, things int64) error {
	empty, err := a.call.setGrid(a.code, sym.Bind(things, 0, 0, 0))
	if empty {
		err = fmt.Errorf("launch %s: grid of no CTAs", a.call.Label)
	}
	if err != nil {
		return err
	}
	if err := d.Launch(&a.call); err != nil {
		return fmt.Errorf("launch %s: %w", a.call.Label, err)
	}
	return nil
}

// found is where the device answers, or has the answers of the last stage; see engine.FoundBest. 0: nowhere.
func (m *Model) found() uint64 {
	b := m.sampling.found
	if b == nil && m.stage.Stage != nil && m.stage.Found >= 0 {
		b = &m.program.Buffers[m.stage.Found]
	}
	if b == nil {
		return 0
	}
	return m.slots[b.Slot].Addr() + uint64(b.Offset)
}
