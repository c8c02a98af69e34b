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

// arrays are the step's arrays on the device. Those that every step has lie in one block, so that they go there in one copy.
type arrays struct {
	parts  []part
	bytes  int64             // of the block
	memory map[string]Memory // by the names of engine.Inputs, but for items; those of sampling where the program samples
	of     []Memory          // by launch: its work list, nil if it has none
	list   []int32           // what is made of a step, reused
	sends  []Transfer
}

// part is an array of the block.
type part struct {
	name   string
	offset int64 // in the block
	bytes  int64
	memory Memory
	// put writes a step's array to the block's copy in the host's memory, and returns how long it is.
	put func(s *engine.Step, to []byte) int
}

// inputs says for each of engine.Inputs how long it is at most, and what it holds; list is room for what a step does not have as it is. What may be
// longest by far comes last: copies end with what a step has.
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
	{"types", stepTokens, func(s *engine.Step, list []int32) []int32 {
		if len(s.Types) == s.T() {
			return s.Types
		}
		return append(list, make([]int32, s.T())...) // all 0
	}},
	{"seq_start", func(l *limits.Limits) int { return l.MaxSequences + 1 }, func(s *engine.Step, _ []int32) []int32 { return s.SeqStart }},
	{"drafts", func(l *limits.Limits) int { return l.MaxRows }, func(s *engine.Step, _ []int32) []int32 { return s.Drafts }},
	{"source_length", func(l *limits.Limits) int { return l.MaxSequences }, func(s *engine.Step, _ []int32) []int32 { return s.Source.Length }},
	{"source_start", func(l *limits.Limits) int { return l.MaxSequences + 1 }, func(s *engine.Step, _ []int32) []int32 { return s.Source.Start }},
	{"pages", mostPages, func(s *engine.Step, _ []int32) []int32 { return s.Pages }},
	{"source_pages", mostPages, func(s *engine.Step, _ []int32) []int32 { return s.Source.Pages }},
}

// fewRead are those that only programs with launches that read them have: of whole sequences, and of texts.
var fewRead = map[string]bool{"types": true, "seq_start": true, "source_length": true, "source_start": true, "source_pages": true}

// reads tells whether a launch of the program reads an array of the step.
func reads(p *engine.Program, input string) bool {
	return slices.ContainsFunc(p.Launches, func(l engine.Launch) bool {
		return engine.FindKernel(l.Kernel).Operand(&l, input).Kind == engine.OperandInput
	})
}

// mostPages are those of all sequences, or of all their texts, at full length.
func mostPages(l *limits.Limits) int {
	return l.MaxSequences * ((l.MaxContext + l.PageSize - 1) / l.PageSize)
}

func stepTokens(l *limits.Limits) int { return l.MaxStepTokens }

func sampledTokens(s *engine.Step, list []int32) []int32 {
	for i := range s.Rows {
		list = append(list, s.Rows[i].Token)
	}
	return list
}

// add appends an array to the block.
func (a *arrays) add(name string, bytes int, put func(s *engine.Step, to []byte) int) {
	a.parts = append(a.parts, part{name: name, offset: a.bytes, bytes: int64(bytes), put: put})
	a.bytes += RangeBytes([]Range{{name, int64(bytes)}})
}

// plan says what the block holds: work lists first, whose shapes come with the program's launches. sampling and adapters are nil where nothing is sampled, and
// where adapters add nothing.
func (a *arrays) plan(l *limits.Limits, p *engine.Program, sampling *sampling, adapters *adapters) (shapes []workShape, of []int, err error) {
	for i := range p.Launches {
		shape, ok, err := newWorkShape(p, &p.Launches[i], largest(l))
		if err != nil {
			return nil, nil, err
		}
		number := -1
		if ok {
			if number = slices.Index(shapes, shape); number < 0 {
				number = len(shapes)
				shapes = append(shapes, shape)
				a.add("items", 4*shape.words(), func(s *engine.Step, to []byte) int {
					a.list = shape.list(a.list[:0], s)
					return putInts(to, a.list)
				})
			}
		}
		of = append(of, number)
	}
	if sampling != nil && sampling.found != nil {
		a.add("sampling", l.MaxRows*engine.SampleRowBytes, func(_ *engine.Step, to []byte) int { return copy(to, sampling.records) })
	}
	for _, in := range inputs {
		if fewRead[in.name] && !reads(p, in.name) {
			continue
		}
		a.add(in.name, 4*in.most(l), func(s *engine.Step, to []byte) int { return putInts(to, in.of(s, a.list[:0])) })
	}
	if width := softWidth(p); width > 0 { // with what may be longest
		a.add("soft", 4*width*l.MaxStepTokens, func(s *engine.Step, to []byte) int { return putFloats(to, s.Soft) })
	}
	adapters.plan(a, l)
	return shapes, of, nil
}

// softWidth is how many numbers a row has that the program's steps bring instead of tokens, or in place of theirs; 0: they bring none.
func softWidth(p *engine.Program) int {
	for i := range p.Launches {
		l := &p.Launches[i]
		if k := engine.FindKernel(l.Kernel); k.Operand(l, "soft").Kind == engine.OperandInput {
			return int(p.Buffers[k.Operand(l, "y").Index].Cols)
		}
	}
	return 0
}

// putFloats is putInts of floats.
func putFloats(to []byte, values []float32) int {
	for i, v := range values {
		binary.LittleEndian.PutUint32(to[4*i:], math.Float32bits(v))
	}
	return 4 * len(values)
}

// putInts writes numbers as devices read them, and returns how many bytes that are.
func putInts(to []byte, values []int32) int {
	for i, v := range values {
		binary.LittleEndian.PutUint32(to[4*i:], uint32(v))
	}
	return 4 * len(values)
}

// take allocates arrays for the largest step: those of the block one after the other.
func (a *arrays) take(d allocator, l *limits.Limits, p *engine.Program, sampling *sampling, adapters *adapters) error {
	shapes, of, err := a.plan(l, p, sampling, adapters)
	if err != nil {
		return err
	}
	a.memory, a.of = map[string]Memory{}, make([]Memory, len(of))
	for i := range a.parts {
		part := &a.parts[i]
		if part.memory, err = d.Alloc(part.name, part.bytes); err != nil {
			return err
		}
		if i >= len(shapes) {
			a.memory[part.name] = part.memory
		}
	}
	for launch, shape := range of {
		if shape >= 0 {
			a.of[launch] = a.parts[shape].memory
		}
	}
	room := max(l.MaxRows, 1)
	if reads(p, "types") {
		room = max(room, l.MaxStepTokens)
	}
	a.list = make([]int32, 0, room)
	return a.takeTickets(d, p)
}

// takeTickets allocates counters for the launch that has most. They are zero again after each.
func (a *arrays) takeTickets(d allocator, p *engine.Program) error {
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

// write sends a step to the device. block is a copy of the block in the host's memory that the device can read, and stays as it is until that is done.
func (a *arrays) write(d Driver, s *engine.Step, block []byte) error {
	a.sends = a.sends[:0]
	for i := range a.parts {
		p := &a.parts[i]
		room := block[p.offset : p.offset+p.bytes]
		if n := p.put(s, room); n > 0 {
			a.sends = append(a.sends, Transfer{p.memory, room[:n]})
		}
	}
	if err := d.Send(a.sends); err != nil {
		return fmt.Errorf("a step's arrays: %w", err)
	}
	return nil
}

// decodeFloats reads little-endian f32.
func decodeFloats(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}
