package interp

import (
	"fmt"
	"slices"

	"llmc/internal/dtype"
	"llmc/ir"
)

// linearHeads multiplies each head's columns with its matrix, once they are rounded as the op's input says.
func (c *call) linearHeads() error {
	x := c.arg("x")
	w, err := c.weight("w")
	if err != nil {
		return err
	}
	heads := x.Cols / w.Cols
	n := w.Rows / heads
	y := newTensor(x.Rows, heads*n)
	for m := range x.Rows {
		row := slices.Clone(x.Row(m))
		for h := range heads {
			part := row[h*w.Cols : (h+1)*w.Cols]
			if err := c.roundInput(part); err != nil {
				return err
			}
			for i := range n {
				y.Row(m)[h*n+i] = float32(dot(part, w.Row(h*n+i)))
			}
		}
	}
	c.give(y)
	return nil
}

// roundInput replaces a head's columns by what linear_heads multiplies.
func (c *call) roundInput(part []float32) error {
	input, group := c.op.Text("input"), c.int("group")
	if c.Exact || input == dtype.F32.String() {
		return nil
	}
	for _, t := range []dtype.Type{dtype.BF16, dtype.F16} {
		if input == t.String() {
			return round(part, t)
		}
	}
	f, store := ir.FindActivation(input), activations[input]
	if f == nil || store == nil {
		return fmt.Errorf("unknown activation format %q", input)
	}
	if f.Group != ir.GroupScales {
		group = len(part)
	}
	for one := range slices.Chunk(part, group) {
		store(one)
	}
	return nil
}

// latentWrite stores c and k side by side as keys; what values are made of is part of them.
func (c *call) latentWrite() error {
	x, k := c.arg("c"), c.arg("k")
	rows := newTensor(x.Rows, x.Cols+k.Cols)
	for m := range x.Rows {
		copy(rows.Row(m)[copy(rows.Row(m), x.Row(m)):], k.Row(m))
	}
	return c.store(rows, Tensor{Rows: x.Rows})
}

func (c *call) latentAttention() error {
	q, turned, heads := c.arg("q"), c.arg("q_rope"), c.int("heads")
	y := newTensor(q.Rows, q.Cols)
	cache := c.caches[c.op.Arg("cache").Type.Cache]
	rank, rope := int(cache.row.Rank), int(cache.row.Dim-cache.row.Rank)
	for m := range q.Rows {
		h, position := cache.history(c.int("layer"), c.batch.Seq[m]), int(c.batch.Positions[m])
		if position < 0 || position >= len(h.k) {
			return fmt.Errorf("token %d attends from position %d of a sequence of %d", m, position, len(h.k))
		}
		for head := range heads {
			query := slices.Concat(q.Row(m)[head*rank:(head+1)*rank], turned.Row(m)[head*rope:(head+1)*rope])
			c.attend(y.Row(m)[head*rank:(head+1)*rank], query, h.k, h.k, 0, m, biases{})
		}
	}
	c.give(y)
	return nil
}
