package gpu

import (
	"encoding/binary"
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/runtime/device/limits"
	"llmc/runtime/sample"
)

// sampling tells the launches that sample a step's rows what is wanted.
type sampling struct {
	found, alternatives *engine.Buffer // nil: the program does not sample
	edits               edits
	seats               seats
	records, masks      []byte // on their way
	masked              uint32 // rows of masks
}

// find looks for what the program's launches work with.
func (s *sampling) find(p *engine.Program, vocab int) {
	for i := range p.Launches {
		launch := &p.Launches[i]
		kernel := engine.FindKernel(launch.Kernel)
		for role, buffer := range map[string]**engine.Buffer{"found": &s.found, "alternatives": &s.alternatives} {
			if o := kernel.Operand(launch, role); o.Kind == engine.OperandBuffer && engine.SampleFlags(launch) != 0 {
				*buffer = &p.Buffers[o.Index]
			}
		}
		if o := kernel.Operand(launch, "undo"); o.Kind == engine.OperandBuffer {
			s.edits.most = int(p.Buffers[o.Index].Cols)
		}
	}
	if s.found == nil || s.alternatives == nil {
		s.found = nil
		return
	}
	s.edits.seen = make([]uint32, vocab)
	s.edits.counts = !slices.ContainsFunc(p.Launches, func(l engine.Launch) bool {
		return engine.FindKernel(l.Kernel).Operand(&l, "seen").Kind != engine.OperandNone
	})
}

// take allocates what few steps have, beside the arrays of all.
func (s *sampling) take(d allocator, l *limits.Limits, memory map[string]Memory) error {
	if s.found == nil {
		return nil
	}
	for _, a := range []struct {
		name  string
		bytes int
	}{{"edits", s.edits.most * editBytes}, {"masks", l.MaxRows * 4 * ((l.Vocab + 31) / 32)}} {
		mem, err := d.Alloc(a.name, int64(a.bytes))
		if err != nil {
			return err
		}
		memory[a.name] = mem
	}
	if s.edits.counts {
		return nil
	}
	err := s.seats.take(d, l.MaxRows, l.Vocab)
	memory["seen"] = s.seats.memory
	return err
}

// ask notes what a step's rows want, and sends what few of them have. given is the step as its owner gave it, step as it is run: resolved, perhaps padded.
func (s *sampling) ask(d Driver, a *asked, given, step *engine.Step, vocab int, memory map[string]Memory) error {
	a.rows, a.host, a.flags = a.rows[:0], a.host[:0], 0
	s.records, s.masks, s.masked, s.edits.bytes = s.records[:0], s.masks[:0], 0, s.edits.bytes[:0]
	s.seats.begin()
	if len(step.Drafts) > 0 {
		a.flags = engine.SampleDrafts
	}
	for i := range step.Rows {
		row := &step.Rows[i]
		r, ok := sample.Request(row)
		var err error
		if ok && r.Flags&(engine.SampleEdited|engine.SampleSeen) != 0 {
			ok, err = s.edits.add(row, &r, vocab)
		}
		if err == nil && ok && r.Flags&engine.SampleSeen != 0 {
			r.Seen, err = s.seats.sit(d, row.History, toCome(given, step, row))
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
		if !ok {
			r = engine.SampleRow{}
		}
		if r.Flags&engine.SampleMasked != 0 {
			r.Mask = s.masked
			s.masked++
			for _, word := range row.Sampling.Allowed {
				s.masks = binary.LittleEndian.AppendUint32(s.masks, word)
			}
		}
		a.rows, a.host, a.flags = append(a.rows, r), append(a.host, !ok), a.flags|r.Flags
		s.records = r.Append(s.records)
	}
	if s.seats.counter != nil {
		if err := s.seats.count(d); err != nil {
			return err
		}
	}
	for _, rare := range [...]struct {
		name  string
		bytes []byte
	}{{"edits", s.edits.bytes}, {"masks", s.masks}} {
		if len(rare.bytes) == 0 {
			continue
		}
		if err := memory[rare.name].Write(0, rare.bytes); err != nil {
			return fmt.Errorf("%s: %w", rare.name, err)
		}
	}
	return nil
}

// toCome is the last token before a row where its owner did not know it yet; nil where it did.
func toCome(given, step *engine.Step, row *engine.Row) *int32 {
	if _, ok := engine.RowOf(given.IDs[row.Token]); ok {
		return &step.IDs[row.Token]
	}
	return nil
}
