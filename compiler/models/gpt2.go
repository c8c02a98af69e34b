package models

import "llmc/compiler/hf"

// gpt2 (Radford et al. 2019) has learned positions, layer norms, and matrices that are stored with inputs first (Conv1D).
var gpt2 = &family{
	modelType:    "gpt2",
	architecture: "GPT2LMHeadModel",
	sizes:        gpt2Sizes,
	defaults:     defaults{inner: 4, eps: 1e-5, maxPositions: 1024, tied: true},
	names: names{
		table: "transformer.wte", positions: "transformer.wpe", layers: "transformer.h.", norm: "transformer.ln_f", head: "lm_head",
		preAttn: "ln_1", preMLP: "ln_2", qkv: "attn.c_attn", o: "attn.c_proj", up: "mlp.c_fc", down: "mlp.c_proj",
	},
	shape: decoder{
		norms: norms{layer: true, bias: true}, plainMLP: true, qkvBias: true, outBias: true, mlpBias: true,
	},
	keys: []string{
		"activation_function", "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "add_cross_attention",
		"conv1d", // false where another container (GGUF) has matrices with outputs first
	},
	ignored: []string{"reorder_and_upcast_attn"}, // how scores are computed, not what they are
	unused:  []string{"*.attn.bias", "*.attn.masked_bias"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "activation_function", "gelu_new")
		want(f, "scale_attn_weights", true)
		want(f, "scale_attn_by_inverse_layer_idx", false)
		want(f, "add_cross_attention", false)
		d.turned = f.BoolOr("conv1d", true)
		d.learned.count = int(d.maxContext)
	},
}

// gpt2Sizes are the keys of GPT-2 and of what is made from its code.
var gpt2Sizes = sizes{
	vocab: "vocab_size", hidden: "n_embd hidden_size", inner: "n_inner", layers: "n_layer num_hidden_layers", heads: "n_head num_attention_heads",
	eps: "layer_norm_epsilon", positions: "n_positions max_position_embeddings",
}
