package stored

import (
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

// outside makes a Source the source of a matrix.
type outside struct{ Source }

func (o outside) values(dst []float32, lo int64) error { return o.ReadRows(dst, lo) }

func (o outside) codes(b *quant.Block, _ *quant.Format, lo int64) error { return o.ReadCodes(b, lo) }
