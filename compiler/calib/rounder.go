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
	nearest  func(x, inverse, start float32) uint8
	cols     int
	feedback bool
	order    []int // columns in the order in which they are rounded; those of a group follow one another
	groups   []orderedGroup
	factor   dense.Matrix // upper triangular v, [cols, cols] in that order, with v*transpose(v) = H and some more on the diagonal; below the groups' blocks on the diagonal transpose(v)
	diagonal []float32    // of H with some more, by column
	pivots   []float32    // squares of the factor's diagonal, by place in the order
	drift    *Drift       // nil: inputs are those that products are to be right for
}

// orderedGroup is a group of columns, at [first, last) in the order: of those that share a scale or, where all do, of columnsTogether.
type orderedGroup struct {
	number, first, last int
	moments             []float32 // H of its columns, as the factor has it, [columns, columns]; nil where no column makes up for others
	factor              []float32 // transposed, of its columns, likewise
}

// damping is what is added to the diagonal of H, as a part of its mean: the value of GPTQ's own code. It bounds how far errors of directions that the text has little of are trusted.
const damping = 0.01

// NewRounder makes the rounder of weights in a format. moments is H, [cols, cols], of which the diagonal and what is above it are read; columns of the inputs are divided by factors, if these
// are not nil.
func NewRounder(f *quant.Format, method *Method, moments []float32, cols int, factors []float32) (*Rounder, error) {
	if !f.Choosable() {
		return nil, fmt.Errorf("codes of format %s are not chosen one by one", f.Name)
	}
	r := &Rounder{format: f, nearest: f.Nearest(), cols: cols, feedback: method.feedback, diagonal: make([]float32, cols)}
	moment := func(i, j int) float32 {
		if factors == nil {
			return moments[i*cols+j]
		}
		return moments[i*cols+j] / factors[i] / factors[j]
	}
	mean := 0.0
	for i := range cols {
		mean += float64(moment(i, i)) / float64(cols)
	}
	if !(mean > 0) {
		return nil, fmt.Errorf("no input of the calibration reaches it")
	}
	for i := range cols {
		r.diagonal[i] = moment(i, i) + float32(damping*mean)
	}
	r.setOrder()
	v := make([]float32, cols*cols)
	for i, from := range r.order {
		v[i*cols+i] = r.diagonal[from]
		for j := i + 1; j < cols; j++ {
			v[i*cols+j] = moment(min(from, r.order[j]), max(from, r.order[j]))
		}
	}
	r.factor = dense.Matrix{Data: v, Stride: cols}
	if r.feedback {
		r.keepMoments()
	}
	if err := dense.UpperFactor(v, cols); err != nil {
		return nil, fmt.Errorf("second moments of its inputs: %w", err)
	}
	if r.feedback {
		r.mirror()
	}
	for i := range cols {
		r.pivots = append(r.pivots, v[i*cols+i]*v[i*cols+i])
	}
	return r, nil
}

// columnsTogether is how many columns are improved together where all of a row have one scale.
const columnsTogether = 128

// setOrder puts the groups with the largest inputs first, and in a group the columns with the largest inputs: what is rounded first has the most columns left to make up for it
// (act-order). Groups stay together, so that packed codes need no list of columns and scales can be fitted to what a group has become.
func (r *Rounder) setOrder() {
	if !r.format.FitsGroups() {
		for c := range r.cols {
			r.order = append(r.order, c)
		}
		r.largestFirst(r.order)
		for at := 0; at < r.cols; at += columnsTogether {
			r.groups = append(r.groups, orderedGroup{first: at, last: min(r.cols, at+columnsTogether)})
		}
		return
	}
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
		r.largestFirst(r.order[from:])
		r.groups = append(r.groups, orderedGroup{number: g, first: from, last: len(r.order)})
	}
}

func (r *Rounder) largestFirst(columns []int) {
	slices.SortStableFunc(columns, func(a, b int) int { return cmp.Compare(r.diagonal[b], r.diagonal[a]) })
}

// keepMoments gives each group the block of H that the factor is about to take the place of.
func (r *Rounder) keepMoments() {
	for i := range r.groups {
		g := &r.groups[i]
		n := g.last - g.first
		g.moments = make([]float32, n*n)
		for j := range n {
			for k := range n {
				g.moments[j*n+k] = r.factor.Data[(g.first+min(j, k))*r.cols+g.first+max(j, k)]
			}
		}
	}
}

// mirror puts the transposed factor below the blocks of the groups.
func (r *Rounder) mirror() {
	for i := range r.groups {
		g := &r.groups[i]
		n := g.last - g.first
		g.factor = make([]float32, n*n)
		for j := range n {
			for k := j; k < n; k++ {
				g.factor[k*n+j] = r.factor.Data[(g.first+j)*r.cols+g.first+k]
			}
		}
		for k := g.last; k < r.cols; k++ {
			for j := g.first; j < g.last; j++ {
				r.factor.Data[k*r.cols+j] = r.factor.Data[j*r.cols+k]
			}
		}
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
	refinement            refinement
	aimed                 []float32
	aiming                aiming
}

// Losses are those of the rows that were rounded last, one by one.
func (s *Scratch) Losses() []Loss {
	all := make([]Loss, len(s.best))
	for i := range all {
		all[i] = Loss{s.best[i], s.ref[i]}
	}
	return all
}

// Round fills b with the codes of rows x, [any, cols]: for each row the better of rounding to the nearest code and of what the rounder's method makes of it. So no row loses more than by plain
// rounding.
func (r *Rounder) Round(b *quant.Block, x []float32, s *Scratch) (Loss, error) {
	rows := len(x) / r.cols
	s.resize(rows, r.cols)
	if r.drift != nil {
		x = r.aim(s, x)
	}
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
	s.rounded.Resize(r.format, rows, r.cols)
	method := r.fitted
	if r.feedback {
		method = r.compensated
	}
	if err := method(s, x); err != nil {
		return Loss{}, err
	}
	if r.feedback {
		r.refined(s, &s.rounded)
	}
	r.takeBetter(b, s)
	var all Loss
	for i := range rows {
		all.Add(s.Loss(i))
	}
	return all, nil
}

// Loss is what the i-th row of the last Round loses.
func (s *Scratch) Loss(i int) Loss { return Loss{s.best[i], s.ref[i]} }

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

// grow makes room for n numbers, whatever they are.
func grow(s []float32, n int) []float32 { return slices.Grow(s[:0], n)[:n] }

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

// products sets s.sums to e*v for the rows e of s.errors.
func (r *Rounder) products(s *Scratch) {
	clear(s.sums.Data)
	for i := range r.groups {
		g := &r.groups[i]
		// The block on the diagonal has zeros below it.
		dense.AddTransposed(s.sums.At(g.first, 0), r.factor.At(g.first, g.first), s.errors.At(g.first, 0), r.cols-g.first, s.errors.Stride, g.last-g.first)
	}
}

// losses sets out to e H transpose(e) of the rows of s.errors: the squares of e*v.
func (r *Rounder) losses(s *Scratch, out []float64) {
	rows := len(out)
	r.products(s)
	clear(out)
	for p := range r.cols {
		for i, v := range s.sums.Row(p, rows) {
			out[i] += float64(float64(v) * float64(v))
		}
	}
}
