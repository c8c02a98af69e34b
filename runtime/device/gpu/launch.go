package gpu

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/sym"
)

// launch is a program's launch bound to memory. Its arguments are in the order that engine.Code states.
type launch struct {
	code  *engine.Code
	call  Launch
	sizes []uint64 // the last arguments: T, B, R, positions of a page, bytes of a page
}

// bind makes the weights readable and binds every launch.
func (m *Model) bind(plan *engine.Plan) error {
	text, err := plan.Section(engine.KindPTX, m.program.Target)
	if err != nil {
		return err
	}
	code, err := m.driver.Load(string(text))
	if err != nil {
		return fmt.Errorf("code of target %s: %w", m.program.Target, err)
	}
	weights := make([]uint64, len(m.program.Weights))
	for i, name := range m.program.Weights {
		_, data, err := plan.Weight(name)
		if err != nil {
			return err
		}
		mem, err := m.driver.Constant(name, data)
		if err != nil {
			return fmt.Errorf("weight %q: %w", name, err)
		}
		weights[i] = mem.Addr()
	}
	kernels := map[string]Kernel{}
	for i := range m.program.Launches {
		l := &m.program.Launches[i]
		if kernels[l.Code.Entry] == nil {
			if kernels[l.Code.Entry], err = code.Entry(l.Code.Entry); err != nil {
				return fmt.Errorf("launch %d (%s): %w", i, l.Label, err)
			}
		}
		m.launches = append(m.launches, m.newLaunch(l, kernels[l.Code.Entry], weights))
	}
	return nil
}

func (m *Model) newLaunch(l *engine.Launch, k Kernel, weights []uint64) launch {
	bound := launch{code: l.Code, call: Launch{Kernel: k, Label: l.Label, Threads: uint32(l.Code.Threads), Shared: uint32(l.Code.Shared)}}
	for i := range engine.FindKernel(l.Kernel).Roles {
		address := uint64(0)
		if i < len(l.Operands) {
			address = m.address(l, l.Operands[i], weights)
		}
		bound.call.Args = append(bound.call.Args, address)
	}
	n := len(bound.call.Args)
	bound.call.Args = append(bound.call.Args, 0, 0, 0, uint64(m.limits.PageSize), uint64(m.pool.pageBytes))
	bound.sizes = bound.call.Args[n:]
	return bound
}

// address returns where an operand lies. The program has been validated: indices are in range.
func (m *Model) address(l *engine.Launch, o engine.Operand, weights []uint64) uint64 {
	switch o.Kind {
	case engine.OperandBuffer:
		b := &m.program.Buffers[o.Index]
		return m.slots[b.Slot].Addr() + uint64(b.Offset)
	case engine.OperandWeight:
		return weights[o.Index]
	case engine.OperandCache:
		return m.pool.mem.Addr() + uint64(m.pool.layer(o.Index, l.Int("layer", 0)))
	case engine.OperandInput:
		if name := engine.Inputs[o.Index]; name != "items" {
			return m.arrays.memory[name].Addr()
		}
		if mem := m.arrays.items[l.Int("block", 0)]; mem != nil {
			return mem.Addr()
		}
	}
	return 0
}

// queue launches for a step of the given sizes; a grid without CTAs is left out.
func (l *launch) queue(d Driver, env sym.Env) error {
	for i, e := range l.code.Grid {
		n, err := e.Eval(env)
		if err != nil || n > 1<<31-1 {
			return fmt.Errorf("launch %s: grid of %d (%v)", l.call.Label, n, err)
		}
		if n == 0 {
			return nil
		}
		l.call.Grid[i] = uint32(n)
	}
	for i, s := range []sym.Symbol{sym.T, sym.B, sym.R} {
		l.sizes[i] = uint64(env[s])
	}
	if err := d.Launch(&l.call); err != nil {
		return fmt.Errorf("launch %s: %w", l.call.Label, err)
	}
	return nil
}
