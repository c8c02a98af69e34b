package stored

import (
	"errors"
	"fmt"

	"llmc/compiler/hf"
	"llmc/internal/quant"
)

var errNoFormat = errors.New("no format has these codes")

// InOrder puts a matrix whose columns are in the order of inputs in place of one whose columns have an order of their own, for readers that can not follow it. Its codes
// are those of a format whose columns say which group they are in, where there is one. Other tensors are returned as they are.
func InOrder(c *hf.Checkpoint, t *hf.Tensor) *hf.Tensor {
	m := Of(t)
	if m == nil || m.Order == nil {
		return t
	}
	if order := c.Lookup(OrderName(t.Name)); order != nil {
		c.Drop(order)
	}
	sorted := &Matrix{Method: m.Method, Plain: m.Plain, cols: m.cols, source: inOrder{m.source, m.Order}}
	if g, ok := m.source.(*grid); ok {
		sorted.setOrdered(g)
	}
	c.PutCoded(t.Name, m.Method, t.Shape, sorted, t)
	return c.Lookup(t.Name)
}

// setOrdered makes the matrix one of a grid's codes in the order of inputs, each column of which says its group, where a format has them.
func (m *Matrix) setOrdered(g *grid) {
	m.source = orderedGrid{g.unsorted()}
	m.Format = g.orderedFormat()
}

// inOrder moves the columns of a matrix back to where its inputs are.
type inOrder struct {
	source
	order []int32
}

func (s inOrder) codes(*quant.Block, *quant.Format, int64) error { return errNoFormat }

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

// orderedGroups are the lengths of groups of formats whose columns say which group they are in, which tell how many there may be.
var orderedGroups = []int64{128, 64, 32, 16}

// orderedFormat returns the format that has a grid's codes with the group of each column, nil if there is none: the one with the fewest groups that has as many as the file.
func (g *grid) orderedFormat() *quant.Format {
	if !g.found.half || g.found.least < 0 || g.found.most > 255 {
		return nil
	}
	for _, n := range orderedGroups {
		if ceilDiv(g.cols, n) < g.groups() {
			continue
		}
		if f, err := quant.Find(fmt.Sprintf("int%d-g%d-order", g.bits, n)); err == nil {
			return f
		}
	}
	return nil
}

// orderedGrid is a grid with its columns in the order of inputs.
type orderedGrid struct{ *grid }

// codes says which group each column is in. Groups beyond the file's have no columns, and scale zero.
func (s orderedGrid) codes(b *quant.Block, f *quant.Format, lo int64) error {
	codes, scales, zeros, err := s.read(lo, lo+int64(b.Rows))
	if err != nil {
		return err
	}
	copy(b.Codes, codes)
	have, want := int(s.groups()), f.Groups(b.Cols)
	clear(b.Scales)
	clear(b.Zeros)
	for r := range b.Rows {
		copy(b.Scales[r*want:], scales[r*have:(r+1)*have])
		for i, z := range zeros[r*have : (r+1)*have] {
			b.Zeros[r*want+i] = uint8(z)
		}
		for k := range b.Cols {
			b.Index[r*b.Cols+k] = uint16(s.groupAt(int64(k)))
		}
	}
	return nil
}
