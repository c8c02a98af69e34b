package compiler

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"sync"

	"llmc/compiler/calib"
	"llmc/internal/quant"
)

// codeFile keeps codes that a calibration has chosen, so that the plan that is measured and those of several targets have them chosen once. It holds a byte for each code, and is gone with
// the calibration's other files.
type codeFile struct {
	file    *os.File
	lock    sync.Mutex
	weights map[string]*codesOfWeight // by format and recipe
	end     int64
}

// codesOfWeight is where the rows of one weight lie, and which are there.
type codesOfWeight struct {
	at   int64
	loss map[[2]int64]calib.Loss // of ranges of rows
}

func newCodeFile(dir string) (*codeFile, error) {
	f, err := os.Create(filepath.Join(dir, "codes"))
	return &codeFile{file: f, weights: map[string]*codesOfWeight{}}, err
}

func (f *codeFile) close() error { return f.file.Close() }

// find returns where rows of a weight are to lie, and what they lose if they are there.
func (f *codeFile) find(j *packJob, first, last int64, size int) (at int64, loss calib.Loss, there bool) {
	f.lock.Lock()
	defer f.lock.Unlock()
	w := f.weights[j.chosen.key]
	if w == nil {
		w = &codesOfWeight{at: f.end, loss: map[[2]int64]calib.Loss{}}
		f.weights[j.chosen.key] = w
		f.end += j.rows * int64(size)
	}
	loss, there = w.loss[[2]int64{first, last}]
	return w.at + first*int64(size), loss, there
}

// load brings rows [first, last) of a weight, whose block has been resized.
func (f *codeFile) load(j *packJob, b *quant.Block, first, last int64) (loss calib.Loss, there bool, err error) {
	b.Resize(j.format, int(last-first), int(j.cols))
	size := rowBytes(b)
	at, loss, there := f.find(j, first, last, size)
	if !there {
		return loss, false, nil
	}
	data := make([]byte, size*b.Rows)
	if _, err := f.file.ReadAt(data, at); err != nil {
		return loss, false, err
	}
	for _, part := range [][]byte{b.Codes, b.Zeros, b.Steps} {
		data = data[copy(part, data):]
	}
	for i := range b.Scales {
		b.Scales[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return loss, true, nil
}

// keep takes in rows [first, last) of a weight.
func (f *codeFile) keep(j *packJob, b *quant.Block, first, last int64, loss calib.Loss) error {
	var data []byte
	for _, part := range [][]byte{b.Codes, b.Zeros, b.Steps} {
		data = append(data, part...)
	}
	for _, x := range b.Scales {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	at, _, _ := f.find(j, first, last, rowBytes(b))
	if _, err := f.file.WriteAt(data, at); err != nil {
		return err
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	f.weights[j.chosen.key].loss[[2]int64{first, last}] = loss
	return nil
}

// rowBytes is what a row of a block takes.
func rowBytes(b *quant.Block) int {
	return (len(b.Codes) + len(b.Zeros) + len(b.Steps) + 4*len(b.Scales)) / b.Rows
}
