package calib

import (
	"cmp"
	"fmt"
	"slices"

	"llmc/internal/dense"
	"llmc/internal/quant"
)

// Rounder chooses the codes of a weight's rows so that its products with the inputs of a calibration lose little: with H, the sum of x*transpose(x) over these inputs, a row w
// that is stored as q loses (q-w) H transpose(q-w). Rows are independent of one another. A Rounder is not changed by use.
type Rounder struct {
	format   *quant.Format
	cols     int
	feedback bool
	order    []int        // columns in the order in which they are rounded; those of a group follow one another
	factor   dense.Matrix // upper triangular v, [cols, cols] in that order, with v*transpose(v) = H and some more on the diagonal
	diagonal []float32    // of H with some more, by column
	pivots   []float32    // squares of the factor's diagonal, by place in the order
}

// damping is what is added to the diagonal of H, as a part of its mean: the value of GPTQ's own code. It bounds how far errors of directions that the text has little of are trusted.
const damping = 0.01

// NewRounder makes the rounder of weights in a format. moments is H, [cols, cols], of which the diagonal and what is above it are read.
func NewRounder(f *quant.Format, method *Method, moments []float32, cols int) (*Rounder, error) {
	if !f.FitsGroups() {
		return nil, fmt.Errorf("codes of format %s are not chosen one by one", f.Name)
	}
	r := &Rounder{format: f, cols: cols, feedback: method.feedback, diagonal: make([]float32, cols)}
	mean := 0.0
	for i := range cols {
		mean += float64(moments[i*cols+i]) / float64(cols)
	}
	if !(mean > 0) {
		return nil, fmt.Errorf("no input of the calibration reaches it")
	}
	for i := range cols {
		r.diagonal[i] = moments[i*cols+i] + float32(damping*mean)
	}
	r.setOrder()
	v := make([]float32, cols*cols)
	for i, from := range r.order {
		v[i*cols+i] = r.diagonal[from]
		for j := i + 1; j < cols; j++ {
			a, b := min(from, r.order[j]), max(from, r.order[j])
			v[i*cols+j] = moments[a*cols+b]
		}
	}
	if err := dense.UpperFactor(v, cols); err != nil {
		return nil, fmt.Errorf("second moments of its inputs: %w", err)
	}
	r.factor = dense.Matrix{Data: v, Stride: cols}
	for i := range cols {
		r.pivots = append(r.pivots, v[i*cols+i]*v[i*cols+i])
	}
	return r, nil
}

// setOrder puts the groups with the largest inputs first, and in a group the columns with the largest inputs: what is rounded first has the most columns left to make up for it
// (act-order). Groups stay together, so that packed codes need no list of columns and scales can be fitted to what a group has become.
func (r *Rounder) setOrder() {
	size, groups := r.format.Group, r.format.Groups(r.cols)
	mass, byMass := make([]float64, groups), make([]int, groups)
	for c, d := range r.diagonal {
		mass[c/size] += float64(d)
	}
	for g := range byMass {
		byMass[g] = g
		mass[g] /= float64(min(r.cols, (g+1)*size) - g*size)
	}
	slices.SortStableFunc(byMass, func(a, b int) int { return cmp.Compare(mass[b], mass[a]) })
	for _, g := range byMass {
		from := len(r.order)
		for c := g * size; c < min(r.cols, (g+1)*size); c++ {
			r.order = append(r.order, c)
		}
		slices.SortStableFunc(r.order[from:], func(a, b int) int { return cmp.Compare(r.diagonal[b], r.diagonal[a]) })
	}
}

// Loss is what rows lose of their products: sums over rows of e H transpose(e) for their errors e, and of the same of the rows themselves.
type Loss struct{ Err, Ref float64 }

// Add adds up losses.
func (l *Loss) Add(other Loss) { l.Err, l.Ref = l.Err+other.Err, l.Ref+other.Ref }

