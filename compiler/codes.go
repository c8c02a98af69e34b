package compiler

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"sync"

	"llmc/compiler/calib"
	"llmc/internal/quant"
	"llmc/ir"
)

// codeFile keeps codes that a calibration has chosen, so that the plan that is measured and those of several targets have them chosen once. It holds a byte for each code, and is gone with
// the calibration's other files. Rows are kept by where they come from, whatever weights a target has joined of them.
type codeFile struct {
	file    *os.File
	lock    sync.Mutex
	sources map[string][]int64 // by format and source: where each row lies, plus one; 0 for rows that are not there, rowNearest
	end     int64
}

func newCodeFile(dir string) (*codeFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, "codes"), os.O_RDWR|os.O_CREATE, 0o600)
	return &codeFile{file: f, sources: map[string][]int64{}}, err
}

func (f *codeFile) close() error { return f.file.Close() }

// sourceRows are rows [first, last) of a weight in a format, and where they come from.
type sourceRows struct {
	format      *quant.Format
	recipe      *ir.Recipe
	cols        int64
	first, last int64
}

func (j *packJob) sourceRows(first, last int64) sourceRows {
	return sourceRows{j.format, j.weight.Recipe, j.cols, first, last}
}

// What is known of rows, instead of where they lie.
const (
	rowUnknown = 0
	rowNearest = -1 // the calibration says nothing of their input: their codes are the nearest ones
	rowChosen  = 1
)

// stateOf is what rows have in common, rowUnknown if that is nothing. Rows of zeros are in every state.
func (f *codeFile) stateOf(r sourceRows) int {
	f.lock.Lock()
	defer f.lock.Unlock()
	all, begun := rowNearest, false
	for run := range r.recipe.Runs(r.cols, r.first, r.last) {
		if run.Source.Kind == ir.FromZeros {
			continue
		}
		places := f.sources[r.key(run)]
		for i := run.First; i < run.First+run.Rows; i++ {
			state := rowUnknown
			if i < int64(len(places)) {
				state = int(min(places[i], rowChosen))
			}
			if begun && state != all {
				return rowUnknown
			}
			all, begun = state, true
		}
	}
	return all
}

// nearest notes that the calibration says nothing of the rows.
func (f *codeFile) nearest(r sourceRows) {
	f.lock.Lock()
	defer f.lock.Unlock()
	for run := range r.recipe.Runs(r.cols, r.first, r.last) {
		key := r.key(run)
		if key == "" || run.Source.Kind == ir.FromZeros {
			continue
		}
		for i := range run.Rows {
			f.place(key, run.First+i, rowNearest)
		}
	}
}

// place notes where a row lies, plus one, or what else is known of it. f.lock is held.
func (f *codeFile) place(key string, row, at int64) {
	places := f.sources[key]
	if more := row + 1 - int64(len(places)); more > 0 {
		places = append(places, make([]int64, more)...)
	}
	places[row] = at
	f.sources[key] = places
}

// key names the source of a run, "" where its rows are not kept.
func (r *sourceRows) key(run ir.Run) string {
	if source := sourceKey(run.Source, r.cols); source != "" {
		return r.format.Name + " " + source
	}
	return ""
}

// load brings the rows, and tells what they lose, if all of them are there.
func (f *codeFile) load(r sourceRows, b *quant.Block) (loss calib.Loss, there bool, err error) {
	b.Resize(r.format, int(r.last-r.first), int(r.cols))
	var row quant.Block
	row.Resize(r.format, 1, int(r.cols))
	data := make([]byte, rowBytes(&row))
	at := 0
	for run := range r.recipe.Runs(r.cols, r.first, r.last) {
		if run.Source.Kind == ir.FromZeros {
			b.SetZero(r.format, at, int(run.Rows))
			at += int(run.Rows)
			continue
		}
		for i := range run.Rows {
			place := f.find(r.key(run), run.First+i)
			if place < 0 {
				return loss, false, nil
			}
			if _, err := f.file.ReadAt(data, place); err != nil {
				return loss, false, err
			}
			loss.Add(setRow(&row, data))
			b.SetRows(at, &row)
			at++
		}
	}
	return loss, true, nil
}

// find returns where a row lies, below 0 where it is not there.
func (f *codeFile) find(key string, row int64) int64 {
	f.lock.Lock()
	defer f.lock.Unlock()
	if places := f.sources[key]; row < int64(len(places)) {
		return places[row] - 1
	}
	return -1
}

// keep takes in the rows, each with what it loses.
func (f *codeFile) keep(r sourceRows, b *quant.Block, losses []calib.Loss) error {
	var row quant.Block
	at := 0
	for run := range r.recipe.Runs(r.cols, r.first, r.last) {
		key := r.key(run)
		for i := range run.Rows {
			if key == "" || run.Source.Kind == ir.FromZeros {
				at++
				continue
			}
			row.SetRow(r.format, b, at)
			data := appendRow(nil, &row, losses[at])
			if err := f.write(key, run.First+i, data); err != nil {
				return err
			}
			at++
		}
	}
	return nil
}

func (f *codeFile) write(key string, row int64, data []byte) error {
	f.lock.Lock()
	at := f.end
	f.end += int64(len(data))
	f.lock.Unlock()
	if _, err := f.file.WriteAt(data, at); err != nil {
		return err
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	f.place(key, row, at+1)
	return nil
}

// rescale gives a row, if it is there, other scales. before says that what it was stays in the file too, so that who begins anew finds it.
func (f *codeFile) rescale(format *quant.Format, key string, row int64, cols int, scale func(i int) float32, before bool) error {
	place := f.find(key, row)
	if place < 0 {
		return nil
	}
	var b quant.Block
	b.Resize(format, 1, cols)
	data := make([]byte, rowBytes(&b))
	if _, err := f.file.ReadAt(data, place); err != nil {
		return err
	}
	loss := setRow(&b, data)
	for i := range b.Scales {
		b.Scales[i] = scale(i)
	}
	if data = appendRow(data[:0], &b, loss); before {
		return f.write(key, row, data)
	}
	_, err := f.file.WriteAt(data, place)
	return err
}

// lossBytes is what a row's loss takes.
const lossBytes = 16

// rowBytes is what a block of one row takes, with what it loses.
func rowBytes(b *quant.Block) int {
	return len(b.Codes) + len(b.Zeros) + len(b.Steps) + 4*len(b.Scales) + lossBytes
}

func appendRow(data []byte, b *quant.Block, loss calib.Loss) []byte {
	for _, part := range [][]byte{b.Codes, b.Zeros, b.Steps} {
		data = append(data, part...)
	}
	for _, x := range b.Scales {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	data = binary.LittleEndian.AppendUint64(data, math.Float64bits(loss.Err))
	return binary.LittleEndian.AppendUint64(data, math.Float64bits(loss.Ref))
}

func setRow(b *quant.Block, data []byte) calib.Loss {
	for _, part := range [][]byte{b.Codes, b.Zeros, b.Steps} {
		data = data[copy(part, data):]
	}
	for i := range b.Scales {
		b.Scales[i] = math.Float32frombits(binary.LittleEndian.Uint32(data))
		data = data[4:]
	}
	return calib.Loss{Err: math.Float64frombits(binary.LittleEndian.Uint64(data)), Ref: math.Float64frombits(binary.LittleEndian.Uint64(data[8:]))}
}
