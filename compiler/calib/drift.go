package calib

import (
	"fmt"

	"llmc/internal/dense"
)

// Drift is how an input has drifted from that of the unquantized model, because of what was rounded before it: the sum over rows x, which are y in the unquantized model, of
// transpose(y-x)*x. It lies in a file that is mapped, as moments do.
type Drift struct {
	cols    int
	tasks   int
	count   int // rows that were added up
	file    *scratchFile
	rows    dense.Matrix // of the input, as many as are multiplied at a time
	missing dense.Matrix // what they lack of the unquantized model's
}

// NewDrift makes room for an input of so many columns in a file in dir.
func NewDrift(dir string, cols, threads int) (*Drift, error) {
	if cols < 1 || cols > 1<<17 {
		return nil, fmt.Errorf("an input of %d columns", cols)
	}
	file, err := newScratchFile(dir, "", int64(cols)*int64(cols))
	if err != nil {
		return nil, err
	}
	d := &Drift{cols: cols, tasks: max(1, threads), file: file}
	for _, m := range []*dense.Matrix{&d.rows, &d.missing} {
		*m = dense.Matrix{Data: make([]float32, rowsAtOnce*rowStride(cols)), Stride: rowStride(cols)}
	}
	return d, nil
}

// Close gives the file back; rounders that aim by it mean nothing afterwards.
func (d *Drift) Close() error { return d.file.close() }

// Add takes in rows, and what they are in the unquantized model.
func (d *Drift) Add(rows, original [][]float32) {
	d.count += len(rows)
	for first := 0; first < len(rows); first += rowsAtOnce {
		n := min(rowsAtOnce, len(rows)-first)
		for i := range n {
			copy(d.rows.Row(i, d.cols), rows[first+i])
			missing := d.missing.Row(i, d.cols)
			for c, x := range rows[first+i] {
				missing[c] = original[first+i][c] - x
			}
		}
		sum := dense.Matrix{Data: d.file.numbers, Stride: d.cols}
		spread(d.tasks, d.cols, func(i int) {
			dense.AddTransposed(sum.At(i, 0), d.missing.At(0, i), d.rows, min(rowsOfResult, d.cols-i), d.cols, n)
		})
	}
}

// followed is how much of what an input has drifted its products make up for at most, and fewRows for how many rows a column it is half of that: what is fitted to the calibration's rows alone
// would be wrong for others, the more the fewer there are.
const (
	followed = 0.5
	fewRows  = 4
)

// follow is how much that is of this input.
func (d *Drift) follow() float32 {
	return float32(followed * float64(d.count) / float64(d.count+fewRows*d.cols))
}

// Aim has rows rounded to what makes up for a drift of their input: with H the moments of the input as it has become, a row w is best replaced by w + w*D*inverse(H), D the drift, since its
// products are to be those that w has with the unquantized model's input (GPTAQ, Li et al. 2025, arXiv:2504.02692; in this form and with a part of it alone, QEP, Arai and Ichikawa 2025, arXiv:2504.09629).
func (r *Rounder) Aim(d *Drift) { r.drift = d }

// aiming is the memory of aim, matrices [cols, rows].
type aiming struct {
	columns, pull, less dense.Matrix
}

// aim returns rows x as they are to be rounded.
func (r *Rounder) aim(s *Scratch, x []float32) []float32 {
	rows := len(x) / r.cols
	m := &s.aiming
	for _, part := range []*dense.Matrix{&m.columns, &m.pull, &m.less} {
		*part = dense.Matrix{Data: grow(part.Data, len(x)), Stride: rows}
	}
	for i, w := range x {
		m.columns.Data[i%r.cols*rows+i/r.cols] = w
	}
	clear(m.less.Data)
	dense.AddTransposed(m.less, dense.Matrix{Data: r.drift.file.numbers, Stride: r.cols}, m.columns, r.cols, rows, r.cols)
	for p, c := range r.order {
		copy(m.pull.Row(p, rows), m.less.Row(c, rows))
	}
	r.solve(m.pull, m.less, rows)
	follow := r.drift.follow()
	s.aimed = grow(s.aimed, len(x))
	for p, c := range r.order {
		for i, by := range m.pull.Row(p, rows) {
			s.aimed[i*r.cols+c] = x[i*r.cols+c] + float32(follow*by)
		}
	}
	return s.aimed
}

// solve multiplies the rows that are the columns of y, [cols, rows], with the inverse of H = v*transpose(v): first u with u*transpose(v) = y, the last column first, then z with z*v = u. less is scratch: what is known
// already, with its sign turned.
func (r *Rounder) solve(y, less dense.Matrix, rows int) {
	for i := len(r.groups) - 1; i >= 0; i-- {
		g := &r.groups[i]
		n := g.last - g.first
		if g.last < r.cols {
			dense.AddTransposed(y.At(g.first, 0), r.factor.At(g.last, g.first), less.At(g.last, 0), n, rows, r.cols-g.last)
		}
		for j := n - 1; j >= 0; j-- {
			r.settle(y, less, g.first+j, rows)
			for k := range j {
				add(y.Row(g.first+k, rows), r.factor.Data[(g.first+k)*r.cols+g.first+j], less.Row(g.first+j, rows))
			}
		}
	}
	for i := range r.groups {
		g := &r.groups[i]
		n := g.last - g.first
		if g.first > 0 {
			dense.AddTransposed(y.At(g.first, 0), r.factor.At(0, g.first), less, n, rows, g.first)
		}
		for j := range n {
			r.settle(y, less, g.first+j, rows)
			for k := j + 1; k < n; k++ {
				add(y.Row(g.first+k, rows), r.factor.Data[(g.first+j)*r.cols+g.first+k], less.Row(g.first+j, rows))
			}
		}
	}
}

// settle divides a column by its pivot, and notes it with its sign turned.
func (r *Rounder) settle(y, less dense.Matrix, p, rows int) {
	inverse, to := 1/r.factor.Data[p*r.cols+p], less.Row(p, rows)
	for i, x := range y.Row(p, rows) {
		y.Data[p*rows+i] = x * inverse
		to[i] = -y.Data[p*rows+i]
	}
}

func add(to []float32, f float32, x []float32) {
	for i, v := range x {
		to[i] += float32(f * v)
	}
}
