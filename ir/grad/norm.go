package grad

import (
	"math"

	"llmc/ir"
)

// rmsNorm normalises groups of as many columns as its weight has.
func (t *Tape) rmsNorm(op *ir.Op) error {
	w, err := t.vector(op.Arg("w"))
	if err != nil {
		return err
	}
	x, y := t.matrix(t.values[op.Arg("x")]), t.matrix(t.values[op.Result()])
	t.rows(func(m int) {
		row, out := x.Row(m, x.Stride), y.Row(m, x.Stride)
		for at := 0; at < len(row); at += len(w) {
			inverse := inverseRMS(row[at:at+len(w)], op.Float("eps"))
			for i, f := range w {
				out[at+i] = float32(float64(row[at+i]) * inverse * float64(f))
			}
		}
	})
	return nil
}

func inverseRMS(x []float32, eps float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return 1 / math.Sqrt(sum/float64(len(x))+eps)
}

func (t *Tape) rmsNormBack(op *ir.Op) error {
	return t.normBack(op, func(w, slopes, row, sum []float32) {
		for at := 0; at < len(row); at += len(w) {
			inverse, along := inverseRMS(row[at:at+len(w)], op.Float("eps")), 0.0
			for i, f := range w {
				along += float64(slopes[at+i]) * float64(f) * float64(row[at+i])
			}
			along *= inverse * inverse / float64(len(w))
			for i, f := range w {
				sum[at+i] += float32(inverse * (float64(slopes[at+i])*float64(f) - along*float64(row[at+i])))
			}
		}
	})
}

// normBack calls back with the weight and, for each token, the slopes of the results, x and where its slopes are added up.
func (t *Tape) normBack(op *ir.Op, back func(w, slopes, row, sum []float32)) error {
	w, err := t.vector(op.Arg("w"))
	data, to := t.slopes[op.Result()], t.slope(op.Arg("x"))
	if err != nil || data == nil || to == nil {
		return err
	}
	g, x, out := t.matrix(data), t.matrix(t.values[op.Arg("x")]), t.matrix(to)
	t.rows(func(m int) { back(w, g.Row(m, g.Stride), x.Row(m, x.Stride), out.Row(m, x.Stride)) })
	return nil
}

func (t *Tape) layerNorm(op *ir.Op) error {
	w, err := t.vector(op.Arg("w"))
	if err != nil {
		return err
	}
	bias, err := t.vector(op.Arg("bias"))
	if err != nil {
		return err
	}
	x, y := t.matrix(t.values[op.Arg("x")]), t.matrix(t.values[op.Result()])
	t.rows(func(m int) {
		row, out := x.Row(m, x.Stride), y.Row(m, x.Stride)
		mean, inverse := centre(row, op.Float("eps"))
		for i, v := range row {
			out[i] = float32((float64(v) - mean) * inverse * float64(w[i]))
			if bias != nil {
				out[i] += bias[i]
			}
		}
	})
	return nil
}

func centre(x []float32, eps float64) (mean, inverse float64) {
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	squares := 0.0
	for _, v := range x {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, 1 / math.Sqrt(squares/float64(len(x))+eps)
}

func (t *Tape) layerNormBack(op *ir.Op) error {
	return t.normBack(op, func(w, slopes, row, sum []float32) {
		mean, inverse := centre(row, op.Float("eps"))
		all, along := 0.0, 0.0
		for i, f := range w {
			s := float64(slopes[i]) * float64(f)
			all += s
			along += s * (float64(row[i]) - mean) * inverse
		}
		n := float64(len(w))
		for i, f := range w {
			sum[i] += float32(inverse * (float64(slopes[i])*float64(f) - all/n - along/n*(float64(row[i])-mean)*inverse))
		}
	})
}
