package calib

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"llmc/internal/dense"
)

// Moments adds up the second moments of the inputs of products: for each input, the sum over rows x of x*transpose(x). They lie in a file that is mapped, so that they take no anonymous
// memory: 4 bytes for each pair of an input's columns.
type Moments struct {
	inputs map[string]*Input
	file   *scratchFile
	tasks  int
	rows   dense.Matrix // of one input, as many as are multiplied at a time
}

// Input is what is known of one input.
type Input struct {
	Cols    int
	Rows    int       // that were added up
	Moments []float32 // [Cols, Cols], filled on the diagonal and above it
	Largest []float32 // [Cols], the largest magnitudes; nil unless KeepLargest
}

// MaxMoments bounds the file of moments.
const MaxMoments = 64 << 30

// TooMany tells whether the moments of inputs of so many columns are more than MaxMoments.
func TooMany(inputs map[string]int) bool {
	total := int64(0)
	for _, cols := range inputs {
		total += int64(cols) * int64(cols)
	}
	return total > MaxMoments/4
}

// NewMoments makes room for inputs of so many columns in a file in dir, which has no name if name is empty; else what the file held is there again, for Restore. threads is how many goroutines
// add up: the sums do not depend on it.
func NewMoments(dir, name string, inputs map[string]int, threads int) (*Moments, error) {
	total := int64(0)
	for name, cols := range inputs {
		if cols < 1 || cols > 1<<17 {
			return nil, fmt.Errorf("input %q of %d columns", name, cols)
		}
		total += int64(cols) * int64(cols)
	}
	if total*4 > MaxMoments {
		return nil, fmt.Errorf("second moments of %d inputs take %d GiB, at most %d", len(inputs), total>>28, MaxMoments>>30)
	}
	file, err := newScratchFile(dir, name, total)
	if err != nil {
		return nil, err
	}
	m := &Moments{inputs: map[string]*Input{}, file: file, tasks: max(1, threads)}
	at := int64(0)
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		cols := inputs[name]
		n := int64(cols) * int64(cols)
		m.inputs[name] = &Input{Cols: cols, Moments: file.numbers[at : at+n]}
		at += n
	}
	return m, nil
}

// Restore says that the moments which the file held are of so many rows of an input; 0: they are to be found anew.
func (m *Moments) Restore(name string, rows int) {
	in := m.inputs[name]
	if in == nil {
		return
	}
	if in.Rows = rows; rows == 0 {
		clear(in.Moments)
	}
}

// KeepLargest has the largest magnitudes of columns kept too.
func (m *Moments) KeepLargest() {
	for _, in := range m.inputs {
		in.Largest = make([]float32, in.Cols)
	}
}

// Close gives the file back. Inputs mean nothing afterwards.
func (m *Moments) Close() error { return m.file.close() }

// Of returns what is known of an input, nil where nothing is.
func (m *Moments) Of(name string) *Input {
	in := m.inputs[name]
	if in == nil || in.Rows == 0 {
		return nil
	}
	return in
}

// rowsAtOnce is how many rows are multiplied at a time: of 16 columns they stay in the first-level cache.
const rowsAtOnce = 256

// rowsOfResult is how many rows of a result a goroutine takes at a time.
const rowsOfResult = 32

// Add takes in rows of an input; of others nothing is kept.
func (m *Moments) Add(name string, rows [][]float32) {
	in := m.inputs[name]
	if in == nil || len(rows) == 0 || len(rows[0]) != in.Cols {
		return
	}
	for first := 0; first < len(rows); first += rowsAtOnce {
		m.add(in, rows[first:min(len(rows), first+rowsAtOnce)])
	}
	in.Rows += len(rows)
	if in.Largest == nil {
		return
	}
	for _, row := range rows {
		for c, x := range row {
			in.Largest[c] = max(in.Largest[c], x, -x)
		}
	}
}

func (m *Moments) add(in *Input, rows [][]float32) {
	stride := rowStride(in.Cols)
	if len(m.rows.Data) < rowsAtOnce*stride {
		m.rows.Data = make([]float32, rowsAtOnce*stride)
	}
	m.rows.Stride = stride
	for i, row := range rows {
		copy(m.rows.Row(i, in.Cols), row)
	}
	h := dense.Matrix{Data: in.Moments, Stride: in.Cols}
	spread(m.tasks, in.Cols, func(i int) {
		dense.AddTransposed(h.At(i, i), m.rows.At(0, i), m.rows.At(0, i), min(rowsOfResult, in.Cols-i), in.Cols-i, len(rows))
	})
}

// spread calls do with the first of every rowsOfResult of n rows, from as many goroutines.
func spread(tasks, n int, do func(first int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range tasks {
		all.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := 0; i < n; i += rowsOfResult {
		next <- i
	}
	close(next)
	all.Wait()
}

// rowStride is how far rows of cols numbers are apart: an odd number of cache lines, so that they are spread over all sets of a cache.
func rowStride(cols int) int {
	stride := (cols+15)/16*16 + 16
	if stride/16%2 == 0 {
		stride += 16
	}
	return stride
}
