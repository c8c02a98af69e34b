// Package relative owns the buckets that distances between positions have in models with learned relative biases of scores.
package relative

import (
	"fmt"
	"math"
)

// Buckets say which distances share a number (Raffel et al. 2020, "Exploring the Limits of Transfer Learning", 2.1): near ones have one each, those
// from there to Reach share buckets whose width grows with the logarithm, and all beyond have the last.
type Buckets struct {
	Count, Reach int
	Both         bool // positions ahead have buckets of their own, the second half; otherwise they share that of distance 0
}

// MaxReach bounds the distances that are told apart.
const MaxReach = 1 << 12

// Check refuses buckets that no distance could be put into.
func (b Buckets) Check() error {
	near := b.oneSide() / 2
	if near < 1 || b.Both && b.Count%2 != 0 {
		return fmt.Errorf("%d buckets of relative positions are too few, or odd where there are two sides", b.Count)
	}
	if b.Reach <= near || b.Reach > MaxReach {
		return fmt.Errorf("relative positions to a distance of %d with %d buckets; it must be within %d..%d", b.Reach, b.Count, near+1, MaxReach)
	}
	return nil
}

func (b Buckets) oneSide() int {
	if b.Both {
		return b.Count / 2
	}
	return b.Count
}

// Of returns the bucket of a position that is so far from the query's: ahead of it where the distance is positive. It is computed in f32, as the models were
// trained with.
func (b Buckets) Of(distance int) int {
	count, first, away := b.oneSide(), 0, -distance
	if distance > 0 {
		away = 0
		if b.Both {
			first, away = count, distance
		}
	}
	near := count / 2
	if away < near {
		return first + away
	}
	grown := float32(math.Log(float64(float32(away)/float32(near)))) / float32(math.Log(float64(b.Reach)/float64(near))) * float32(count-near)
	return first + min(near+int(grown), count-1)
}
