package calib

import "llmc/internal/dense"

// compensated rounds one column after the other and lets the columns behind it make up for the error as far as they can (GPTQ, Frantar et al. 2022, arXiv:2210.17323). With
// H = v*transpose(v), v upper triangular, the loss of errors e is the sum over columns of (e*v)[j]^2, and (e*v)[j] has no errors but those of columns up to j. So
// column j is best rounded from w[j] - (sum over i<j of e[i]*v[i][j])/v[j][j]: this is GPTQ's update without the inverse of H (the nearest plane of Babai 1986, as Chen et al.
// 2025, arXiv:2507.18553, show). The scales of a group are fitted when its first column's turn comes, to what its columns would then be rounded from; where a row has one scale, before
// any column is rounded.
func (r *Rounder) compensated(s *Scratch, x []float32) error {
	b := &s.rounded
	for i := range b.Rows {
		if err := r.format.BeginRow(b, i, x[i*r.cols:(i+1)*r.cols]); err != nil {
			return err
		}
	}
	clear(s.sums.Data)
	if !r.format.FitsGroups() {
		if err := r.fitGroup(s, 0, 0, r.cols); err != nil {
			return err
		}
	}
	for i := range r.groups {
		g := &r.groups[i]
		if r.format.FitsGroups() {
			if err := r.fitGroup(s, g.number, g.first, g.last); err != nil {
				return err
			}
		}
		for p := g.first; p < g.last; p += columnsAtOnce {
			r.roundColumns(s, p, min(g.last, p+columnsAtOnce))
		}
	}
	return nil
}

// fitGroup fits the levels of a group, whose columns are at [p, end), in all rows. An error of a column costs what no column behind it can make up for: the square of the factor's
// pivot.
func (r *Rounder) fitGroup(s *Scratch, group, p, end int) error {
	n, rows := end-p, s.rounded.Rows
	if len(s.group) < n {
		s.group = make([]float32, n)
	}
	moved := r.moved(s, p, end)
	for i := range rows {
		for k := range n {
			s.group[k] = s.weights.Data[(p+k)*rows+i] + moved[k*rows+i]
		}
		l, err := r.format.FitGroup(&s.rounded, i, group, s.group[:n], r.pivots[p:end])
		if err != nil {
			return err
		}
		s.levels[i] = l
		s.inverse[i], s.start[i] = l.Line()
	}
	return nil
}

// moved returns how far the columns at [p, end) are from their weights when each makes up for the errors before it without being rounded, [end-p, rows].
func (r *Rounder) moved(s *Scratch, p, end int) []float32 {
	n, rows := end-p, s.rounded.Rows
	s.moved = grow(s.moved, n*rows)
	copy(s.moved, s.sums.Data[p*rows:end*rows])
	if p == 0 { // nothing has an error yet
		return s.moved
	}
	for k := range n {
		v, e := r.factor.Row(p+k, r.cols)[p:end], s.moved[k*rows:(k+1)*rows]
		inverse := -1 / v[k]
		for i := range e {
			e[i] *= inverse
		}
		for j := k + 1; j < n; j++ {
			f, to := v[j], s.moved[j*rows:(j+1)*rows]
			for i, x := range e {
				to[i] += float32(f * x)
			}
		}
	}
	return s.moved
}

// roundColumns rounds the columns at [p, end) and adds their errors to the sums of those behind them.
func (r *Rounder) roundColumns(s *Scratch, p, end int) {
	rows := s.rounded.Rows
	for j := p; j < end; j++ {
		v := r.factor.Row(j, r.cols)
		inverse, c := 1/v[j], r.order[j]
		w, sum, e := s.weights.Row(j, rows), s.sums.Row(j, rows), s.errors.Row(j, rows)
		for i, x := range w {
			code := r.nearest(x-float32(sum[i]*inverse), s.inverse[i], s.start[i])
			s.rounded.Codes[i*r.cols+c] = code
			e[i] = s.levels[i].Number(code) - x
		}
		for k := j + 1; k < end; k++ {
			f, to := v[k], s.sums.Row(k, rows)
			for i, x := range e {
				to[i] += float32(f * x)
			}
		}
	}
	if end < r.cols {
		dense.AddTransposed(s.sums.At(end, 0), r.factor.At(p, end), s.errors.At(p, 0), r.cols-end, rows, end-p)
	}
}
