package calib

import (
	"llmc/internal/dense"
	"llmc/internal/quant"
)

// sweeps is how often refined goes over a row.
const sweeps = 2

// refinement is the memory of refined for one group, matrices [columns of the group, rows].
type refinement struct {
	slopes dense.Matrix // half the slope of the loss at each column
	units  dense.Matrix // how much each number grows with the group's scale
	bends  dense.Matrix // what the slopes grow with it
	old    dense.Matrix // errors before
	slope  []float32    // of one row
	levels []quant.Levels
	along  []float32 // of each row: what the loss falls with the scale, and how that changes
	bend   []float32
}

func (m *refinement) resize(n, rows int) {
	for _, part := range []*dense.Matrix{&m.slopes, &m.units, &m.bends, &m.old} {
		*part = dense.Matrix{Data: grow(part.Data, n*rows), Stride: rows}
	}
	m.slope, m.along, m.bend = grow(m.slope, n), grow(m.along, rows), grow(m.bend, rows)
	if len(m.levels) < rows {
		m.levels = make([]quant.Levels, rows)
	}
}

// refined makes the codes of b lose less, group by group: first its scale, if it has one of its own, or its offset where groups have whole ones, becomes the one that loses least with the codes as they are (least squares
// in one unknown), then each code the best one with all others as they are. Both are descents of the loss by one coordinate (as CDQuant, Nair and Suggala 2024, arXiv:2406.17542, has it for codes), from where
// the compensated rounding ended, which never looks back at a column or a scale. With u = e*v for errors e, the slope of the loss at column j is 2*(u*transpose(v))[j].
func (r *Rounder) refined(s *Scratch, b *quant.Block) {
	s.setErrors(r, b)
	r.products(s)
	m := &s.refinement
	for range sweeps {
		for i := range r.groups {
			g := &r.groups[i]
			n := g.last - g.first
			m.resize(n, b.Rows)
			copy(m.old.Data, s.errors.Data[g.first*b.Rows:g.last*b.Rows])
			r.slopes(s, g)
			for row := range b.Rows {
				m.levels[row] = r.format.Levels(b, row, g.number)
			}
			if r.format.FitsGroups() {
				r.refit(s, g, b)
			}
			for row := range b.Rows {
				r.descend(s, g, b, row)
			}
			for k, x := range s.errors.Data[g.first*b.Rows : g.last*b.Rows] {
				m.old.Data[k] = x - m.old.Data[k]
			}
			dense.AddTransposed(s.sums.At(g.first, 0), r.factor.At(g.first, g.first), m.old, r.cols-g.first, b.Rows, n)
		}
	}
}

// slopes finds those of a group's columns.
func (r *Rounder) slopes(s *Scratch, g *orderedGroup) {
	n, rows, to := g.last-g.first, s.errors.Stride, s.refinement.slopes
	clear(to.Data)
	dense.AddTransposed(to, dense.Matrix{Data: g.factor, Stride: n}, s.sums.At(g.first, 0), n, rows, n)
	if g.last < r.cols {
		dense.AddTransposed(to, r.factor.At(g.last, g.first), s.sums.At(g.last, 0), n, rows, r.cols-g.last)
	}
}

// refit moves the levels of a group in each row, and with them errors and slopes.
func (r *Rounder) refit(s *Scratch, g *orderedGroup, b *quant.Block) {
	n, rows, m := g.last-g.first, b.Rows, &s.refinement
	clear(m.bends.Data)
	clear(m.along)
	clear(m.bend)
	for j := range n {
		c, units := r.order[g.first+j], m.units.Row(j, rows)
		for row := range units {
			units[row] = r.format.Unit(m.levels[row], b.Codes[row*b.Cols+c])
		}
	}
	dense.AddTransposed(m.bends, dense.Matrix{Data: g.moments, Stride: n}, m.units, n, rows, n)
	for j := range n {
		slopes, bends := m.slopes.Row(j, rows), m.bends.Row(j, rows)
		for row, unit := range m.units.Row(j, rows) {
			m.along[row] += float32(slopes[row] * unit)
			m.bend[row] += float32(bends[row] * unit)
		}
	}
	for row, bend := range m.bend {
		if !(bend > 0) {
			continue
		}
		is := m.levels[row]
		to, by := r.format.Shift(is, -m.along[row]/bend)
		if !(float32(by*float32(2*m.along[row]+float32(by*bend))) < 0) {
			continue
		}
		r.format.SetLevels(b, row, g.number, to)
		m.levels[row] = to
		for j := range n {
			code := b.Codes[row*b.Cols+r.order[g.first+j]]
			s.errors.Data[(g.first+j)*rows+row] += to.Number(code) - is.Number(code)
			m.slopes.Data[j*rows+row] += float32(by * m.bends.Data[j*rows+row])
		}
	}
}

// descend gives each column of a row's group its best code, one after the other.
func (r *Rounder) descend(s *Scratch, g *orderedGroup, b *quant.Block, row int) {
	n, slope, l := g.last-g.first, s.refinement.slope, s.refinement.levels[row]
	for j := range slope {
		slope[j] = s.refinement.slopes.Data[j*b.Rows+row]
	}
	inverse, start := l.Line()
	codes := b.Codes[row*b.Cols : (row+1)*b.Cols]
	for j := range n {
		c, h := r.order[g.first+j], g.moments[j*n:(j+1)*n]
		is := l.Number(codes[c])
		code := r.nearest(is-slope[j]/h[j], inverse, start)
		if code == codes[c] {
			continue
		}
		change := l.Number(code) - is
		codes[c] = code
		s.errors.Data[(g.first+j)*b.Rows+row] += change
		for k := j + 1; k < n; k++ { // those before it wait for the next sweep
			slope[k] += float32(change * h[k])
		}
	}
}
