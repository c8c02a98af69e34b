package models

import "llmc/compiler/hf"

// olmo2 (OLMo Team 2025) is Llama with norms behind attention and MLP instead of before them, and RMS norms over whole rows of q and k.
var olmo2 = &family{
	modelType:    "olmo2",
	architecture: "Olmo2ForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.dim = "" }),
	defaults:     defaults{eps: 1e-5, maxPositions: 2048},
	rotary:       &rotary{},
	names: llamaNames.with(func(n *names) {
		n.preAttn, n.postAttn, n.preMLP, n.postMLP = "", "post_attention_layernorm", "", "post_feedforward_layernorm"
	}),
	shape: decoder{qkNorm: wholeRow},
	keys:  []string{"attention_bias"},
	describe: func(f *hf.Fields, d *decoder) {
		d.qkvBias = f.BoolOr("attention_bias", false)
		d.outBias = d.qkvBias
	},
}
