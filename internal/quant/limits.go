package quant

import "fmt"

// Limits are the largest magnitudes of the parts of a weight whose rows share scales. They are found before the first row is quantized; since the
// largest of several numbers does not depend on their order, rows may come in any order and pieces.
type Limits struct {
	format       *Format
	cols, groups int
	amax         []float32 // [parts of format.Rows rows][groups]
}

// NewLimits makes the limits of a weight, all zero; nil for formats whose rows have scales of their own.
func (f *Format) NewLimits(rows, cols int) *Limits {
	if f.Rows == 0 {
		return nil
	}
	groups := f.Groups(cols)
	return &Limits{f, cols, groups, make([]float32, (rows+f.Rows-1)/f.Rows*groups)}
}

// Add takes in rows from first on.
func (l *Limits) Add(x []float32, first int) error {
	if l == nil {
		return nil
	}
	size := l.format.groupSize(l.cols)
	for r := range len(x) / l.cols {
		row := x[r*l.cols : (r+1)*l.cols]
		for g := range l.groups {
			e, err := extreme(row[g*size : min(l.cols, (g+1)*size)])
			if err != nil {
				return fmt.Errorf("row %d: %w", r, err)
			}
			at := &l.amax[(first+r)/l.format.Rows*l.groups+g]
			*at = max(*at, abs(e))
		}
	}
	return nil
}

// Join takes in what other limits of the same weight have seen.
func (l *Limits) Join(other *Limits) {
	for i, v := range other.amax {
		l.amax[i] = max(l.amax[i], v)
	}
}

// Of returns the limit of a group of a row.
func (l *Limits) Of(row, group int) float32 { return l.amax[row/l.format.Rows*l.groups+group] }
