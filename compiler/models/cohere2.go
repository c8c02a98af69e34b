package models

import "llmc/compiler/hf"

// cohere2 (Command R7B, Command A) is Cohere with a sliding window on all but each fourth layer, and without a rotary embedding on those.
var cohere2 = &family{
	modelType:    "cohere2",
	architecture: "Cohere2ForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.eps = "layer_norm_eps" }),
	defaults:     defaults{eps: 1e-5, maxPositions: 8192, tied: true},
	rotary:       &rotary{style: "interleaved"},
	names:        cohere.names,
	shape:        cohere.shape,
	keys:         []string{"attention_bias", "logit_scale", "sliding_window", "sliding_window_pattern", "layer_types", "use_qk_norm"},
	ignored:      []string{"order_of_interleaved_layers", "rotary_pct", "position_embedding_type", "use_embedding_sharing", "use_gated_activation", "use_parallel_block", "use_parallel_embedding"},
	describe: func(f *hf.Fields, d *decoder) {
		cohere.describe(f, d)
		readPattern(f, d, windowOr(f, 4096), int(f.IntOr("sliding_window_pattern", 4, 1, maxLayers)))
		for i, window := range d.windows {
			if window == 0 {
				d.ropes[i] = nil
			}
		}
	},
}
