package layout

import "fmt"

// Stack describes matrices [N, K] of experts, stored one after the other: the panels of each, the last one of each padded to whole rows of its
// own, so that every expert begins with a panel.
type Stack struct {
	Fragments // of one expert
	Experts   int
}

// NewStack describes a weight [experts, n, k].
func NewStack(format string, experts, n, k int) (Stack, error) {
	if experts < 1 || experts > maxExperts {
		return Stack{}, fmt.Errorf("stack of %d matrices, at most %d", experts, maxExperts)
	}
	f, err := NewFragments(format, n, k)
	return Stack{f, experts}, err
}

// maxExperts keeps sizes far below 2^63.
const maxExperts = 1 << 12

// ExpertBytes returns the size of one matrix.
func (s Stack) ExpertBytes() int { return s.Fragments.Bytes() }

// Panels returns the number of panels of all matrices.
func (s Stack) Panels() int { return s.Experts * s.Fragments.Panels() }

// Bytes returns the size of the weight.
func (s Stack) Bytes() int { return s.Experts * s.ExpertBytes() }

// Rows returns the rows of a panel, counted through all matrices.
func (s Stack) Rows(panel int) (lo, hi int) {
	expert := panel / s.Fragments.Panels()
	lo, hi = s.Fragments.Rows(panel % s.Fragments.Panels())
	return expert*s.N + lo, expert*s.N + hi
}

// Row writes the K numbers of a row, counted through all matrices, into dst.
func (s Stack) Row(dst []float32, data []byte, row int) {
	s.Fragments.Row(dst, data[row/s.N*s.ExpertBytes():], row%s.N)
}
