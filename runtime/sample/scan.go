package sample

import (
	"errors"
	"fmt"
	"math"
)

// ErrLogits is wrapped when logits do not allow a choice: one is NaN or +Inf, or all are -Inf or banned. A device answers such a row
// with token -1, so that its sequence alone ends.
var ErrLogits = errors.New("logits allow no choice")

var negInf = float32(math.Inf(-1))

// maximum returns the greatest logit and the lowest id that has it. Where a device's scan shows that nothing is wrong with the row, it is taken: the sum is NaN if a
// logit is (or, without harm, where infinities of both signs meet).
func (s *Sampler) maximum(logits []float32) (float32, int32, error) {
	if s.Scan.ArgMax != nil {
		id := s.Scan.ArgMax(logits)
		if m, total := logits[id], s.Scan.Sum(logits); total == total && m > negInf && m <= math.MaxFloat32 {
			return m, int32(id), nil
		}
	}
	m, err := maximum(logits)
	return m, first(logits, m), err
}

// maximum returns the greatest logit. -Inf marks a token that can not be chosen; NaN and +Inf are errors.
func maximum(logits []float32) (float32, error) {
	// Four lanes, so that comparisons do not wait for each other. x-x is zero unless x is infinite or not a number.
	m0, m1, m2, m3 := negInf, negInf, negInf, negInf
	var d0, d1, d2, d3 float32
	rest := logits
	for ; len(rest) >= 4; rest = rest[4:] {
		a, b, c, d := rest[0], rest[1], rest[2], rest[3]
		if a > m0 {
			m0 = a
		}
		if b > m1 {
			m1 = b
		}
		if c > m2 {
			m2 = c
		}
		if d > m3 {
			m3 = d
		}
		d0 += a - a
		d1 += b - b
		d2 += c - c
		d3 += d - d
	}
	for _, a := range rest {
		if a > m0 {
			m0 = a
		}
		d0 += a - a
	}
	m := max(m0, m1, m2, m3)
	if d0+d1+d2+d3 != 0 || m == negInf { // NaN is not equal to zero
		if err := explain(logits, m); err != nil {
			return 0, err
		}
	}
	return m, nil
}

// explain looks for what is wrong with unusual logits.
func explain(logits []float32, m float32) error {
	for id, v := range logits {
		if v != v || v > math.MaxFloat32 {
			return fmt.Errorf("%w: token %d has %v", ErrLogits, id, v)
		}
	}
	if m == negInf {
		return fmt.Errorf("%w: all %d tokens are ruled out", ErrLogits, len(logits))
	}
	return nil
}

// first returns the lowest id whose logit is m.
func first(logits []float32, m float32) int32 {
	for id, v := range logits {
		if v == m {
			return int32(id)
		}
	}
	return -1
}
