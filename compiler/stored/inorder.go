package stored

import "llmc/compiler/hf"

// InOrder puts numbers in the order of inputs in place of a matrix whose columns have an order of their own, for readers that can not follow it: its codes are no
// codes of a format then, since those of a group lie apart. Other tensors are returned as they are.
func InOrder(c *hf.Checkpoint, t *hf.Tensor) *hf.Tensor {
	m := Of(t)
	if m == nil || m.Order == nil {
		return t
	}
	if order := c.Lookup(OrderName(t.Name)); order != nil {
		c.Drop(order)
	}
	c.PutCoded(t.Name, m.Method, t.Shape, &Matrix{Method: m.Method, Plain: m.Plain, cols: m.cols, source: inOrder{m.source, m.Order}}, t)
	return c.Lookup(t.Name)
}

// inOrder moves the columns of a matrix back to where its inputs are.
type inOrder struct {
	source
	order []int32
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
