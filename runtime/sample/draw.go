package sample

import "llmc/engine"

// blockTokens is how many tokens of a vocabulary are summed up together.
const blockTokens = 1024

// distribution is the masses of a vocabulary after temperature, as engine states them: whole numbers in proportion to the probabilities.
type distribution struct {
	logits []float32
	max    float64
	scale  float64 // steps of a gap of one
	cut    float64 // gaps beyond it have no mass; at most negligible
	table  [64]uint64
}

func newDistribution(logits []float32, most float32, scale float64) distribution {
	return distribution{logits: logits, max: float64(most), scale: scale, cut: negligible, table: exp2Table(engine.MassBits(len(logits)))}
}

// gap returns by how many steps a logit, divided by the temperature, lies below the greatest.
func (d *distribution) gap(logit float32) float64 { return float64((d.max - float64(logit)) * d.scale) }

func (d *distribution) mass(logit float32) uint64 {
	if gap := d.gap(logit); gap <= d.cut {
		return uint64(int64(negExp(gap, &d.table)))
	}
	return 0
}

// sum adds up the masses of all tokens and appends the sums of blocks of tokens to blocks.
func (d *distribution) sum(blocks []uint64) (sums []uint64, total uint64) {
	most, scale, cut, table := d.max, d.scale, d.cut, &d.table
	for rest := d.logits; len(rest) > 0; rest = rest[min(blockTokens, len(rest)):] {
		s := int64(0)
		for _, v := range rest[:min(blockTokens, len(rest))] {
			if gap := float64((most - float64(v)) * scale); gap <= cut { // mass, inlined: this is the hot loop
				s += int64(negExp(gap, table))
			}
		}
		blocks = append(blocks, uint64(s))
		total += uint64(s)
	}
	return blocks, total
}

// draw returns the token at which the running sum of the masses, in order of id, exceeds target, which is below their sum.
func (d *distribution) draw(blocks []uint64, target uint64) int32 {
	b, sum := crossing(blocks, target)
	for i, v := range d.logits[b*blockTokens : min((b+1)*blockTokens, len(d.logits))] {
		if sum += d.mass(v); sum > target {
			return int32(b*blockTokens + i)
		}
	}
	return -1
}

// crossing returns the first index at which the running sum of masses exceeds target, and the sum before it.
func crossing(masses []uint64, target uint64) (index int, before uint64) {
	sum := uint64(0)
	for i, w := range masses {
		if sum+w > target {
			return i, sum
		}
		sum += w
	}
	return 0, 0
}
