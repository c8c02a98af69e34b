package stored

import (
	"errors"
	"fmt"

	"llmc/compiler/hf"
	"llmc/internal/quant"
)

var errNoFormat = errors.New("no format has these codes")

// InOrder puts numbers in the order of inputs in place of a matrix whose columns have an order of their own, for readers that can not follow it. Its codes
// are those of a format whose columns say which group they are in, where there is one. Other tensors are returned as they are.
func InOrder(c *hf.Checkpoint, t *hf.Tensor) *hf.Tensor {
	m := Of(t)
	if m == nil || m.Order == nil {
		return t
	}
	if order := c.Lookup(OrderName(t.Name)); order != nil {
		c.Drop(order)
	}
	sorted := inOrder{m.source, m.Order}
	c.PutCoded(t.Name, m.Method, t.Shape, &Matrix{Method: m.Method, Format: sorted.format(), Plain: m.Plain, cols: m.cols, source: sorted}, t)
	return c.Lookup(t.Name)
}

// inOrder moves the columns of a matrix back to where its inputs are.
type inOrder struct {
	source
	order []int32
}

// format returns the format that has the codes in the order of inputs, nil if there is none.
func (s inOrder) format() *quant.Format {
	g, ok := s.source.(*grid)
	if !ok || g.bits != 4 || g.groupOf != nil || g.cols%g.group != 0 {
		return nil
	}
	if !g.found.half || g.found.least < 0 || g.found.most > 15 {
		return nil
	}
	f, err := quant.Find(fmt.Sprintf("int4-g%d-order", g.group))
	if err != nil {
		return nil
	}
	return f
}

// codes moves the columns of the grid's codes, and says which group they are in.
func (s inOrder) codes(b *quant.Block, f *quant.Format, lo int64) error {
	g, ok := s.source.(*grid)
	if !ok {
		return errNoFormat
	}
	codes, scales, zeros, err := g.read(lo, lo+int64(b.Rows))
	if err != nil {
		return err
	}
	copy(b.Scales, scales)
	for i, z := range zeros {
		b.Zeros[i] = uint8(z)
	}
	for r := range b.Rows {
		for i, input := range s.order {
			at := r*b.Cols + int(input)
			b.Codes[at], b.Index[at] = codes[r*b.Cols+i], uint16(i/f.Group)
		}
	}
	return nil
}

func (s inOrder) values(dst []float32, lo int64) error {
	if err := s.source.values(dst, lo); err != nil {
		return err
	}
	sorted := make([]float32, len(s.order))
	for ; len(dst) >= len(sorted) && len(sorted) > 0; dst = dst[len(sorted):] {
		copy(sorted, dst)
		for i, input := range s.order {
			dst[input] = sorted[i]
		}
	}
	return nil
}
