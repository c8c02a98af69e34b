package gpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/runtime/device/limits"
)

// arrays are the step's arrays on the device.
type arrays struct {
	memory map[string]Memory // by the names of engine.Inputs, but for items; those of sampling where the program samples
	items  map[workShape]Memory
	of     []Memory // by launch: its work list, nil if it has none
	list   []int32  // what is made of a step, reused
	words  []byte   // on their way
}

// inputs says for each of engine.Inputs how long it is at most, and what it holds; list is room for what a step does not have as it is.
var inputs = []struct {
	name string
	most func(l *limits.Limits) int
	of   func(s *engine.Step, list []int32) []int32
}{
	{"ids", stepTokens, func(s *engine.Step, _ []int32) []int32 { return s.IDs }},
	{"positions", stepTokens, func(s *engine.Step, _ []int32) []int32 { return s.Positions }},
	{"ropelen", stepTokens, func(s *engine.Step, _ []int32) []int32 { return s.RopeLen }},
	{"slots", stepTokens, func(s *engine.Step, _ []int32) []int32 { return s.Slots }},
	{"rows", func(l *limits.Limits) int { return l.MaxRows }, sampledTokens},
	{"context", func(l *limits.Limits) int { return l.MaxSequences }, func(s *engine.Step, _ []int32) []int32 { return s.Context }},
	{"page_start", func(l *limits.Limits) int { return l.MaxSequences + 1 }, func(s *engine.Step, _ []int32) []int32 { return s.PageStart }},
	{"pages", func(l *limits.Limits) int {
		return l.MaxSequences * ((l.MaxContext + l.PageSize - 1) / l.PageSize)
	}, func(s *engine.Step, _ []int32) []int32 { return s.Pages }},
	{"drafts", func(l *limits.Limits) int { return l.MaxRows }, func(s *engine.Step, _ []int32) []int32 { return s.Drafts }},
}

func stepTokens(l *limits.Limits) int { return l.MaxStepTokens }

func sampledTokens(s *engine.Step, list []int32) []int32 {
	for i := range s.Rows {
		list = append(list, s.Rows[i].Token)
	}
	return list
}

// take allocates arrays for the largest step.
func (a *arrays) take(d Driver, l *limits.Limits, p *engine.Program) error {
	a.memory, a.items, a.of = map[string]Memory{}, map[workShape]Memory{}, make([]Memory, len(p.Launches))
	for _, in := range inputs {
		mem, err := d.Alloc(in.name, 4*int64(in.most(l)))
		if err != nil {
			return err
		}
		a.memory[in.name] = mem
	}
	if err := a.takeTickets(d, p); err != nil {
		return err
	}
	for i := range p.Launches {
		shape, ok, err := newWorkShape(p, &p.Launches[i], largest(l))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if a.items[shape] == nil {
			if a.items[shape], err = d.Alloc("items", 4*int64(shape.words())); err != nil {
				return err
			}
		}
		a.of[i] = a.items[shape]
	}
	return nil
}

// takeTickets allocates counters for the launch that has most. They are zero again after each.
func (a *arrays) takeTickets(d Driver, p *engine.Program) error {
	most := int64(0)
	for i := range p.Launches {
		most = max(most, p.Launches[i].Int("tickets", 0))
	}
	if most == 0 {
		return nil
	}
	mem, err := d.Alloc("tickets", 4*most)
	if err != nil {
		return err
	}
	a.memory["tickets"] = mem
	return mem.Write(0, make([]byte, 4*most))
}

// largest gives the sizes of the largest step.
func largest(l *limits.Limits) sym.Env {
	return sym.Bind(int64(l.MaxStepTokens), int64(l.MaxSequences), int64(l.MaxRows), int64(l.MaxContext))
}

// write copies a step to the device.
func (a *arrays) write(s *engine.Step) error {
	a.list = slices.Grow(a.list[:0], len(s.Rows))
	for _, in := range inputs {
		if err := a.copy(in.name, a.memory[in.name], in.of(s, a.list)); err != nil {
			return err
		}
	}
	for shape, mem := range a.items {
		a.list = shape.list(a.list[:0], s)
		if err := a.copy("items", mem, a.list); err != nil {
			return err
		}
	}
	return nil
}

func (a *arrays) copy(name string, mem Memory, values []int32) error {
	a.words = a.words[:0]
	for _, v := range values {
		a.words = binary.LittleEndian.AppendUint32(a.words, uint32(v))
	}
	if err := mem.Write(0, a.words); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// decodeFloats reads little-endian f32.
func decodeFloats(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}
