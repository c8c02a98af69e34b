package gpu

import (
	"encoding/binary"
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/runtime/device/limits"
	"llmc/runtime/sample"
)

// sampling tells the launches that sample a step's rows what is wanted, and reads what they found.
type sampling struct {
	found, alternatives *engine.Buffer // nil: the program does not sample
	rows                []engine.SampleRow
	host                []bool // rows that the device is not asked for, or did not answer
	flags               uint32 // of all rows
	edits               edits
	records, masks      []byte // on their way
	masked              uint32 // rows of masks
	bytes               []byte
	cells               []uint64
	listed              int // cells before the next row's alternatives
}

// take finds what the program's launches work with and allocates the step's arrays.
func (s *sampling) take(d Driver, l *limits.Limits, p *engine.Program, memory map[string]Memory) error {
	for i := range p.Launches {
		launch := &p.Launches[i]
		kernel := engine.FindKernel(launch.Kernel)
		for role, buffer := range map[string]**engine.Buffer{"found": &s.found, "alternatives": &s.alternatives} {
			if o := kernel.Operand(launch, role); o.Kind == engine.OperandBuffer && launchFlags[launchKey(launch)] != 0 {
				*buffer = &p.Buffers[o.Index]
			}
		}
		if o := kernel.Operand(launch, "undo"); o.Kind == engine.OperandBuffer {
			s.edits.most = int(p.Buffers[o.Index].Cols)
		}
	}
	if s.found == nil || s.alternatives == nil {
		s.found = nil
		return nil
	}
	s.edits.seen = make([]uint32, l.Vocab)
	for _, a := range []struct {
		name  string
		bytes int
	}{
		{"sampling", l.MaxRows * engine.SampleRowBytes}, {"edits", s.edits.most * editBytes}, {"masks", l.MaxRows * 4 * ((l.Vocab + 31) / 32)},
	} {
		mem, err := d.Alloc(a.name, int64(a.bytes))
		if err != nil {
			return err
		}
		memory[a.name] = mem
	}
	return nil
}

// launchFlags says which rows want a launch of sampling, by kernel and pass; the other launches have every step.
var launchFlags = map[string]uint32{
	"cuda.sample_mass raw":   engine.SampleLogprobs,
	"cuda.sample_rank":       engine.SampleAlternatives,
	"cuda.sample_edit":       engine.SampleEdited,
	"cuda.sample_scan drawn": engine.SampleEdited | engine.SampleMasked,
	"cuda.sample_mass drawn": engine.SampleDraws,
	"cuda.sample_draw":       engine.SampleDraws,
	"cuda.sample_finish":     engine.SampleEdited | engine.SampleLogprobs,
	"cuda.accept":            engine.SampleDrafts,
}

func launchKey(l *engine.Launch) string {
	if pass := l.Text("pass", ""); pass != "" {
		return l.Kernel + " " + pass
	}
	return l.Kernel
}

// write copies what a step wants to the device.
func (s *sampling) write(step *engine.Step, vocab int, memory map[string]Memory) error {
	s.rows, s.host, s.flags = s.rows[:0], s.host[:0], 0
	s.records, s.masks, s.masked, s.edits.bytes = s.records[:0], s.masks[:0], 0, s.edits.bytes[:0]
	if len(step.Drafts) > 0 {
		s.flags = engine.SampleDrafts
	}
	for i := range step.Rows {
		row := &step.Rows[i]
		r, ok := sample.Request(row)
		if ok && r.Flags&engine.SampleEdited != 0 {
			var err error
			if ok, err = s.edits.add(row, &r, vocab); err != nil {
				return fmt.Errorf("row %d: %w", i, err)
			}
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
		s.rows, s.host, s.flags = append(s.rows, r), append(s.host, !ok), s.flags|r.Flags
		s.records = r.Append(s.records)
	}
	for _, a := range [...]struct {
		name  string
		bytes []byte
	}{{"sampling", s.records}, {"edits", s.edits.bytes}, {"masks", s.masks}} {
		if err := memory[a.name].Write(0, a.bytes); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}

// clear empties the rows in which the device answers.
func (s *sampling) clear(rows int, slots []Memory) error {
	s.bytes = slices.Grow(s.bytes[:0], rows*foundBytes)[:rows*foundBytes]
	clear(s.bytes)
	return slots[s.found.Slot].Write(s.found.Offset, s.bytes)
}

const foundBytes = 8 * engine.FoundCells

// read copies what was found for the step's rows: their cells, then the alternatives of rows that want them. Rows of padding are left out.
func (s *sampling) read(step *engine.Step, slots []Memory) error {
	rows := len(step.Rows)
	s.bytes = s.bytes[:rows*foundBytes]
	if err := slots[s.found.Slot].Read(s.found.Offset, s.bytes); err != nil {
		return err
	}
	for i := range step.Rows {
		if n := 8 * int(s.rows[i].Alternatives); n > 0 {
			at := len(s.bytes)
			s.bytes = slices.Grow(s.bytes, n)[:at+n]
			if err := slots[s.alternatives.Slot].Read(s.alternatives.Offset+int64(i)*s.alternatives.Stride, s.bytes[at:]); err != nil {
				return err
			}
		}
	}
	s.cells = s.cells[:0]
	for rest := s.bytes; len(rest) > 0; rest = rest[8:] {
		s.cells = append(s.cells, binary.LittleEndian.Uint64(rest))
	}
	s.listed = rows * engine.FoundCells
	return nil
}

// answer gives a row, one after the other, what was found for it, and tells whether that is an answer.
func (s *sampling) answer(row, vocab int, out *engine.Sampled) bool {
	r := &s.rows[row]
	alternatives := s.cells[s.listed : s.listed+int(r.Alternatives)]
	s.listed += len(alternatives)
	told := !s.host[row] && sample.Answer(r, s.of(row), alternatives, vocab, out)
	s.host[row] = !told
	return told
}

// accepted gives the rows what the device accepted, and tells whether it knew all tokens.
func (s *sampling) accepted(out []engine.Sampled) bool {
	if slices.Contains(s.host, true) {
		return false
	}
	if s.flags&engine.SampleDrafts != 0 {
		for i := range out {
			out[i].Accepted = int32(s.of(i)[engine.FoundAccepted])
		}
	}
	return true
}

// of are the cells of a row.
func (s *sampling) of(row int) []uint64 {
	return s.cells[row*engine.FoundCells : (row+1)*engine.FoundCells]
}
