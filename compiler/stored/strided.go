package stored

import (
	"llmc/compiler/hf"
	"llmc/internal/quant"
)

// PutStrided adds a tensor whose rows are those of the tensor of, in numbers or in codes, that s names.
func PutStrided(c *hf.Checkpoint, name string, of *hf.Tensor, s hf.Strided, shape ...int64) error {
	m := Of(of)
	if m == nil {
		return c.PutStrided(name, of, s, shape...)
	}
	if s.Turned || m.Order != nil || s.Cols != m.cols || s.First+s.Span(s.Rows) > s.Total || of.Elements() != s.Count*s.Total*s.Cols {
		return of.Errorf("has shape %v in codes of %s, from which rows of %d matrices of %d x %d can not be taken", of.Shape, m.Method, s.Count, s.Total, s.Cols)
	}
	part := *m
	part.Digits, part.source = nil, stridedMatrix{m, s}
	c.PutCoded(name, m.Method, shape, &part, of)
	return nil
}

// stridedMatrix is the source of some rows of a stack of matrices.
type stridedMatrix struct {
	of *Matrix
	hf.Strided
}

func (m stridedMatrix) values(dst []float32, lo int64) error {
	for run := range m.Runs(lo, lo+int64(len(dst))/m.Cols) {
		span := make([]float32, m.Span(run.Rows)*m.Cols)
		if err := m.of.values(span, run.Matrix*m.Total+run.First); err != nil {
			return err
		}
		for r := range run.Rows {
			copy(dst[r*m.Cols:(r+1)*m.Cols], span[r*m.Step*m.Cols:])
		}
		dst = dst[run.Rows*m.Cols:]
	}
	return nil
}

func (m stridedMatrix) codes(b *quant.Block, f *quant.Format, lo int64) error {
	var span, row quant.Block
	at := 0
	for run := range m.Runs(lo, lo+int64(b.Rows)) {
		first := run.Matrix*m.Total + run.First
		if err := m.of.ReadCodes(&span, first, first+m.Span(run.Rows)); err != nil {
			return err
		}
		for r := range int(run.Rows) {
			row.SetRow(f, &span, r*int(m.Step))
			b.SetRows(at, &row)
			at++
		}
	}
	return nil
}
