package models

import "llmc/compiler/hf"

// bloom (BigScience 2022) has ALiBi instead of a rotary embedding, a layer norm behind the embeddings, biases everywhere, and a joint projection
// in which each head has its query, key and value.
var bloom = &family{
	modelType:    "bloom",
	architecture: "BloomForCausalLM",
	sizes: sizes{
		vocab: "vocab_size", hidden: "hidden_size n_embed", layers: "n_layer num_hidden_layers", heads: "n_head num_attention_heads",
		eps: "layer_norm_epsilon", positions: "seq_length",
	},
	defaults: defaults{inner: 4, eps: 1e-5, maxPositions: 2048, tied: true},
	names: names{
		table: "transformer.word_embeddings", embedNorm: "transformer.word_embeddings_layernorm", layers: "transformer.h.",
		norm: "transformer.ln_f", head: "lm_head", preAttn: "input_layernorm", preMLP: "post_attention_layernorm",
		qkv: "self_attention.query_key_value", o: "self_attention.dense", up: "mlp.dense_h_to_4h", down: "mlp.dense_4h_to_h",
	},
	shape: decoder{
		norms: norms{layer: true, bias: true}, plainMLP: true, act: "gelu_tanh", qkvBias: true, outBias: true, mlpBias: true,
	},
	keys: []string{"apply_residual_connection_post_layernorm"},
	ignored: []string{
		"attention_softmax_in_fp32", "bias_dropout_fusion", "masked_softmax_fusion", "skip_bias_add", "skip_bias_add_qkv", "slow_but_exact",
		"offset_alibi", "n_inner",
	},
	describe: func(f *hf.Fields, d *decoder) {
		want(f, "apply_residual_connection_post_layernorm", false)
		d.qkvGroups, d.alibi = d.heads, alibiSlopes(d.heads)
	},
}
