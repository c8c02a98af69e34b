package models

import "math"

// alibiSlopes returns what each head multiplies the distance of a position with (Press et al. 2022, "Train short, test long"): powers of
// 2^-(most/n) for n heads, n a power of two. Other numbers of heads have those of the next lower one, then every other one of the next higher.
func alibiSlopes(heads int) []float32 {
	low := 1
	for 2*low <= heads {
		low *= 2
	}
	slopes, more := alibiPowers(low, 8), alibiPowers(2*low, 8)
	for i := 0; len(slopes) < heads; i += 2 {
		slopes = append(slopes, more[i])
	}
	return slopes
}

func alibiPowers(n int, most float64) []float32 {
	slopes := make([]float32, n)
	for i := range slopes {
		slopes[i] = float32(math.Exp2(-most * float64(i+1) / float64(n)))
	}
	return slopes
}
