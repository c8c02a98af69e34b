package gguf

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"

	"llmc/compiler/stored"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// codedRow is a row of a quant.Block: what its format has for groups.
type codedRow struct {
	codes        []uint8
	scales       []float32
	steps, zeros []uint8
	index        []uint16 // the group of each code
}

// rowOf returns row i of a block.
func rowOf(b *quant.Block, i int) codedRow {
	return codedRow{share(b.Codes, i, b.Rows), share(b.Scales, i, b.Rows), share(b.Steps, i, b.Rows), share(b.Zeros, i, b.Rows), share(b.Index, i, b.Rows)}
}

// share returns part i of n equal ones.
func share[T any](s []T, i, n int) []T { return s[i*(len(s)/n) : (i+1)*(len(s)/n)] }

// codesQ4_0 gives codes of 0..15 with zero point 8, as int4 has them.
func codesQ4_0(r *codedRow, src []byte) {
	codes, scales := r.codes, r.scales
	for ; len(src) >= 18; codes, scales, src = codes[32:], scales[1:], src[18:] {
		scales[0] = half(src)
		for i, c := range src[2:18] {
			codes[i], codes[i+16] = c&15, c>>4
		}
	}
}

// codesQ4_1 gives codes of 0..15, and for each block a scale and a minimum.
func codesQ4_1(r *codedRow, src []byte) {
	codes, scales := r.codes, r.scales
	for ; len(src) >= 20; codes, scales, src = codes[32:], scales[2:], src[20:] {
		scales[0], scales[1] = half(src), half(src[2:])
		for i, c := range src[4:20] {
			codes[i], codes[i+16] = c&15, c>>4
		}
	}
}

// codesQ5_0 gives codes of 0..31 with zero point 16.
func codesQ5_0(r *codedRow, src []byte) {
	codes, scales := r.codes, r.scales
	for ; len(src) >= 22; codes, scales, src = codes[32:], scales[1:], src[22:] {
		scales[0] = half(src)
		high := binary.LittleEndian.Uint32(src[2:])
		for i, c := range src[6:22] {
			lo, hi := fiveBits(c, high, i)
			codes[i], codes[i+16] = uint8(lo), uint8(hi)
		}
	}
}

// codesIQ4NL gives codes of levels; blocks are as those of Q4_0.
func codesIQ4NL(r *codedRow, src []byte) { codesQ4_0(r, src) }

// codesQ8_0 gives codes of 0..255 with zero point 128, and says that groups follow one another.
func codesQ8_0(r *codedRow, src []byte) {
	for g := 0; len(src) >= 34; g, src = g+1, src[34:] {
		r.scales[g], r.zeros[g] = half(src), 128
		for i, c := range src[2:34] {
			r.codes[32*g+i], r.index[32*g+i] = c^0x80, uint16(g)
		}
	}
}

// codesQ5_1 gives codes of 0..31, and for each block a scale and a minimum.
func codesQ5_1(r *codedRow, src []byte) {
	codes, scales := r.codes, r.scales
	for ; len(src) >= 24; codes, scales, src = codes[32:], scales[2:], src[24:] {
		scales[0], scales[1] = half(src), half(src[2:])
		high := binary.LittleEndian.Uint32(src[4:])
		for i, c := range src[8:24] {
			lo, hi := fiveBits(c, high, i)
			codes[i], codes[i+16] = uint8(lo), uint8(hi)
		}
	}
}

// matrix describes what is stored of a tensor, nil for plain numbers. In a model of codes, numbers of 16 bits are part of what is to be kept exactly too.
func (r *rows) matrix(coded bool) (*stored.Matrix, error) {
	t := r.info.kind
	if len(r.info.shape) != 2 || r.less != 0 || t.decode == nil && (t.number != dtype.F16 || !coded) {
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
	return c.eachRow(lo, b.Rows, func(i int, src []byte) error {
		row := rowOf(b, i)
		c.info.kind.codes(&row, src)
		if c.info.kind.scaled != nil {
			row.scales[len(row.scales)-1] = c.of
		}
		for _, s := range row.scales {
			if math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
				return fmt.Errorf("has a scale of %g: the file is damaged", s)
			}
		}
		return nil
	})
}

// eachRow calls use with the bytes of n rows from lo on, in the order of transformers.
func (r *rows) eachRow(lo int64, n int, use func(i int, src []byte) error) error {
	size := r.cols / r.info.kind.block * r.info.kind.bytes
	for i := range n {
		row := lo + int64(i)
		if r.order != nil {
			row = r.order(row)
		}
		if row < 0 || row >= r.info.shape[0] {
			return fmt.Errorf("row %d of %d", row, r.info.shape[0])
		}
		var inner error
		err := r.file.View(r.info.offset+row*size, size, func(src []byte) { inner = use(i, src) })
		if err = cmp.Or(err, inner); err != nil {
			return r.info.errorf(r.file.Name, "row %d: %w", row, err)
		}
	}
	r.file.Release(r.info.offset+lo*size, int64(n)*size)
	return nil
}

// codesMXFP4: a block begins with its exponent. Blocks of zeros may have any; other exponents, whose halves are no normal numbers, have no format.
func codesMXFP4(r *codedRow, src []byte) {
	for i := 0; len(src) >= 17; i, src = i+1, src[17:] {
		out, any := r.codes[32*i:][:32], byte(0)
		for k, c := range src[1:17] {
			out[k], out[k+16] = c&15, c>>4
			any |= c & 0x77
		}
		if r.scales[i] = powerOfTwo(src[0]); any == 0 {
			r.scales[i] = 0
		}
	}
}
