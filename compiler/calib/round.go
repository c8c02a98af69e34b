package calib

import "cmp"

// fitted rounds each number to its nearest code, of grids whose widths are found by a search: errors of a column count by its inputs' second moment, so a group, or a row with one scale, clips what its
// inputs hardly reach. The search is that of AWQ (Lin et al. 2023, arXiv:2306.00978, section 3.2) with the diagonal of H for the inputs.
func (r *Rounder) fitted(s *Scratch, x []float32) error {
	b, size := &s.rounded, cmp.Or(r.format.Group, r.cols)
	for i := range b.Rows {
		row := x[i*r.cols : (i+1)*r.cols]
		if err := r.format.BeginRow(b, i, row); err != nil {
			return err
		}
		for lo := 0; lo < r.cols; lo += size {
			hi := min(r.cols, lo+size)
			l, err := r.format.FitGroup(b, i, lo/size, row[lo:hi], r.diagonal[lo:hi])
			if err != nil {
				return err
			}
			inverse, start := l.Line()
			for c := lo; c < hi; c++ {
				b.Codes[i*r.cols+c] = r.nearest(row[c], inverse, start)
			}
		}
	}
	return nil
}
