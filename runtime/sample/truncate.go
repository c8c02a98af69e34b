package sample

import (
	"math"

	"llmc/engine"
)

// nucleus is how many of the most likely tokens are ranked at first to find those that top-p keeps. When they are too few, eight
// times as many are ranked.
const nucleus = 256

// truncate returns the tokens that top-k and top-p keep and their masses, most likely first. At least one of the two is on.
func (s *Sampler) truncate(d *distribution, k int32, p float32) ([]ranked, []uint64) {
	if k > 0 {
		total := s.rank(d, int(k))
		if !topPOn(p) {
			return s.ranked, s.masses
		}
		return s.keep(part(fraction(float64(p)), total))
	}
	_, total := d.sum(s.blocks[:0])
	for n := nucleus; ; n *= 8 {
		s.rank(d, n)
		list, masses := s.keep(part(fraction(float64(p)), total))
		if len(list) < len(s.ranked) || len(s.ranked) < n {
			return list, masses
		}
	}
}

// rank finds the n most likely tokens and their masses, and returns the sum of these.
func (s *Sampler) rank(d *distribution, n int) uint64 {
	s.ranked = top(s.ranked, d.logits, n)
	s.masses = s.masses[:0]
	total := uint64(0)
	for _, r := range s.ranked {
		w := d.mass(r.logit())
		s.masses = append(s.masses, w)
		total += w
	}
	return total
}

// keep returns the ranked tokens before which the masses sum to less than mass.
func (s *Sampler) keep(mass uint64) ([]ranked, []uint64) {
	sum := uint64(0)
	for i, w := range s.masses {
		if sum >= mass && i > 0 {
			return s.ranked[:i], s.masses[:i]
		}
		sum += w
	}
	return s.ranked, s.masses
}

func topPOn(p float32) bool { return p > 0 && p < 1 }

// minPCut returns the gap at which a probability is p times the greatest; 0 is off.
func minPCut(p float32) float64 {
	if p <= 0 {
		return negligible
	}
	return min(negligible, -math.Log(float64(p))*engine.MassSteps)
}
