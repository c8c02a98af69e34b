package grad

import "llmc/ir"

// apply gives a function of each number.
func (t *Tape) apply(op *ir.Op, f func(x float64) float64) error {
	x, y := t.values[op.Arg("x")], t.values[op.Result()]
	t.rows(func(m int) {
		n := len(x) / t.tokens
		for i := m * n; i < (m+1)*n; i++ {
			y[i] = float32(f(float64(x[i])))
		}
	})
	return nil
}

// applyBack adds what the function's slope makes of each.
func (t *Tape) applyBack(op *ir.Op, slope func(x float64) float64) error {
	g, x, to := t.slopes[op.Result()], t.values[op.Arg("x")], t.slope(op.Arg("x"))
	if g == nil || to == nil {
		return nil
	}
	t.rows(func(m int) {
		n := len(x) / t.tokens
		for i := m * n; i < (m+1)*n; i++ {
			to[i] += float32(g[i] * float32(slope(float64(x[i]))))
		}
	})
	return nil
}

// rows calls do with every token.
func (t *Tape) rows(do func(m int)) { t.each(t.tokens, do) }

func (t *Tape) scale(op *ir.Op) error {
	by := op.Float("by")
	return t.apply(op, func(x float64) float64 { return x * by })
}

func (t *Tape) scaleBack(op *ir.Op) error {
	by := op.Float("by")
	return t.applyBack(op, func(float64) float64 { return by })
}

func (t *Tape) add(op *ir.Op) error {
	a, b, y := t.values[op.Arg("a")], t.values[op.Arg("b")], t.values[op.Result()]
	for i := range y {
		y[i] = a[i] + b[i]
	}
	return nil
}

func (t *Tape) addBack(op *ir.Op) error {
	g := t.slopes[op.Result()]
	for _, name := range []string{"a", "b"} {
		to := t.slope(op.Arg(name))
		for i := range to {
			if g != nil {
				to[i] += g[i]
			}
		}
	}
	return nil
}

func (t *Tape) mul(op *ir.Op) error {
	a, b, y := t.values[op.Arg("a")], t.values[op.Arg("b")], t.values[op.Result()]
	for i := range y {
		y[i] = a[i] * b[i]
	}
	return nil
}

func (t *Tape) mulBack(op *ir.Op) error {
	g := t.slopes[op.Result()]
	if g == nil {
		return nil
	}
	a, b := op.Arg("a"), op.Arg("b")
	for _, pair := range [][2]*ir.Value{{a, b}, {b, a}} {
		to, other := t.slope(pair[0]), t.values[pair[1]]
		for i := range to {
			to[i] += float32(g[i] * other[i])
		}
	}
	return nil
}

func (t *Tape) slice(op *ir.Op) error {
	x, y := t.matrix(t.values[op.Arg("x")]), t.matrix(t.values[op.Result()])
	start := int(op.Int("start"))
	for m := range t.tokens {
		copy(y.Row(m, y.Stride), x.Row(m, x.Stride)[start:])
	}
	return nil
}

func (t *Tape) sliceBack(op *ir.Op) error {
	g, to := t.slopes[op.Result()], t.slope(op.Arg("x"))
	if g == nil || to == nil {
		return nil
	}
	from, x, start := t.matrix(g), t.matrix(to), int(op.Int("start"))
	for m := range t.tokens {
		row := x.Row(m, x.Stride)[start:]
		for i, v := range from.Row(m, from.Stride) {
			row[i] += v
		}
	}
	return nil
}

// selectRows selects all, in order.
func (t *Tape) selectRows(op *ir.Op) error {
	copy(t.values[op.Result()], t.values[op.Arg("x")])
	return nil
}

func (t *Tape) selectRowsBack(op *ir.Op) error {
	g := t.slopes[op.Result()]
	if g == nil {
		return nil
	}
	for i, to := 0, t.slope(op.Arg("x")); i < len(to); i++ {
		to[i] += g[i]
	}
	return nil
}
