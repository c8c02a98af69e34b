package models

import "llmc/compiler/hf"

// gptneox (GPT-NeoX 20B, Pythia, ...) has attention and an MLP without a gate beside each other, each behind a layer norm of its own, or one after
// the other; it turns a part of each head, and its joint projection has the query, key and value of each head in turn.
var gptneox = &family{
	modelType:    "gpt_neox",
	architecture: "GPTNeoXForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.kvHeads, s.dim, s.eps = "", "", "layer_norm_eps" }),
	defaults:     defaults{eps: 1e-5, maxPositions: 2048},
	rotary:       &rotary{baseKey: "rotary_emb_base rope_theta", partial: 0.25, partialKey: "rotary_pct partial_rotary_factor"},
	names: names{
		table: "gpt_neox.embed_in", layers: "gpt_neox.layers.", norm: "gpt_neox.final_layer_norm", head: "embed_out",
		preAttn: "input_layernorm", preMLP: "post_attention_layernorm", qkv: "attention.query_key_value", o: "attention.dense",
		up: "mlp.dense_h_to_4h", down: "mlp.dense_4h_to_h",
	},
	shape:  decoder{norms: norms{layer: true, bias: true}, plainMLP: true, mlpBias: true},
	keys:   []string{"hidden_act", "attention_bias", "use_parallel_residual"},
	unused: []string{"*.attention.bias", "*.attention.masked_bias"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "hidden_act", "gelu")
		d.qkvGroups = d.heads
		d.qkvBias = f.BoolOr("attention_bias", true)
		d.outBias = d.qkvBias
		d.parallel = f.BoolOr("use_parallel_residual", true)
	},
}
