package gpu

import (
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/internal/sym"
)

// launch is a program's launch bound to memory. Its arguments are in the order that engine.Code states.
type launch struct {
	label    string
	variants []variant
	flags    uint32   // of the rows that want it; 0: every step does
	sizes    []uint64 // the last arguments of all variants: T, B, R, positions of a page, bytes of a page
}

// variant is an entry that serves steps of some sizes.
type variant struct {
	code *engine.Code
	call Launch
}

// bind binds every launch, and what serves steps beside them.
func (m *Model) bind(code Code, weights Upload) error {
	kernels := map[string]Kernel{}
	for _, f := range m.functions {
		if err := m.bindFunction(f, code, kernels, weights.Addr); err != nil {
			return err
		}
	}
	if err := m.bindAdapters(code, kernels, weights.Addr); err != nil {
		return err
	}
	if err := m.bindPersistent(code); err != nil {
		return err
	}
	var err error
	if m.copier, err = m.newCopier(code); err != nil {
		return err
	}
	if m.begin, err = m.newBeginner(code); err != nil {
		return err
	}
	m.sampling.seats.counter, err = m.newCounter(code)
	return err
}

// bindFunction binds the launches of a function. kernels are those that are known, by entry.
func (m *Model) bindFunction(f *function, code Code, kernels map[string]Kernel, weight func(i int) uint64) error {
	for i := range f.program.Launches {
		l := &f.program.Launches[i]
		for _, c := range l.Code {
			if kernels[c.Entry] != nil {
				continue
			}
			var err error
			if kernels[c.Entry], err = code.Entry(c.Entry); err != nil {
				return fmt.Errorf("launch %d (%s): %w", i, l.Label, err)
			}
		}
		f.launches = append(f.launches, m.newLaunch(f, i, l.Code, kernels, weight))
	}
	return nil
}

// newLaunch binds entries that do the work of a launch.
func (m *Model) newLaunch(f *function, number int, codes []engine.Code, kernels map[string]Kernel, weight func(i int) uint64) launch {
	l := &f.program.Launches[number]
	var args []uint64
	for i := range engine.FindKernel(l.Kernel).Roles {
		address := uint64(0)
		if i < len(l.Operands) {
			address = m.address(f, number, l.Operands[i], weight)
		}
		args = append(args, address)
	}
	n := len(args)
	args = append(args, 0, 0, 0, uint64(m.limits.PageSize), uint64(m.pool.pageBytes))
	bound := launch{label: l.Label, flags: engine.SampleFlags(l), sizes: args[n:]}
	for i := range codes {
		c := &codes[i]
		call := Launch{Kernel: kernels[c.Entry], Label: l.Label, Threads: uint32(c.Threads), Shared: uint32(c.Shared), Args: args, Early: c.Early}
		bound.variants = append(bound.variants, variant{c, call})
	}
	return bound
}

// extend gives all variants further arguments, behind those that they have.
func (l *launch) extend(more ...uint64) {
	sizes := len(l.variants[0].call.Args) - len(l.sizes)
	args := append(l.variants[0].call.Args, more...)
	l.sizes = args[sizes:]
	for i := range l.variants {
		l.variants[i].call.Args = args
	}
}

// address returns where an operand lies. The program has been validated: indices are in range.
func (m *Model) address(f *function, launch int, o engine.Operand, weight func(i int) uint64) uint64 {
	switch o.Kind {
	case engine.OperandBuffer:
		b := &f.program.Buffers[o.Index]
		return f.slots[b.Slot].Addr() + uint64(b.Offset)
	case engine.OperandWeight:
		return weight(f.weights[o.Index])
	case engine.OperandCache:
		return m.pool.mem.Addr() + uint64(m.pool.layer(o.Index, f.program.Launches[launch].Int("layer", 0)))
	case engine.OperandInput:
		switch name := engine.Inputs[o.Index]; name {
		case "items":
		case "peers":
			return m.peers.table(f.program, &f.program.Launches[launch])
		default:
			return f.arrays.memory[name].Addr()
		}
		if mem := f.arrays.of[launch]; mem != nil {
			return mem.Addr()
		}
	}
	return 0
}

// setGrid makes the grid that of a step of the given sizes; one without CTAs is empty.
func (l *Launch) setGrid(code *engine.Code, env sym.Env) (empty bool, err error) {
	for i, e := range code.Grid {
		n, err := e.Eval(env)
		if err != nil || n > 1<<31-1 {
			return false, fmt.Errorf("launch %s: grid of %d (%v)", l.Label, n, err)
		}
		if n == 0 {
			return true, nil
		}
		l.Grid[i] = uint32(n)
	}
	return false, nil
}

// putSizes writes T, B and R, which the last arguments of entries begin with.
func putSizes(args []uint64, env sym.Env) {
	args[0], args[1], args[2] = uint64(env[sym.T]), uint64(env[sym.B]), uint64(env[sym.R])
}

// variant is the one that serves a step of the given sizes. The program has been validated: the last one serves every step.
func (l *launch) variant(env sym.Env) *variant {
	return &l.variants[slices.IndexFunc(l.variants, func(v variant) bool { return v.code.Limit.Admits(env) })]
}

// queue launches what serves a step of the given sizes; a grid without CTAs is left out.
func (l *launch) queue(d Driver, env sym.Env) error {
	v := l.variant(env)
	if empty, err := v.call.setGrid(v.code, env); empty || err != nil {
		return err
	}
	putSizes(l.sizes, env)
	if err := d.Launch(&v.call); err != nil {
		return fmt.Errorf("launch %s: %w", l.label, err)
	}
	return nil
}
