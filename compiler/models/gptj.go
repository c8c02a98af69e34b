package models

import "llmc/compiler/hf"

// gptj (Wang and Komatsuzaki 2021) has attention and an MLP without a gate beside each other behind one layer norm, turns neighbouring channels of
// the first rotary_dim of each head, and has biases in the MLP and the head.
var gptj = &family{
	modelType:    "gptj",
	architecture: "GPTJForCausalLM",
	sizes:        gpt2Sizes,
	defaults:     defaults{inner: 4, eps: 1e-5, maxPositions: 2048},
	rotary:       &rotary{style: "interleaved", widthKey: "rotary_dim", channels: 64},
	names: names{
		table: "transformer.wte", layers: "transformer.h.", norm: "transformer.ln_f", head: "lm_head", preAttn: "ln_1",
		q: "attn.q_proj", k: "attn.k_proj", v: "attn.v_proj", o: "attn.out_proj", up: "mlp.fc_in", down: "mlp.fc_out",
	},
	shape:  decoder{norms: norms{layer: true, bias: true}, parallel: true, plainMLP: true, mlpBias: true, headBias: true},
	keys:   []string{"activation_function", "rotary", "scale_attn_weights"},
	unused: []string{"*.attn.bias", "*.attn.masked_bias"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "activation_function", "gelu_new")
		want(f, "rotary", true)
		want(f, "scale_attn_weights", true)
	},
}
