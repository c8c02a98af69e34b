package grad

import (
	"errors"
	"math"

	"llmc/ir"
)

func checkRope(op *ir.Op) error {
	if op.Text("mode") != "static" {
		return errors.New("frequencies depend on the length")
	}
	return nil
}

func (t *Tape) rope(op *ir.Op) error {
	copy(t.values[op.Result()], t.values[op.Arg("x")])
	return t.turn(op, t.values[op.Result()], 1)
}

// ropeBack turns the slopes back, where they lie.
func (t *Tape) ropeBack(op *ir.Op) error {
	g, to := t.slopes[op.Result()], t.slope(op.Arg("x"))
	if g == nil || to == nil {
		return nil
	}
	if err := t.turn(op, g, -1); err != nil {
		return err
	}
	for i, v := range g {
		to[i] += v
	}
	return nil
}

// turn rotates the pairs of each head by a token's position, or back.
func (t *Tape) turn(op *ir.Op, data []float32, sign float64) error {
	frequencies, err := t.vector(op.Arg("inv_freq"))
	if err != nil {
		return err
	}
	dim, factor, x := int(op.Int("dim")), op.Float("factor"), t.matrix(data)
	half, interleaved := int(ir.RotaryDim(op, int64(dim)))/2, op.Text("style") == "interleaved"
	t.rows(func(m int) {
		row := x.Row(m, x.Stride)
		for i, f := range frequencies[:half] {
			angle := float64(float32(m) * f)
			cos, sin := math.Cos(angle)*factor, sign*math.Sin(angle)*factor
			a, b := i, i+half
			if interleaved {
				a, b = 2*i, 2*i+1
			}
			for head := 0; head < len(row); head += dim {
				p, q := float64(row[head+a]), float64(row[head+b])
				row[head+a], row[head+b] = float32(p*cos-q*sin), float32(q*cos+p*sin)
			}
		}
	})
	return nil
}
