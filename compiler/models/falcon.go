package models

import (
	"llmc/compiler/hf"
	"llmc/internal/dtype"
)

// falcon (Almazrouei et al. 2023) has three blocks. Of 7B attention and MLP are beside each other behind one layer norm, and all heads share one
// key and value. new_decoder_architecture (40B, 180B, 11B) has several of these, each with its queries in the joint projection, and mostly a norm
// for each branch. Falcon-RW has one block after the other, and ALiBi, whose slopes are rounded to bf16 and scaled as scores are.
var falcon = &family{
	modelType:    "falcon",
	architecture: "FalconForCausalLM",
	sizes: sizes{
		vocab: "vocab_size", hidden: "hidden_size n_embed", inner: "ffn_hidden_size", layers: "num_hidden_layers n_layer",
		heads: "num_attention_heads n_head", kvHeads: "num_kv_heads n_head_kv", eps: "layer_norm_epsilon", positions: "max_position_embeddings",
	},
	defaults: defaults{inner: 4, eps: 1e-5, maxPositions: 2048, tied: true},
	rotary:   &rotary{},
	names: names{
		table: "transformer.word_embeddings", layers: "transformer.h.", norm: "transformer.ln_f", head: "lm_head",
		preAttn: "input_layernorm", qkv: "self_attention.query_key_value", o: "self_attention.dense",
		up: "mlp.dense_h_to_4h", down: "mlp.dense_4h_to_h",
	},
	shape: decoder{norms: norms{layer: true, bias: true}, plainMLP: true},
	keys: []string{
		"activation", "alibi", "bias", "multi_query", "parallel_attn", "new_decoder_architecture", "num_ln_in_parallel_attn",
		"apply_residual_connection_post_layernorm",
	},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "activation", "gelu")
		want(f, "apply_residual_connection_post_layernorm", false)
		d.qkvBias = f.BoolOr("bias", false)
		d.outBias, d.mlpBias = d.qkvBias, d.qkvBias
		d.parallel = f.BoolOr("parallel_attn", true)
		switch {
		case f.BoolOr("new_decoder_architecture", false):
			d.parallel, d.qkvGroups = true, d.kvHeads
			if f.IntOr("num_ln_in_parallel_attn", 2, 1, 2) == 2 {
				d.preAttn, d.preMLP = "ln_attn", "ln_mlp"
			}
		case f.BoolOr("multi_query", true):
			d.kvHeads = 1
		default:
			d.kvHeads, d.qkvGroups = d.heads, d.heads
		}
		if !d.parallel {
			d.preMLP = "post_attention_layernorm"
		}
		if f.BoolOr("alibi", false) {
			d.rope, d.ropes = nil, make([]*rope, d.layers)
			for _, slope := range alibiSlopes(d.heads) {
				d.alibi = append(d.alibi, dtype.BF16ToF32(dtype.F32ToBF16(slope))*float32(d.scale()))
			}
		}
	},
}
