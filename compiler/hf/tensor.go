package hf

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"

	"llmc/internal/dtype"
)

// Tensor is a named array of a checkpoint. Its first axis are the rows; the other axes together are the columns.
// A Tensor may be read from several goroutines at once.
type Tensor struct {
	Name   string
	DType  dtype.Type // Invalid when this program does not know the dtype
	Stored string     // the dtype's name in the file
	Shape  []int64

	file       string // that holds it
	begin, end int64  // its bytes in the file's data
	rows       rowSource
	contained  bool  // stored bytes are those of a Container's format, whatever DType says
	codes      Coded // of those that PutCoded made or WithCodes was given
}

// rowSource gives rows of tensors as numbers.
type rowSource interface {
	// readRows fills dst with elements [first, first+len(dst)) of t in row-major order.
	readRows(t *Tensor, dst []float32, first int64) error
	// readBytes fills dst with stored bytes of t from offset on.
	readBytes(t *Tensor, dst []byte, offset int64) error
}

// Rows returns the length of the first axis, 1 for a scalar.
func (t *Tensor) Rows() int64 {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[0]
}

// Cols returns the number of elements of a row.
func (t *Tensor) Cols() int64 {
	n := int64(1)
	for _, d := range t.Shape[min(1, len(t.Shape)):] {
		n *= d
	}
	return n
}

// Elements returns the number of elements.
func (t *Tensor) Elements() int64 { return t.Rows() * t.Cols() }

// View returns the same elements as rows of cols, so that an array of matrices can be read as the rows of all of them.
func (t *Tensor) View(cols int64) (*Tensor, error) {
	if t.Cols() == cols {
		return t, nil
	}
	if cols < 1 || t.Elements()%cols != 0 {
		return nil, t.Errorf("has %d elements, which are no rows of %d", t.Elements(), cols)
	}
	view := *t
	view.Shape = []int64{t.Elements() / cols, cols}
	return &view, nil
}

// Bytes returns the size of the tensor in its file, 0 for random weights.
func (t *Tensor) Bytes() int64 { return t.end - t.begin }

// File returns the name of the file that holds the tensor.
func (t *Tensor) File() string { return t.file }

// Errorf returns an *Error about the tensor.
func (t *Tensor) Errorf(format string, args ...any) error {
	return tensorError(t.file, t.Name, format, args...)
}

// ReadRows fills dst with rows [lo, hi) as numbers; dst has (hi-lo)*Cols() elements.
func (t *Tensor) ReadRows(dst []float32, lo, hi int64) error {
	cols := t.Cols()
	if err := t.checkRange(lo, hi, t.Rows(), cols, int64(len(dst))); err != nil {
		return err
	}
	if err := t.CheckFloat(); err != nil {
		return err
	}
	return t.rows.readRows(t, dst, lo*cols)
}

// ReadColumns fills dst with columns [lo, hi) of a matrix, one after the other: rows [lo, hi) of its transpose.
func (t *Tensor) ReadColumns(dst []float32, lo, hi int64) error {
	return t.ReadColumnsOf(dst, lo, hi, 0, t.Rows())
}

// ReadColumnsOf is ReadColumns of rows [top, bottom) of the matrix.
func (t *Tensor) ReadColumnsOf(dst []float32, lo, hi, top, bottom int64) error {
	if n := len(t.Shape); n != 2 && (n != 3 || t.Shape[1] != 1) { // three dimensions has the convolution of each channel by itself
		return t.Errorf("has shape %v instead of that of a matrix", t.Shape)
	}
	if top < 0 || bottom < top || bottom > t.Rows() {
		return t.Errorf("rows %d:%d of %d", top, bottom, t.Rows())
	}
	rows, cols, width := bottom-top, t.Cols(), hi-lo
	if err := t.checkRange(lo, hi, cols, rows, int64(len(dst))); err != nil {
		return err
	}
	if err := t.CheckFloat(); err != nil {
		return err
	}
	part := make([]float32, width)
	for r := range rows {
		if err := t.rows.readRows(t, part, (top+r)*cols+lo); err != nil {
			return err
		}
		for c, x := range part {
			dst[int64(c)*rows+r] = x
		}
	}
	return nil
}

