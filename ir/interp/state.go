package interp

import (
	"fmt"
	"math"
)

// stateOf returns the rows of the state that token m finds, count of them from first on, which it may change: zeros at position 0. Tokens of a sequence
// come in order, as nothing is left of how the state was before.
func (c *call) stateOf(m, first, count int) ([][]float32, error) {
	cache := c.caches[c.op.Arg("cache").Type.Cache]
	h, position := cache.history(c.int("layer"), c.batch.Seq[m]), int(c.batch.Positions[m])
	if h.next == nil {
		h.next = map[int]int{}
	}
	if position == 0 {
		h.next[first] = 0
		h.k = append(h.k, make([][]float32, max(0, first+count-len(h.k)))...)
		for i := range count {
			h.k[first+i] = make([]float32, cache.row.Dim)
		}
	}
	if position != h.next[first] {
		return nil, fmt.Errorf("token %d is at position %d of a sequence whose state is that of %d tokens", m, position, h.next[first])
	}
	h.next[first]++
	return h.k[first : first+count], nil
}

func (c *call) stateConv() error {
	x := c.arg("x")
	w, err := c.weight("w")
	if err != nil {
		return err
	}
	bias := make([]float32, x.Cols)
	if c.has("bias") {
		b, err := c.weight("bias")
		if err != nil {
			return err
		}
		bias = b.Data
	}
	y := newTensor(x.Rows, x.Cols)
	for m := range x.Rows {
		before, err := c.stateOf(m, 0, w.Rows-1)
		if err != nil {
			return err
		}
		row := x.Row(m)
		for d := range row {
			sum := float64(bias[d]) + float64(w.Row(len(before))[d])*float64(row[d])
			for k, r := range before {
				sum += float64(w.Row(k)[d]) * float64(r[d])
			}
			y.Row(m)[d] = float32(sum / (1 + math.Exp(-sum)))
		}
		copy(before, before[1:])
		before[len(before)-1] = append([]float32(nil), row...)
	}
	c.give(y)
	return nil
}

func (c *call) stateScan() error {
	x, dt, b, to := c.arg("x"), c.arg("dt"), c.arg("b"), c.arg("c")
	a, err := c.weight("a")
	if err != nil {
		return err
	}
	skip, err := c.weight("skip")
	if err != nil {
		return err
	}
	first := int(c.caches[c.op.Arg("cache").Type.Cache].row.Rank)
	y := newTensor(x.Rows, x.Cols)
	for m := range x.Rows {
		states, err := c.stateOf(m, first, a.Rows)
		if err != nil {
			return err
		}
		for d, v := range x.Row(m) {
			raw := float64(dt.Row(m)[d])
			step := max(raw, 0) + math.Log1p(math.Exp(-math.Abs(raw)))
			sum := float64(skip.Data[d]) * float64(v)
			for n, state := range states {
				state[d] = float32(math.Exp(step*float64(a.Row(n)[d]))*float64(state[d]) + step*float64(v)*float64(b.Row(m)[n]))
				sum += float64(state[d]) * float64(to.Row(m)[n])
			}
			y.Row(m)[d] = float32(sum)
		}
	}
	c.give(y)
	return nil
}
