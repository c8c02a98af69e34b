package grad

import (
	"errors"
	"fmt"

	"llmc/internal/dense"
	"llmc/ir"
)

// rowsAtOnce is how many rows of a weight are read at a time, tokensAtOnce how many tokens a goroutine takes.
const (
	rowsAtOnce   = 512
	tokensAtOnce = 32
)

func checkLinear(op *ir.Op) error {
	if op.Arg("w").Weight == nil || op.Arg("squares") != nil {
		return errors.New("an input that is a multiple")
	}
	return nil
}

func (t *Tape) gather(op *ir.Op) error { return t.look(op, func(m int) int32 { return t.ids[m] }) }

func (t *Tape) gatherPositions(op *ir.Op) error {
	return t.look(op, func(m int) int32 { return int32(m) })
}

// look takes rows of a table.
func (t *Tape) look(op *ir.Op, at func(m int) int32) error {
	table, y := op.Arg("table"), t.matrix(t.values[op.Result()])
	rows, _, _ := table.Type.Matrix()
	for m := range t.tokens {
		i := int64(at(m))
		if i < 0 || i >= rows {
			return fmt.Errorf("row %d of a table of %d", i, rows)
		}
		if err := t.weights.Rows(table.Weight, i, i+1, y.Row(m, y.Stride)); err != nil {
			return err
		}
	}
	return nil
}

// linear gives y = x*transpose(w) + bias, some of w's rows after the other.
func (t *Tape) linear(op *ir.Op) error {
	bias, err := t.vector(op.Arg("bias"))
	if err != nil {
		return err
	}
	x, y := t.matrix(t.values[op.Arg("x")]), t.matrix(t.values[op.Result()])
	clear(y.Data)
	columns := transposed(x, t.tokens, x.Stride) // [K, T]
	return t.blocks(op, x.Stride, func(w dense.Matrix, lo, n int) {
		t.turned = grow(t.turned, n*x.Stride)
		turned := dense.Matrix{Data: t.turned, Stride: n} // [K, n]
		transpose(turned, w, n, x.Stride)
		t.parts(func(m, tokens int) {
			dense.AddTransposed(y.At(m, lo), columns.At(0, m), turned, tokens, n, x.Stride)
			for i := m; bias != nil && i < m+tokens; i++ {
				for j, b := range bias[lo : lo+n] {
					y.Data[i*y.Stride+lo+j] += b
				}
			}
		})
	})
}

// linearBack adds g*w to the slopes of x, and shows g.
func (t *Tape) linearBack(op *ir.Op) error {
	data := t.slopes[op.Result()]
	if data == nil {
		return nil
	}
	g, x, to := t.matrix(data), t.matrix(t.values[op.Arg("x")]), t.slope(op.Arg("x"))
	var failure error
	err := t.blocks(op, x.Stride, func(w dense.Matrix, lo, n int) {
		if t.Product != nil && failure == nil {
			failure = t.Product(Product{op, lo, n, w, x, g})
		}
		if to == nil {
			return
		}
		sum := t.matrix(to)
		t.turned = grow(t.turned, n*t.tokens)
		turned := dense.Matrix{Data: t.turned, Stride: t.tokens} // [n, T]
		transpose(turned, g.At(0, lo), t.tokens, n)
		t.parts(func(m, tokens int) {
			dense.AddTransposed(sum.At(m, 0), turned.At(0, m), w, tokens, sum.Stride, n)
		})
	})
	return errors.Join(err, failure)
}

// blocks calls do with blocks of rows of an op's weight, [n, cols], the first of which is row lo.
func (t *Tape) blocks(op *ir.Op, cols int, do func(w dense.Matrix, lo, n int)) error {
	w := op.Arg("w")
	rows, _, _ := w.Type.Matrix()
	for lo := int64(0); lo < rows; lo += rowsAtOnce {
		n := min(rowsAtOnce, rows-lo)
		t.block = grow(t.block, int(n)*cols)
		if err := t.weights.Rows(w.Weight, lo, lo+n, t.block); err != nil {
			return err
		}
		do(dense.Matrix{Data: t.block, Stride: cols}, int(lo), int(n))
	}
	return nil
}

// parts calls do with some tokens, the first of which is m.
func (t *Tape) parts(do func(m, tokens int)) {
	t.each((t.tokens+tokensAtOnce-1)/tokensAtOnce, func(i int) {
		m := i * tokensAtOnce
		do(m, min(tokensAtOnce, t.tokens-m))
	})
}

func transposed(from dense.Matrix, rows, cols int) dense.Matrix {
	to := dense.Matrix{Data: make([]float32, rows*cols), Stride: rows}
	transpose(to, from, rows, cols)
	return to
}

// transpose copies from, [rows, cols], in squares that stay in the first-level cache.
func transpose(to, from dense.Matrix, rows, cols int) {
	const side = 16
	for i := 0; i < rows; i += side {
		for j := 0; j < cols; j += side {
			for r := i; r < min(i+side, rows); r++ {
				for c := j; c < min(j+side, cols); c++ {
					to.Data[c*to.Stride+r] = from.Data[r*from.Stride+c]
				}
			}
		}
	}
}