// Scratch is the memory of one worker. Matrices are [cols, rows]: a column's numbers of all rows lie side by side, columns in the rounder's order.
type Scratch struct {
	weights, errors, sums dense.Matrix
	buffer                []float32
	rounded, plain        quant.Block
	best                  []float64 // of each row, the loss of the codes that it has
	ref                   []float64
	inverse, start        []float32
	levels                []quant.Levels
	group                 []float32
	row                   []float32
	moved                 []float32
}

// Round fills b with the codes of rows x, [any, cols]: the best for each row of rounding to the nearest code, of the same with scales that a search finds, and of what the rounder's
// method makes of it. So no row loses more than by plain rounding.
func (r *Rounder) Round(b *quant.Block, x []float32, s *Scratch) (Loss, error) {
	rows := len(x) / r.cols
	s.resize(rows, r.cols)
	for p, c := range r.order {
		column := s.weights.Row(p, rows)
		for i := range column {
			column[i] = x[i*r.cols+c]
		}
	}
	copy(s.errors.Data, s.weights.Data)
	r.losses(s, s.ref)
	if err := r.format.Quantize(b, x, r.cols); err != nil {
		return Loss{}, err
	}
	s.setErrors(r, b)
	r.losses(s, s.best)
	methods := []func(*Scratch, []float32) error{r.fitted}
	if r.feedback {
		methods = append(methods, r.compensated)
	}
	for _, method := range methods {
		s.rounded.Resize(r.format, rows, r.cols)
		if err := method(s, x); err != nil {
			return Loss{}, err
		}
		r.takeBetter(b, s)
	}
	var all Loss
	for i := range rows {
		all.Add(Loss{s.best[i], s.ref[i]})
	}
	return all, nil
}

// takeBetter puts rows of s.rounded that lose less into b.
func (r *Rounder) takeBetter(b *quant.Block, s *Scratch) {
	s.setErrors(r, &s.rounded)
	losses := make([]float64, b.Rows)
	r.losses(s, losses)
	for i, loss := range losses {
		if loss < s.best[i] {
			s.plain.SetRow(r.format, &s.rounded, i)
			b.SetRows(i, &s.plain)
			s.best[i] = loss
		}
	}
}

func (s *Scratch) resize(rows, cols int) {
	size := rows * cols
	if len(s.buffer) < 3*size {
		s.buffer = make([]float32, 3*size)
	}
	for i, m := range []*dense.Matrix{&s.weights, &s.errors, &s.sums} {
		*m = dense.Matrix{Data: s.buffer[i*size : (i+1)*size], Stride: rows}
	}
	s.best, s.ref = slices.Grow(s.best[:0], rows)[:rows], slices.Grow(s.ref[:0], rows)[:rows]
	s.inverse, s.start = slices.Grow(s.inverse[:0], rows)[:rows], slices.Grow(s.start[:0], rows)[:rows]
	s.levels = slices.Grow(s.levels[:0], rows)[:rows]
	s.row = slices.Grow(s.row[:0], size)[:size]
}

// setErrors holds what the codes of b stand for less the weights.
func (s *Scratch) setErrors(r *Rounder, b *quant.Block) {
	r.format.Dequantize(s.row, b)
	for p, c := range r.order {
		e, w := s.errors.Row(p, b.Rows), s.weights.Row(p, b.Rows)
		for i := range e {
			e[i] = s.row[i*r.cols+c] - w[i]
		}
	}
}

// columnsAtOnce is how many columns are worked on before their errors are brought to those behind them.
const columnsAtOnce = 16

// losses sets out to e H transpose(e) of the rows of s.errors: the squares of e*v.
func (r *Rounder) losses(s *Scratch, out []float64) {
	rows := len(out)
	clear(s.sums.Data)
	for p := 0; p < r.cols; p += columnsAtOnce {
		n := min(columnsAtOnce, r.cols-p)
		// The block on the diagonal has zeros below it.
		dense.AddTransposed(s.sums.At(p, 0), r.factor.At(p, p), s.errors.At(p, 0), r.cols-p, rows, n)
	}
	clear(out)
	for p := range r.cols {
		for i, v := range s.sums.Row(p, rows) {
			out[i] += float64(float64(v) * float64(v))
		}
	}
}
