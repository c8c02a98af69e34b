package sample

import "llmc/engine"

// Accept verifies drafts: it counts, for the first row of each chain, the leading rows that sampled what was drafted for them. Rows sample
// from the model's own distribution whatever was drafted, so nothing is lost: what comes out is what sampling token by token gives. (With
// draws that (seed, position) decides, this is the acceptance of Leviathan, Kalman and Matias, "Fast inference from transformers via
// speculative decoding", 2023, for a draft that is certain of its tokens.)
func Accept(drafts []int32, out []engine.Sampled) {
	for first := 0; first < len(drafts); {
		last := first // of the chain
		for drafts[last] >= 0 {
			last++
		}
		for i := first; i < last && out[i].Token == drafts[i]; i++ {
			out[first].Accepted++
		}
		first = last + 1
	}
}
