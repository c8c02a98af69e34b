package interp

import (
	"math"

	"llmc/ir"
)

// product returns x times w transposed, times the norm's factor of each row and plus bias if the op has them: [M,K] x [N,K] -> [M,N].
func (c *call) product() (Tensor, error) {
	x := c.arg("x")
	w, err := c.weight("w")
	if err != nil {
		return Tensor{}, err
	}
	bias := make([]float32, w.Rows)
	if c.has("bias") {
		b, err := c.weight("bias")
		if err != nil {
			return Tensor{}, err
		}
		bias = b.Data
	}
	factors := c.normFactors(x)
	y := newTensor(x.Rows, w.Rows)
	for n := range w.Rows {
		row := w.Row(n)
		for m := range x.Rows {
			sum := 0.0
			for k, v := range x.Row(m) {
				sum += float64(v) * float64(row[k])
			}
			y.Row(m)[n] = float32(sum*factors[m] + float64(bias[n]))
		}
	}
	return y, nil
}

// normFactors returns what the rows of x are to be multiplied with to be normalised; 1 where that is done.
func (c *call) normFactors(x Tensor) []float64 {
	factors := make([]float64, x.Rows)
	for m := range factors {
		factors[m] = 1
		if c.op.Kind.Name == "linear_add" || !c.has("squares") {
			continue
		}
		sum := 0.0
		for _, v := range c.arg("squares").Row(m) {
			sum += float64(v)
		}
		factors[m] = 1 / math.Sqrt(sum/float64(x.Cols)+c.op.Float("eps"))
	}
	return factors
}

func (c *call) linear() error {
	y, err := c.product()
	c.give(y)
	return err
}

// linearSwiGLU takes feature f's gate and up from the blocks of outputs that alternate.
func (c *call) linearSwiGLU() error {
	both, err := c.product()
	if err != nil {
		return err
	}
	y := c.gated(both)
	c.give(y)
	return c.round(y.Data, c.op.Result().Type.DType)
}

func (c *call) linearAdd() error {
	sum, err := c.product()
	if err != nil {
		return err
	}
	norm, err := c.weight("norm")
	if err != nil {
		return err
	}
	residual := c.arg("residual")
	scaled, squares := newTensor(sum.Rows, sum.Cols), newTensor(sum.Rows, (sum.Cols+ir.SquareColumns-1)/ir.SquareColumns)
	for m := range sum.Rows {
		row := sum.Row(m)
		for n := range row {
			row[n] += residual.Row(m)[n]
			scaled.Row(m)[n] = row[n] * norm.Data[n]
			squares.Row(m)[n/ir.SquareColumns] += row[n] * row[n]
		}
	}
	c.give(sum)
	c.give(scaled)
	c.give(squares)
	return c.round(scaled.Data, c.op.Results[1].Type.DType)
}

func (c *call) ropeTurns() error {
	freq, err := c.weight("inv_freq")
	if err != nil {
		return err
	}
	positions, factor := c.arg("positions").Index, c.op.Float("factor")
	y := newTensor(len(positions), 2*freq.Cols)
	for m, position := range positions {
		for i, f := range freq.Row(0) {
			angle := float64(float32(position) * f)
			y.Row(m)[2*i], y.Row(m)[2*i+1] = float32(math.Cos(angle)*factor), float32(math.Sin(angle)*factor)
		}
	}
	c.give(y)
	return nil
}

// linearRopeKV puts the rows of heads in order, turns queries and keys and stores keys and values.
func (c *call) linearRopeKV() error {
	all, err := c.product()
	if err != nil {
		return err
	}
	turns, dim := c.arg("turns"), c.int("dim")
	rotary := int(ir.RotaryDim(c.op, int64(dim)))
	qWidth, kvWidth := c.int("heads")*dim, c.int("kv_heads")*dim
	for m := range all.Rows {
		for head := 0; head < qWidth+kvWidth; head += dim {
			row := all.Row(m)[head : head+rotary]
			stored := append([]float32(nil), row...)
			for i := range rotary / 2 {
				at := i/ir.TurnBlock*2*ir.TurnBlock + i%ir.TurnBlock
				a, b := float64(stored[at]), float64(stored[at+ir.TurnBlock])
				cos, sin := float64(turns.Row(m)[2*i]), float64(turns.Row(m)[2*i+1])
				row[i], row[i+rotary/2] = float32(a*cos-b*sin), float32(b*cos+a*sin)
			}
		}
	}
	q := columns(all, 0, qWidth)
	c.give(q)
	if err := c.round(q.Data, c.op.Results[0].Type.DType); err != nil {
		return err
	}
	return c.store(columns(all, qWidth, kvWidth), columns(all, qWidth+kvWidth, kvWidth))
}
