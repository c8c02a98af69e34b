package sample

import (
	"slices"

	"llmc/engine"
)

// ranked is a token and its logit in one word that sorts from most to least likely, equal logits by id.
type ranked uint64

func rank(logit float32, id int32) ranked {
	return ranked(^engine.LogitKey(logit))<<32 | ranked(uint32(id))
}

func (r ranked) id() int32 { return int32(uint32(r)) }

func (r ranked) logit() float32 { return engine.KeyLogit(^uint32(r >> 32)) }

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
