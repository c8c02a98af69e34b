package stored

import (
	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// Source gives the rows of a matrix that another package reads. Its methods may be called from several goroutines at once.
type Source interface {
	// ReadRows fills dst with the numbers of whole rows from lo on.
	ReadRows(dst []float32, lo int64) error
	// ReadCodes fills b, which has room for its rows, with the codes of rows from lo on.
	ReadCodes(b *quant.Block, lo int64) error
}

// NewMatrix makes a matrix of rows of cols elements that method stores. format may be nil: then only its numbers can be read, of type plain.
func NewMatrix(method string, format *quant.Format, plain dtype.Type, cols int64, from Source) *Matrix {
	return &Matrix{Method: method, Format: format, Plain: plain, cols: cols, source: outside{from}}
}

// SetDigits gives a matrix, which is that of the tensor weight of c, a form in which there are kernels for its codes: each row has the upper digits of all columns, then
// the lower ones, so the input is given twice.
func (m *Matrix) SetDigits(c *hf.Checkpoint, weight string, format *quant.Format, from Source) {
	order := make([]int32, 2*m.cols)
	for k := range order {
		order[k] = int32(int64(k) % m.cols)
	}
	t := c.Lookup(weight)
	m.Digits = &Matrix{Method: m.Method + ", two digits", Format: format, Order: order, cols: 2 * m.cols, source: outside{from}}
	m.Digits.put(c, weight, t.Rows(), t)
}

// outside makes a Source the source of a matrix.
type outside struct{ Source }

func (o outside) values(dst []float32, lo int64) error { return o.ReadRows(dst, lo) }

func (o outside) codes(b *quant.Block, _ *quant.Format, lo int64) error { return o.ReadCodes(b, lo) }
