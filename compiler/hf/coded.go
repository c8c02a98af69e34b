package hf

import (
	"slices"

	"llmc/internal/dtype"
)

// Coded gives the numbers of a matrix that a checkpoint holds as codes with scales, in tensors of its own.
type Coded interface {
	// ReadRows fills dst with the numbers of whole rows from lo on, those of a stack of matrices counted through all of them, those of a vector
	// its elements. It may be called from several goroutines at once.
	ReadRows(dst []float32, lo int64) error
}

// PutCoded adds a tensor of the given name and shape, whose codes are in the file of another one. It is read like a tensor of numbers from then on.
// stored is what messages call its format.
func (c *Checkpoint) PutCoded(name, stored string, shape []int64, codes Coded, of *Tensor) {
	t := &Tensor{Name: name, DType: dtype.F32, Stored: stored, Shape: slices.Clone(shape), file: of.file, codes: codes}
	t.rows = codedRows{1, codes}
	if n := len(shape); n > 1 {
		t.rows = codedRows{shape[n-1], codes}
	}
	c.weights.byName[name] = t
}

// Drop takes tensors off the checkpoint's list.
func (c *Checkpoint) Drop(tensors ...*Tensor) {
	for _, t := range tensors {
		delete(c.weights.byName, t.Name)
	}
}

// Codes returns what a tensor of PutCoded is read from, or WithCodes has given it, nil for other tensors.
func (t *Tensor) Codes() Coded { return t.codes }

// codedRows reads numbers of rows of cols. It knows their length itself: views have others.
type codedRows struct {
	cols  int64
	codes Coded
}

func (c codedRows) readRows(t *Tensor, dst []float32, first int64) error {
	lo, hi := first/c.cols, (first+int64(len(dst))+c.cols-1)/c.cols
	if lo*c.cols == first && (hi-lo)*c.cols == int64(len(dst)) {
		return c.codes.ReadRows(dst, lo)
	}
	rows := make([]float32, (hi-lo)*c.cols)
	if err := c.codes.ReadRows(rows, lo); err != nil {
		return err
	}
	copy(dst, rows[first-lo*c.cols:])
	return nil
}

func (codedRows) readBytes(t *Tensor, _ []byte, _ int64) error {
	return t.Errorf("holds codes (%s), which have no bytes of their own", t.Stored)
}

// ReadBlock fills dst with the stored bytes of columns [left, right) of rows [lo, hi), whatever the dtype.
func (t *Tensor) ReadBlock(dst []byte, lo, hi, left, right int64) error {
	size, cols := int64(t.DType.Size()), t.Cols()
	if left < 0 || right < left || right > cols {
		return t.Errorf("columns %d:%d of %d", left, right, cols)
	}
	width := (right - left) * size
	if err := t.checkRange(lo, hi, t.Rows(), width, int64(len(dst))); err != nil || width == 0 {
		return err
	}
	offset, stride := (lo*cols+left)*size, cols*size
	if file, ok := t.rows.(*weightFile); ok && lo < hi {
		return file.readStrided(t, dst, offset, width, stride)
	}
	for ; len(dst) > 0; dst, offset = dst[width:], offset+stride {
		if err := t.rows.readBytes(t, dst[:width], offset); err != nil {
			return err
		}
	}
	return nil
}

// readStrided fills dst with pieces of width bytes that begin stride bytes apart.
func (w *weightFile) readStrided(t *Tensor, dst []byte, offset, width, stride int64) error {
	n := (int64(len(dst))/width-1)*stride + width
	err := w.mapped.view(w.data+t.begin+offset, n, func(src []byte) {
		for at := int64(0); at < n; at += stride {
			copy(dst, src[at:at+width])
			dst = dst[width:]
		}
	})
	if err != nil {
		return t.Errorf("%w", err)
	}
	return nil
}
