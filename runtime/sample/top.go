package sample

import (
	"math"
	"slices"
)

// ranked is a token and its logit in one word that sorts from most to least likely, equal logits by id.
type ranked uint64

// rank packs a token. Float bits with the sign bit flipped, or all bits if negative, sort like the numbers; adding zero makes
// -0 and 0 the same.
func rank(logit float32, id int32) ranked {
	b := math.Float32bits(logit + 0)
	if b>>31 == 0 {
		b |= 1 << 31
	} else {
		b = ^b
	}
	return ranked(^b)<<32 | ranked(uint32(id))
}

func (r ranked) id() int32 { return int32(uint32(r)) }

func (r ranked) logit() float32 {
	b := ^uint32(r >> 32)
	if b>>31 != 0 {
		return math.Float32frombits(b &^ (1 << 31))
	}
	return math.Float32frombits(^b)
}

// top returns the n most likely tokens, best first, using buf's memory; fewer if fewer are not -Inf. It collects what beats the
// n-th best so far and sorts when twice as many have come together: most of a long vocabulary costs one comparison.
func top(buf []ranked, logits []float32, n int) []ranked {
	n = min(n, len(logits))
	limit := min(max(2*n, 256), len(logits))
	if buf = buf[:0]; cap(buf) < limit {
		buf = make([]ranked, 0, limit)
	}
	if n == 0 {
		return buf
	}
	least := negInf
	for id, v := range logits {
		if v > least { // an equal logit of a higher id ranks behind
			if buf = append(buf, rank(v, int32(id))); len(buf) == limit {
				slices.Sort(buf)
				buf = buf[:n]
				least = buf[n-1].logit()
			}
		}
	}
	slices.Sort(buf)
	return buf[:min(n, len(buf))]
}
