package models

import "llmc/compiler/hf"

// gemma3 is the text model of Gemma 3 (Gemma Team 2025): Gemma 2 with RMS norms on each head of q and k instead of bounds, windows on all but
// each sixth layer, and frequencies of their own in layers with a window.
var gemma3 = &family{
	modelType:    "gemma3_text",
	architecture: "Gemma3ForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 4, dim: 256, maxPositions: 131072, tied: true},
	rotary:       &rotary{base: 1e6, perType: "full_attention"},
	names:        gemma2Names,
	shape:        decoder{norms: norms{plus1: true}, qkNorm: eachHead},
	keys:         append([]string{"rope_local_base_freq", "sliding_window_pattern"}, gemma2Keys...),
	describe: func(f *hf.Fields, d *decoder) {
		describeGemma2(f, d)
		d.logitCap = bound(f, "final_logit_softcapping", 0)
		if f.Has("attn_logit_softcapping") {
			f.Fail("attn_logit_softcapping", "is not supported; it must be null")
		}
		every := f.IntOr(named(f, "sliding_window_pattern _sliding_window_pattern"), 6, 1, maxLayers)
		readPattern(f, d, windowOr(f, 4096), int(every))
		local := readRope(f, rotary{base: 1e4, baseKey: "rope_local_base_freq", perType: "sliding_attention", alone: true}, d.dim, d.maxContext)
		for i, window := range d.windows {
			if window > 0 {
				d.ropes[i] = local
			}
		}
	},
}
