package models

import "llmc/compiler/hf"

// cohere (Command R) is Llama with attention and MLP beside each other behind one layer norm, which has no bias, neighbouring channels that
// turn together, and scaled logits. The norms on q and k of Command R+ are not supported.
var cohere = &family{
	modelType:    "cohere",
	architecture: "CohereForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.dim, s.eps = "", "layer_norm_eps" }),
	defaults:     defaults{eps: 1e-5, maxPositions: 8192, tied: true},
	rotary:       &rotary{style: "interleaved"},
	names:        llamaNames.with(func(n *names) { n.preMLP = "" }),
	shape:        decoder{norms: norms{layer: true}, parallel: true},
	keys:         []string{"attention_bias", "logit_scale", "use_qk_norm"},
	describe: func(f *hf.Fields, d *decoder) {
		want(f, "use_qk_norm", false)
		d.qkvBias = f.BoolOr("attention_bias", false)
		d.outBias = d.qkvBias
		d.logitScale = f.FloatOr("logit_scale", 0.0625, 1e-6, 1e6)
	},
}
