package gguf

import (
	"fmt"
	"math"

	"llmc/compiler/stored"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// codesQ4_0 gives codes of 0..15 with zero point 8, as int4 has them.
func codesQ4_0(codes []uint8, scales []float32, src []byte) {
	for ; len(src) >= 18; codes, scales, src = codes[32:], scales[1:], src[18:] {
		scales[0] = half(src)
		for i, c := range src[2:18] {
			codes[i], codes[i+16] = c&15, c>>4
		}
	}
}

// matrix describes what is stored of a tensor, nil for plain numbers. In a model of codes, numbers of 16 bits are part of what is to be kept exactly too.
func (r *rows) matrix(coded bool) (*stored.Matrix, error) {
	t := r.info.kind
	if len(r.info.shape) != 2 || t.decode == nil && (t.number != dtype.F16 || !coded) {
		return nil, nil
	}
	var format *quant.Format
	if t.format != "" {
		var err error
		if format, err = quant.Find(t.format); err != nil {
			return nil, err
		}
	}
	plain := t.number
	if plain == dtype.F16 {
		plain = dtype.F32
	}
	return stored.NewMatrix(t.name, format, plain, r.cols, codedRows{r}), nil
}

// isCoded tells whether a tensor is a matrix of codes.
func (t *tensorInfo) isCoded() bool { return len(t.shape) == 2 && t.kind.decode != nil }

// codedRows gives whole rows of a matrix. It implements stored.Source.
type codedRows struct{ *rows }

// ReadRows implements stored.Source.
func (c codedRows) ReadRows(dst []float32, lo int64) error { return c.rows.ReadRows(dst, lo*c.cols) }

// ReadCodes implements stored.Source.
func (c codedRows) ReadCodes(b *quant.Block, lo int64) error {
	t := c.info.kind
	size, groups := c.cols/t.block*t.bytes, len(b.Scales)/max(1, b.Rows)
	for i := range b.Rows {
		row := lo + int64(i)
		if c.dim > 0 {
			row = paired(row, c.dim)
		}
		if row < 0 || row >= c.info.shape[0] {
			return fmt.Errorf("row %d of %d", row, c.info.shape[0])
		}
		offset := c.info.offset + row*size
		scales := b.Scales[i*groups : (i+1)*groups]
		err := c.file.View(offset, size, func(src []byte) { t.codes(b.Codes[i*b.Cols:(i+1)*b.Cols], scales, src) })
		if err != nil {
			return c.info.errorf(c.file.Name, "%w", err)
		}
		for _, s := range scales {
			if math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
				return c.info.errorf(c.file.Name, "has a scale of %g in row %d: the file is damaged", s, row)
			}
		}
	}
	c.file.Release(c.info.offset+lo*size, int64(b.Rows)*size)
	return nil
}
