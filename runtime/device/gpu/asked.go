package gpu

import (
	"encoding/binary"
	"slices"

	"llmc/engine"
	"llmc/runtime/sample"
)

const (
	foundBytes  = 8 * engine.FoundCells
	listedBytes = 8 * engine.MaxAlternatives
)

// asked is what a step's rows want of sampling, and what was found for them. Rows of padding are among the former alone.
type asked struct {
	rows  []engine.SampleRow
	host  []bool // rows that the device is not asked for, or did not answer
	flags uint32 // of all rows

	found  []byte   // pinned: the cells of each row
	listed []byte   // pinned: the alternatives of rows that want them, one after the other
	cells  []uint64 // of both
	next   int      // cell of the next row's alternatives
}

// fetch queues the copies of what the device finds for a step's rows.
func (a *asked) fetch(d Driver, s *sampling, rows int, slots []Memory) error {
	if err := d.Fetch(a.found[:rows*foundBytes], slots[s.found.Slot], s.found.Offset); err != nil {
		return err
	}
	at := 0
	for i := range rows {
		n := 8 * int(a.rows[i].Alternatives)
		if n == 0 {
			continue
		}
		if err := d.Fetch(a.listed[at:at+n], slots[s.alternatives.Slot], s.alternatives.Offset+int64(i)*s.alternatives.Stride); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// read takes what has been fetched, and answers follow from the first row on.
func (a *asked) read(rows int) {
	a.cells = a.cells[:0]
	for _, bytes := range [...][]byte{a.found[:rows*foundBytes], a.listed[:a.listedBytes(rows)]} {
		for ; len(bytes) > 0; bytes = bytes[8:] {
			a.cells = append(a.cells, binary.LittleEndian.Uint64(bytes))
		}
	}
	a.next = rows * engine.FoundCells
}

func (a *asked) listedBytes(rows int) int {
	n := 0
	for i := range rows {
		n += 8 * int(a.rows[i].Alternatives)
	}
	return n
}

// answer gives a row, one after the other, what was found for it, and tells whether that is an answer.
func (a *asked) answer(row, vocab int, out *engine.Sampled) bool {
	r := &a.rows[row]
	alternatives := a.cells[a.next : a.next+int(r.Alternatives)]
	a.next += len(alternatives)
	told := !a.host[row] && sample.Answer(r, a.of(row), alternatives, vocab, out)
	a.host[row] = !told
	return told
}

// accepted gives the rows what the device accepted, and tells whether it knew all tokens.
func (a *asked) accepted(out []engine.Sampled) bool {
	if slices.Contains(a.host, true) {
		return false
	}
	if a.flags&engine.SampleDrafts != 0 {
		for i := range out {
			out[i].Accepted = int32(a.of(i)[engine.FoundAccepted])
		}
	}
	return true
}

// of are the cells of a row.
func (a *asked) of(row int) []uint64 {
	return a.cells[row*engine.FoundCells : (row+1)*engine.FoundCells]
}

// cell is the number of the cell that will have what a row samples. See engine.BeginStep.
func (a *asked) cell(row int) int32 {
	cell := engine.FoundBest
	switch flags := a.rows[row].Flags; {
	case flags&engine.SampleDraws != 0:
		cell = engine.FoundToken
	case flags&engine.SampleChanged != 0:
		cell = engine.FoundEdited
	}
	return int32(row*engine.FoundCells + cell)
}
