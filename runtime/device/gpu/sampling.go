package gpu

import (
	"encoding/binary"
	"fmt"

	"llmc/engine"
	"llmc/runtime/device/limits"
	"llmc/runtime/sample"
)

// sampling tells the launches that sample a step's rows what is wanted.
type sampling struct {
	found, alternatives *engine.Buffer // nil: the program does not sample
	edits               edits
	records, masks      []byte // on their way
	masked              uint32 // rows of masks
}

// find looks for what the program's launches work with.
func (s *sampling) find(p *engine.Program, vocab int) {
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
		return
	}
	s.edits.seen = make([]uint32, vocab)
}

// take allocates what few steps have, beside the arrays of all.
func (s *sampling) take(d Driver, l *limits.Limits, memory map[string]Memory) error {
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

// ask notes what a step's rows want, and sends what few of them have.
func (s *sampling) ask(a *asked, step *engine.Step, vocab int, memory map[string]Memory) error {
	a.rows, a.host, a.flags = a.rows[:0], a.host[:0], 0
	s.records, s.masks, s.masked, s.edits.bytes = s.records[:0], s.masks[:0], 0, s.edits.bytes[:0]
	if len(step.Drafts) > 0 {
		a.flags = engine.SampleDrafts
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
		a.rows, a.host, a.flags = append(a.rows, r), append(a.host, !ok), a.flags|r.Flags
		s.records = r.Append(s.records)
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
