package gpu

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/sym"
)

// beginner begins a step on the device: see engine.BeginStep. Plans of earlier releases have no code for it.
type beginner struct {
	call Launch
	code *engine.Code
}

// newBeginner binds the program's entry; nil where it has none.
func (m *Model) newBeginner(code Code) (*beginner, error) {
	a := m.program.FindAuxiliary(engine.BeginStep)
	if a == nil || m.sampling.found == nil {
		return nil, nil
	}
	kernel, err := code.Entry(a.Code.Entry)
	if err != nil {
		return nil, fmt.Errorf("auxiliary %s: %w", a.Name, err)
	}
	found := m.slots[m.sampling.found.Slot].Addr() + uint64(m.sampling.found.Offset)
	args := []uint64{m.arrays.memory["ids"].Addr(), found, 0, 0, uint64(m.info.Vocab)}
	return &beginner{Launch{Kernel: kernel, Label: a.Name, Threads: uint32(a.Code.Threads), Shared: uint32(a.Code.Shared), Args: args}, &a.Code}, nil
}

// queue launches the entry for a step of the given sizes.
func (b *beginner) queue(d Driver, env sym.Env) error {
	b.call.Args[2], b.call.Args[3] = uint64(env[sym.T]), uint64(env[sym.R])
	if empty, err := b.call.setGrid(b.code, env); empty || err != nil {
		return err
	}
	if err := d.Launch(&b.call); err != nil {
		return fmt.Errorf("launch %s: %w", b.call.Label, err)
	}
	return nil
}
