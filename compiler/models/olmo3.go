package models

import "llmc/compiler/hf"

// olmo3 (OLMo 3) is OLMo 2 with a sliding window on all but each fourth layer; scaled frequencies are for those without one.
var olmo3 = &family{
	modelType:    "olmo3",
	architecture: "Olmo3ForCausalLM",
	sizes:        olmo2.sizes,
	defaults:     olmo2.defaults,
	rotary:       &rotary{base: 5e5, perType: "full_attention"},
	names:        olmo2.names,
	shape:        olmo2.shape,
	keys:         append([]string{"sliding_window", "layer_types"}, olmo2.keys...),
	describe: func(f *hf.Fields, d *decoder) {
		olmo2.describe(f, d)
		readPattern(f, d, windowOr(f, 4096), 4)
		local := readRope(f, rotary{base: 5e5, perType: "sliding_attention", alone: true}, d.dim, d.maxContext)
		for i, window := range d.windows {
			if window > 0 {
				d.ropes[i] = local
			}
		}
	},
}
