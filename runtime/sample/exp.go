package sample

import (
	"math"
	"math/bits"

	"llmc/engine"
)

// negligible is the gap beyond which a probability is taken as zero.
const negligible = engine.MassGap

// negExp returns e^-(gap/MassSteps) for 0 <= gap <= negligible as engine states it, times the power of two that the table's entries have.
// Vocabularies are long and this is most of the cost of a draw; math.Exp takes several times as long. Conversions keep products from
// being fused with sums.
func negExp(gap float64, table *[64]uint64) float64 {
	sum := gap + engine.MassRound
	n := math.Float64bits(sum)
	f := (sum - engine.MassRound) - gap
	p := 1 + float64(f*(c1+float64(f*(c2+float64(f*(c3+float64(f*c4)))))))
	return math.Float64frombits(table[n&63]-n>>6<<52) * p
}

const (
	step = 1 / engine.MassSteps
	c1   = step
	c2   = step * step / 2
	c3   = step * step * step / 6
	c4   = step * step * step * step / 24
)

// exp2Table holds the bits of 2^(power - j/64).
func exp2Table(power int) (t [64]uint64) {
	for j := range t {
		t[j] = math.Float64bits(engine.MassTable[j]) + uint64(power)<<52
	}
	return t
}

// fraction is a number in [0, 1) as a multiple of 2^-64.
func fraction(x float64) uint64 { return uint64(x * 0x1p64) }

// part is the whole part of a fraction of a mass.
func part(fraction, mass uint64) uint64 {
	hi, _ := bits.Mul64(fraction, mass)
	return hi
}
