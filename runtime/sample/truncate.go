package sample

import "math"

// nucleus is how many of the most likely tokens are ranked at first to find those that top-p keeps. When they are too few, eight
// times as many are ranked.
const nucleus = 256

// truncate returns the tokens that top-k and top-p keep and their weights, most likely first. At least one of the two is on.
func (s *Sampler) truncate(d *distribution, k int32, p float32) ([]ranked, []float64) {
	if k > 0 {
		total := s.rank(d, int(k))
		if !topPOn(p) {
			return s.ranked, s.weights
		}
		return s.keep(float64(p) * total)
	}
	_, total := d.sum(s.blocks[:0])
	for n := nucleus; ; n *= 8 {
		s.rank(d, n)
		list, weights := s.keep(float64(p) * total)
		if len(list) < len(s.ranked) || len(s.ranked) < n {
			return list, weights
		}
	}
}

// rank finds the n most likely tokens and their weights, and returns the sum of these.
func (s *Sampler) rank(d *distribution, n int) float64 {
	s.ranked = top(s.ranked, d.logits, n)
	s.weights = s.weights[:0]
	total := 0.0
	for _, r := range s.ranked {
		w := d.weight(r.logit())
		s.weights = append(s.weights, w)
		total += w
	}
	return total
}

// keep returns the ranked tokens before which the weights sum to less than mass.
func (s *Sampler) keep(mass float64) ([]ranked, []float64) {
	sum := 0.0
	for i, w := range s.weights {
		if sum >= mass && i > 0 {
			return s.ranked[:i], s.weights[:i]
		}
		sum += w
	}
	return s.ranked, s.weights
}

func topPOn(p float32) bool { return p > 0 && p < 1 }

// minPCut returns the gap at which a probability is p times the greatest; 0 is off.
func minPCut(p float32) float64 {
	if p <= 0 {
		return negligible
	}
	return min(negligible, -math.Log(float64(p)))
}
