package models

import "llmc/compiler/hf"

// stablelm (StableLM 2, StableLM-3B, ...) is Llama with layer norms, of which a part of each head turns. Attention and MLP may be beside each other
// behind one norm.
var stablelm = &family{
	modelType:    "stablelm",
	architecture: "StableLmForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.dim, s.eps = "", "layer_norm_eps norm_eps" }),
	defaults:     defaults{eps: 1e-5, maxPositions: 4096},
	rotary:       &rotary{partial: 0.25, partialKey: "partial_rotary_factor rope_pct"},
	names:        llamaNames,
	shape:        decoder{norms: norms{layer: true, bias: true}},
	keys:         []string{"use_qkv_bias", "use_parallel_residual", "qk_layernorm"},
	describe: func(f *hf.Fields, d *decoder) {
		want(f, "qk_layernorm", false)
		d.qkvBias = f.BoolOr("use_qkv_bias", false)
		if d.parallel = f.BoolOr("use_parallel_residual", false); d.parallel {
			d.preMLP = ""
		}
	},
}
