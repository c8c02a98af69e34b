package sample

// blockTokens is how many tokens of a vocabulary are summed up together.
const blockTokens = 1024

// distribution is the probabilities of a vocabulary after temperature, not normalised: the most likely token has weight 1.
type distribution struct {
	logits []float32
	max    float64
	scale  float64 // 1/temperature
	cut    float64 // gaps beyond it have no weight; at most negligible
}

// gap returns by how much a logit, divided by the temperature, lies below the greatest.
func (d *distribution) gap(logit float32) float64 { return (d.max - float64(logit)) * d.scale }

func (d *distribution) weight(logit float32) float64 {
	gap := d.gap(logit)
	if gap > d.cut {
		return 0
	}
	return negExp(gap)
}

// sum adds up the weights of all tokens and appends the sums of blocks of tokens to blocks.
func (d *distribution) sum(blocks []float64) (sums []float64, total float64) {
	most, scale, cut := d.max, d.scale, d.cut
	for rest := d.logits; len(rest) > 0; rest = rest[min(blockTokens, len(rest)):] {
		s := 0.0
		for _, v := range rest[:min(blockTokens, len(rest))] {
			if gap := (most - float64(v)) * scale; gap <= cut { // weight, inlined: this is the hot loop
				s += negExp(gap)
			}
		}
		blocks = append(blocks, s)
		total += s
	}
	return blocks, total
}

// draw returns the token at which the running sum of the weights, in order of id, exceeds target; the last with a weight when
// rounding keeps the sum below.
func (d *distribution) draw(blocks []float64, target float64) int32 {
	b, sum := crossing(blocks, target)
	id := int32(-1)
	for i, v := range d.logits[b*blockTokens : min((b+1)*blockTokens, len(d.logits))] {
		if w := d.weight(v); w > 0 {
			id = int32(b*blockTokens + i)
			if sum += w; sum > target {
				break
			}
		}
	}
	return id
}

// crossing returns the first index at which the running sum of weights exceeds target, the last positive one if none does,
// and the sum before it.
func crossing(weights []float64, target float64) (index int, before float64) {
	sum := 0.0
	for i, w := range weights {
		if w <= 0 {
			continue
		}
		index, before = i, sum
		if sum += w; sum > target {
			break
		}
	}
	return index, before
}
