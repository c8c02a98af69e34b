package engine

import (
	"math"
	"math/bits"
)

// How sampling weighs tokens, the same on every device. Gaps are counted in steps of a 64th of a power of two: a token's is
// gap = (greatest logit - logit) * (MassSteps/temperature), in float64. Its mass is
//
//	trunc(2^(-gap/64) * 2^MassBits(V))
//
// or none if gap > MassGap. Masses are integers and those of a vocabulary sum to less than 2^63: sums are exact, in whatever order, so that
// any way to find a token gives the same one. The power is computed in steps that are rounded one by one, none fused: with
// n = (gap + MassRound) - MassRound, the whole number next to gap, and f = n - gap, it is 2^(-(n%64)/64) * 2^-(n/64) * (1 + f*(c1 + f*(c2 + f*(c3 + f*c4)))),
// in which the first factor is MassTable's and the second exact. The relative error is below 1e-12.

// MassSteps are the steps of a logit of one at temperature one.
const MassSteps = 64 / math.Ln2

// MassGap is the gap beyond which a token has no mass; e^-40.
const MassGap = 3694

// MassCoefficients are c1 to c4, those of the exponential series at a step.
var MassCoefficients = [4]float64{step, step * step / 2, step * step * step / 6, step * step * step * step / 24}

const step = 1 / MassSteps

// MassRound rounds to whole numbers, ties to even, which then are the lowest bits of the sum.
const MassRound = 3 << 51

// MassBits is the binary logarithm of the greatest mass, that of a gap of zero.
func MassBits(vocab int) int { return 63 - bits.Len(uint(vocab)) }

// MassRoots are 2^-(2^i/64). Roots are rounded correctly everywhere, so that these are the same bits on all machines.
var MassRoots = func() (r [6]float64) {
	x := 0.5
	for i := len(r) - 1; i >= 0; i-- {
		x = math.Sqrt(x)
		r[i] = x
	}
	return r
}()

// MassTable holds 2^-(j/64): the product of the roots at the bits of j, from the lowest on.
var MassTable = func() (t [64]float64) {
	for j := range t {
		t[j] = 1
		for i, root := range MassRoots {
			if j>>i&1 != 0 {
				t[j] *= root
			}
		}
	}
	return t
}()

// LogitKey maps logits to integers of the same order; -0 and 0 are the same. Numbers that are none map anywhere.
func LogitKey(logit float32) uint32 {
	b := math.Float32bits(logit + 0)
	if b>>31 == 0 {
		return b | 1<<31
	}
	return ^b
}

// KeyLogit is the inverse of LogitKey.
func KeyLogit(key uint32) float32 {
	if key>>31 != 0 {
		return math.Float32frombits(key &^ (1 << 31))
	}
	return math.Float32frombits(^key)
}
