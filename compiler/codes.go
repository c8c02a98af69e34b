package compiler

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"

	"llmc/compiler/calib"
	"llmc/internal/quant"
	"llmc/ir"
)

// codeFile keeps codes that a calibration has chosen, so that the plan that is measured and those of several targets, which may have rows in other orders, have them chosen once. It holds a
// byte for each code, and is gone with the calibration's other files, unless a cache keeps it.
type codeFile struct {
	file    *os.File
	lock    sync.Mutex
	sources map[string]*codesOfSource // by format and source of rows
	end     int64
}

// codesOfSource is what is known of the rows of a tensor, or of one that is turned, by their numbers in it.
type codesOfSource struct {
	rowBytes int
	rows     []codedRow
}

// codedRow is where the codes of a row lie, and what they lose.
type codedRow struct {
	state rowState
	at    int64
	loss  calib.Loss
}

type rowState byte

const (
	rowUnknown rowState = iota
	rowChosen           // its codes are in the file
	rowNearest          // the calibration says nothing of its input: its codes are the nearest ones
)

func newCodeFile(dir string) (*codeFile, error) {
	f, err := os.Create(filepath.Join(dir, "codes"))
	return &codeFile{file: f, sources: map[string]*codesOfSource{}}, err
}

func (f *codeFile) close() error { return f.file.Close() }

// codeSource names what the codes of a run's rows depend on, beside the calibration: a format and where the rows come from.
func codeSource(format *quant.Format, run ir.Run, cols int64) string {
	source := *run.Source
	switch source.Kind {
	case ir.Rotated:
		source = *source.Whole(cols)
	case ir.FromTensor:
		source.Start, source.Count = 0, 0
	case ir.FromZeros:
		return fmt.Sprintf("%s zeros %d", format.Name, cols) // whose codes are the nearest, whatever the input: they lose nothing
	}
	return fmt.Sprintf("%s %d %s", format.Name, cols, source.String())
}

// each calls visit for rows [first, last) of a weight, in order, with what is known of them. f.lock is held.
func (f *codeFile) each(j *packJob, first, last int64, visit func(of *codesOfSource, row *codedRow, zeros bool)) {
	for run := range j.weight.Recipe.Runs(j.cols, first, last) {
		key := codeSource(j.format, run, j.cols)
		of := f.sources[key]
		if of == nil {
			of = &codesOfSource{}
			f.sources[key] = of
		}
		zeros := run.Source.Kind == ir.FromZeros
		for i := range run.Rows {
			at := run.First + i
			if zeros {
				at = 0
			}
			for int64(len(of.rows)) <= at {
				of.rows = append(of.rows, codedRow{})
			}
			visit(of, &of.rows[at], zeros)
		}
	}
}

// stateOf is what rows [first, last) of a weight have in common, rowUnknown if that is nothing.
func (f *codeFile) stateOf(j *packJob, first, last int64) rowState {
	f.lock.Lock()
	defer f.lock.Unlock()
	state, begun, zero := rowUnknown, false, rowChosen
	f.each(j, first, last, func(_ *codesOfSource, row *codedRow, zeros bool) {
		switch {
		case zeros:
			zero = row.state
		case !begun:
			state, begun = row.state, true
		case row.state != state:
			state = rowUnknown
		}
	})
	if state == rowChosen {
		return zero
	}
	return state
}

// nearest notes that the calibration says nothing of rows [first, last).
func (f *codeFile) nearest(j *packJob, first, last int64) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.each(j, first, last, func(_ *codesOfSource, row *codedRow, zeros bool) {
		if !zeros {
			row.state = rowNearest
		}
	})
}

// find returns where rows lie, and what they lose; no places: not all are there.
func (f *codeFile) find(j *packJob, first, last int64, rowBytes int) (places []int64, loss calib.Loss) {
	f.lock.Lock()
	defer f.lock.Unlock()
	there := true
	f.each(j, first, last, func(of *codesOfSource, row *codedRow, _ bool) {
		there = there && row.state == rowChosen && of.rowBytes == rowBytes
		places = append(places, row.at)
		loss.Add(row.loss) // in their order, as Rounder.Round does
	})
	if !there {
		return nil, calib.Loss{}
	}
	return places, loss
}

// load brings rows [first, last) of a weight, whose block it resizes.
func (f *codeFile) load(j *packJob, b *quant.Block, first, last int64) (loss calib.Loss, there bool, err error) {
	b.Resize(j.format, int(last-first), int(j.cols))
	size := rowBytes(b)
	places, loss := f.find(j, first, last, size)
	if places == nil {
		return loss, false, nil
	}
	data := make([]byte, size*b.Rows)
	for row := 0; row < len(places); {
		n := 1 // rows that lie side by side
		for row+n < len(places) && places[row+n] == places[row]+int64(n*size) {
			n++
		}
		if _, err := f.file.ReadAt(data[row*size:(row+n)*size], places[row]); err != nil {
			return loss, false, err
		}
		row += n
	}
	for row := range b.Rows {
		rest := data[row*size:]
		for _, part := range [][]byte{b.Codes, b.Zeros, b.Steps} {
			rest = rest[copy(rowOf(part, row, b.Rows), rest):]
		}
		for i, scales := 0, rowOf(b.Scales, row, b.Rows); i < len(scales); i++ {
			scales[i] = math.Float32frombits(binary.LittleEndian.Uint32(rest[4*i:]))
		}
	}
	return loss, true, nil
}

// keep takes in rows of a weight from first on, and what each loses.
func (f *codeFile) keep(j *packJob, b *quant.Block, first int64, losses []calib.Loss) error {
	var data []byte
	for row := range b.Rows {
		for _, part := range [][]byte{b.Codes, b.Zeros, b.Steps} {
			data = append(data, rowOf(part, row, b.Rows)...)
		}
		for _, x := range rowOf(b.Scales, row, b.Rows) {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	}
	f.lock.Lock()
	at := f.end
	f.end += int64(len(data))
	f.lock.Unlock()
	if _, err := f.file.WriteAt(data, at); err != nil {
		return err
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	row, size := 0, rowBytes(b)
	f.each(j, first, first+int64(b.Rows), func(of *codesOfSource, r *codedRow, _ bool) {
		of.rowBytes = size
		*r = codedRow{rowChosen, at + int64(row*size), losses[row]}
		row++
	})
	return nil
}

// rowOf is a row's part of what all rows of a block have.
func rowOf[T any](all []T, row, rows int) []T {
	each := len(all) / rows
	return all[row*each : (row+1)*each]
}

// rowBytes is what a row of a block takes.
func rowBytes(b *quant.Block) int {
	return (len(b.Codes) + len(b.Zeros) + len(b.Steps) + 4*len(b.Scales)) / b.Rows
}
