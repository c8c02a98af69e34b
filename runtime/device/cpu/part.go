package cpu

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/sym"
)

// part is launches [first, last) of a program.
type part struct{ first, last int }

// bounds returns the launches of a function that are to run.
func (m *model) bounds(f *function) (first, last int) {
	if m.part != nil {
		return m.part.first, m.part.last
	}
	return 0, len(f.runners)
}

// TracePart implements engine.PartTracer.
func (m *model) TracePart(step *engine.Step, first, last int, before, room []byte, visit func(name string, rows [][]float32), places func(name string, values []int32)) ([]byte, error) {
	if m.team == nil {
		return nil, errClosed
	}
	f := m.main
	if f.sampler == nil || first < 0 || first > last || last > len(f.runners) {
		return nil, fmt.Errorf("launches %d to %d of function %s, which has %d", first, last, f.program.Func, len(f.runners))
	}
	if err := m.settings.Check(step, make([]engine.Sampled, len(step.Rows))); err != nil {
		return nil, err
	}
	if err := m.adapters.check(step); err != nil {
		return nil, err
	}
	if len(step.Soft) > 0 {
		return nil, fmt.Errorf("rows of images are not for parts of a step")
	}
	env := step.Sizes()
	given := before
	for _, data := range f.kept(first, env) {
		if len(given) < len(data) {
			return nil, fmt.Errorf("what launches before %d wrote takes more than the %d bytes that are given", first, len(before))
		}
		given = given[copy(data, given):]
	}
	m.part = &part{first, last}
	defer func() { m.part = nil }()
	defer m.observed(visit, places)()
	if err := m.run(f, step, nil); err != nil {
		return nil, err
	}
	room = room[:0]
	for _, data := range f.kept(last, env) {
		room = append(room, data...)
	}
	return room, nil
}

// kept returns the memory of the matrices that launches before the given one write and others name from it on. Where two of them share memory, both are there with the same bytes.
func (f *function) kept(launch int, env sym.Env) [][]byte {
	if f.live == nil {
		f.live = map[int][]int{}
	}
	live, known := f.live[launch]
	if !known {
		live = f.liveAt(launch)
		f.live[launch] = live
	}
	var all [][]byte
	for _, i := range live {
		v := f.views[i]
		n := rowsOf{dim: f.program.Buffers[i].Rows}.countIn(env)
		all = append(all, v.data[:min(n*v.stride, len(v.data))])
	}
	return all
}

// liveAt lists these matrices.
func (f *function) liveAt(launch int) (live []int) {
	written, named := make([]bool, len(f.views)), make([]bool, len(f.views))
	for i := range f.program.Launches {
		l := &f.program.Launches[i]
		for at, role := range engine.FindKernel(l.Kernel).Roles {
			if o := l.Operands[at]; o.Kind == engine.OperandBuffer {
				written[o.Index] = written[o.Index] || i < launch && role.Writes
				named[o.Index] = named[o.Index] || i >= launch
			}
		}
	}
	for i := range written {
		if written[i] && named[i] {
			live = append(live, i)
		}
	}
	return live
}
