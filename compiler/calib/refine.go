package calib

import (
	"llmc/internal/dense"
	"llmc/internal/quant"
)

// sweeps is how often refined goes over a row.
const sweeps = 3

// refined makes the codes of b lose less, group by group: first its scale, or its offset where groups have whole ones, becomes the one that loses least with the codes as they are (least squares
// in one unknown), then each code the best one with all others as they are. Both are descents of the loss by one coordinate (as CDQuant, Nair and Suggala 2024, arXiv:2406.17542, has it for codes), from where
// the compensated rounding ended, which never looks back at a column or a scale. With u = e*v for errors e, the slope of the loss at column j is 2*(u*transpose(v))[j].
func (r *Rounder) refined(s *Scratch, b *quant.Block) {
	s.setErrors(r, b)
	r.products(s)
	for range sweeps {
		for i := range r.groups {
			g := &r.groups[i]
			r.slopes(s, g)
			n := (g.last - g.first) * b.Rows
			copy(s.old[:n], s.errors.Data[g.first*b.Rows:g.last*b.Rows])
			for row := range b.Rows {
				l := r.format.Levels(b, row, g.number)
				l = r.refit(s, g, b, row, l)
				r.descend(s, g, b, row, l)
			}
			change := dense.Matrix{Data: s.old[:n], Stride: b.Rows}
			for k, x := range s.errors.Data[g.first*b.Rows : g.last*b.Rows] {
				change.Data[k] = x - change.Data[k]
			}
			dense.AddTransposed(s.sums.At(g.first, 0), r.factor.At(g.first, g.first), change, r.cols-g.first, b.Rows, g.last-g.first)
		}
	}
}

// slopes sets s.moved to half the slope of the loss at the columns of a group, [rows, columns].
func (r *Rounder) slopes(s *Scratch, g *orderedGroup) {
	n, rows := g.last-g.first, s.errors.Stride
	s.moved = grow(s.moved, n*rows)
	s.old = grow(s.old, n*rows)
	to := dense.Matrix{Data: s.old, Stride: rows}
	clear(s.old[:n*rows])
	if g.last < r.cols {
		dense.AddTransposed(to, r.factor.At(g.last, g.first), s.sums.At(g.last, 0), n, rows, r.cols-g.last)
	}
	for j := range n {
		v, slope := r.factor.Row(g.first+j, g.last), to.Row(j, rows)
		for k := g.first + j; k < g.last; k++ {
			f := v[k]
			for i, u := range s.sums.Row(k, rows) {
				slope[i] += float32(f * u)
			}
		}
		for i, x := range slope {
			s.moved[i*n+j] = x
		}
	}
}

// refit moves the levels of a row's group, and with them its errors and slopes.
func (r *Rounder) refit(s *Scratch, g *orderedGroup, b *quant.Block, row int, l quant.Levels) quant.Levels {
	n := g.last - g.first
	unit, slope := s.unit[:n], s.moved[row*n:(row+1)*n]
	for j := range unit {
		unit[j] = r.format.Unit(l, b.Codes[row*b.Cols+r.order[g.first+j]])
	}
	turned := s.turned[:n]
	along, bend := float32(0), float32(0)
	for j := range n {
		h := g.moments[j*n : (j+1)*n]
		sum := float32(0)
		for k, c := range unit {
			sum += float32(h[k] * c)
		}
		turned[j] = sum
		along += float32(slope[j] * unit[j])
		bend += float32(sum * unit[j])
	}
	if !(bend > 0) {
		return l
	}
	moved, by := r.format.Shift(l, -along/bend)
	if !(float32(by*float32(2*along+float32(by*bend))) < 0) {
		return l
	}
	r.format.SetLevels(b, row, g.number, moved)
	for j := range n {
		c := r.order[g.first+j]
		e := s.errors.Row(g.first+j, b.Rows)
		e[row] += moved.Number(b.Codes[row*b.Cols+c]) - l.Number(b.Codes[row*b.Cols+c])
		slope[j] += float32(by * turned[j])
	}
	return moved
}

// descend gives each column of a row's group its best code, one after the other.
func (r *Rounder) descend(s *Scratch, g *orderedGroup, b *quant.Block, row int, l quant.Levels) {
	n := g.last - g.first
	inverse, start := l.Line()
	slope, codes := s.moved[row*n:(row+1)*n], b.Codes[row*b.Cols:(row+1)*b.Cols]
	for j := range n {
		c, h := r.order[g.first+j], g.moments[j*n:(j+1)*n]
		is := l.Number(codes[c])
		code := quant.Nearest(is-slope[j]/h[j], inverse, start)
		if code == codes[c] {
			continue
		}
		change := l.Number(code) - is
		codes[c] = code
		s.errors.Row(g.first+j, b.Rows)[row] += change
		for k, m := range h {
			slope[k] += float32(change * m)
		}
	}
}
