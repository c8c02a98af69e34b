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
	bias, err := c.bias(w.Rows)
	if err != nil {
		return Tensor{}, err
	}
	factors := c.normFactors(x)
	y := newTensor(x.Rows, w.Rows)
	wide, row, sums := make([]float64, len(x.Data)), make([]float64, x.Cols), make([]float64, x.Rows)
	widen(wide, x.Data)
	for n := range w.Rows {
		widen(row, w.Row(n))
		dots(sums, wide, row)
		for m, sum := range sums {
			y.Row(m)[n] = float32(sum*factors[m] + float64(bias[n]))
		}
	}
	return y, nil
}

func widen(to []float64, from []float32) {
	for i, v := range from {
		to[i] = float64(v)
	}
}

// dots computes the dot products of w with the rows that x consists of. Each addition waits for the one before, so four sums go side by side.
func dots(sums, x, w []float64) {
	k, m := len(w), 0
	for ; m+4 <= len(sums); m += 4 {
		a, b, c, d := x[m*k:][:k], x[(m+1)*k:][:k], x[(m+2)*k:][:k], x[(m+3)*k:][:k]
		var s0, s1, s2, s3 float64
		for i, v := range w {
			s0 += a[i] * v
			s1 += b[i] * v
			s2 += c[i] * v
			s3 += d[i] * v
		}
		sums[m], sums[m+1], sums[m+2], sums[m+3] = s0, s1, s2, s3
	}
	for ; m < len(sums); m++ {
		sums[m] = dot(x[m*k:][:k], w)
	}
}

// bias returns the op's bias, zeros if it has none.
func (c *call) bias(n int) ([]float32, error) {
	if !c.has("bias") {
		return make([]float32, n), nil
	}
	b, err := c.weight("bias")
	return b.Data, err
}

func dot[T float32 | float64](a, b []T) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
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

// linear gives a product as it is.
func linear(product func(*call) (Tensor, error)) func(*call) error {
	return func(c *call) error {
		y, err := product(c)
		c.give(y)
		return err
	}
}

// linearSwiGLU takes feature f's gate and up from the blocks of a product's outputs that alternate.
func linearSwiGLU(product func(*call) (Tensor, error)) func(*call) error {
	return func(c *call) error {
		both, err := product(c)
		if err != nil {
			return err
		}
		y := c.gated(both)
		c.give(y)
		return c.round(y.Data, c.op.Result().Type.DType)
	}
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
	parts, _ := c.op.Results[2].Type.Cols()
	scaled, squares := newTensor(sum.Rows, sum.Cols), newTensor(sum.Rows, int(parts))
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
			cos, sin := turnBy(position, f, factor)
			y.Row(m)[2*i], y.Row(m)[2*i+1] = float32(cos), float32(sin)
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
				cos, sin := float64(turns.Row(m)[2*i]), float64(turns.Row(m)[2*i+1])
				row[i], row[i+rotary/2] = turned(stored[at], stored[at+ir.TurnBlock], cos, sin)
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
