package layout

import (
	"fmt"
	"math"
)

// Stack describes matrices [N, K] of experts, stored one after the other: the panels of each, the last one of each padded to whole rows of its
// own, so that every expert begins with a panel.
type Stack struct {
	Packed  // of one expert
	Experts int
}

// NewStack describes a weight [experts, n, k], of matrices that Find describes.
func NewStack(format string, experts, n, k, segment int) (Stack, error) {
	if experts < 1 || experts > maxExperts {
		return Stack{}, fmt.Errorf("stack of %d matrices, at most %d", experts, maxExperts)
	}
	one, err := Find(format, n, k, segment)
	if err == nil && one.Bytes() > math.MaxInt/experts {
		err = fmt.Errorf("stack of %d matrices of %d bytes, which do not fit this machine's addresses", experts, one.Bytes())
	}
	return Stack{one, experts}, err
}

// maxExperts is beyond any model.
const maxExperts = 1 << 12

// ExpertBytes returns the size of one matrix.
func (s Stack) ExpertBytes() int { return s.Packed.Bytes() }

// Panels returns the number of panels of all matrices.
func (s Stack) Panels() int { return s.Experts * s.Packed.Panels() }

// Bytes returns the size of the weight.
func (s Stack) Bytes() int { return s.Experts * s.ExpertBytes() }

// outputs returns the rows of one matrix.
func (s Stack) outputs() int {
	_, n := s.Packed.Rows(s.Packed.Panels() - 1)
	return n
}

// Rows returns the rows of a panel, counted through all matrices.
func (s Stack) Rows(panel int) (lo, hi int) {
	expert := panel / s.Packed.Panels()
	lo, hi = s.Packed.Rows(panel % s.Packed.Panels())
	return expert*s.outputs() + lo, expert*s.outputs() + hi
}

// Row writes the K numbers of a row, counted through all matrices, into dst.
func (s Stack) Row(dst []float32, data []byte, row int) {
	n := s.outputs()
	s.Packed.Row(dst, data[row/n*s.ExpertBytes():], row%n)
}