// ReadRaw fills dst with the bytes that the file stores for rows [lo, hi), whatever the dtype.
func (t *Tensor) ReadRaw(dst []byte, lo, hi int64) error {
	size := t.rowBytes()
	if err := t.checkRange(lo, hi, t.Rows(), size, int64(len(dst))); err != nil {
		return err
	}
	return t.rows.readBytes(t, dst, lo*size)
}

func (t *Tensor) rowBytes() int64 {
	if t.contained {
		return t.Bytes() / max(1, t.Rows())
	}
	return t.Cols() * int64(t.DType.Size())
}

// checkRange verifies a request for count [lo, hi) of total things of size elements into room elements.
func (t *Tensor) checkRange(lo, hi, total, size, room int64) error {
	if lo < 0 || hi < lo || hi > total {
		return t.Errorf("range %d:%d of %d", lo, hi, total)
	}
	if (hi-lo)*size != room {
		return t.Errorf("range %d:%d takes room for %d, not %d", lo, hi, (hi-lo)*size, room)
	}
	return nil
}

// checkSize verifies that dtype and shape take the bytes that data_offsets give.
func (t *Tensor) checkSize() error {
	if t.begin > t.end {
		return t.Errorf("data_offsets [%d, %d] are reversed", t.begin, t.end)
	}
	elements := uint64(1)
	for _, d := range t.Shape {
		hi, lo := bits.Mul64(elements, uint64(d))
		if hi != 0 || lo > maxElements {
			return t.Errorf("shape %v has more than %d elements", t.Shape, int64(maxElements))
		}
		elements = lo
	}
	if t.DType == dtype.Invalid {
		return nil
	}
	if want := int64(elements) * int64(t.DType.Bits()) / 8; want != t.end-t.begin {
		return t.Errorf("shape %v of %s takes %d bytes, but data_offsets [%d, %d] give %d", t.Shape, t.Stored, want, t.begin, t.end, t.end-t.begin)
	}
	return nil
}

// CheckFloat returns an error unless the tensor holds plain floating point numbers.
func (t *Tensor) CheckFloat() error {
	if converters[t.DType] == nil {
		return t.Errorf("holds %s; weights without scales must be F32, F16, BF16 or F64", clip(t.Stored))
	}
	return nil
}

// CheckShape returns an error unless the tensor has the shape.
func (t *Tensor) CheckShape(shape ...int64) error {
	if !slices.Equal(t.Shape, shape) {
		return t.Errorf("has shape %v instead of %v, which config.json asks for", t.Shape, shape)
	}
	return nil
}

// String returns name, dtype and shape.
func (t *Tensor) String() string { return fmt.Sprintf("%s %s%v", t.Name, t.Stored, t.Shape) }

// Equal tells whether two tensors hold the same bytes in the same shape.
func Equal(a, b *Tensor) (bool, error) {
	if a.Stored != b.Stored || !slices.Equal(a.Shape, b.Shape) {
		return false, nil
	}
	size := a.rowBytes()
	step := max(1, equalBlock/max(1, size))
	one, two := make([]byte, step*size), make([]byte, step*size)
	for lo := int64(0); lo < a.Rows(); lo += step {
		hi := min(a.Rows(), lo+step)
		one, two = one[:(hi-lo)*size], two[:(hi-lo)*size]
		if err := a.ReadRaw(one, lo, hi); err != nil {
			return false, err
		}
		if err := b.ReadRaw(two, lo, hi); err != nil {
			return false, err
		}
		if !bytes.Equal(one, two) {
			return false, nil
		}
	}
	return true, nil
}

// equalBlock is how many bytes Equal compares at a time.
const equalBlock = 1 << 20
