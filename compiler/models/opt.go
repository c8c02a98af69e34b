package models

import "llmc/compiler/hf"

// opt (Zhang et al. 2022) has learned positions, of which the first two rows are never used, layer norms and a ReLU. The 350M model, whose norms
// come behind and whose embeddings are narrower than the stream, is another one.
var opt = &family{
	modelType:    "opt",
	architecture: "OPTForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.inner, s.kvHeads, s.dim, s.eps = "ffn_dim", "", "", "" }),
	defaults:     defaults{eps: 1e-5, maxPositions: 2048, tied: true},
	names: names{
		table: "model.decoder.embed_tokens", positions: "model.decoder.embed_positions", layers: "model.decoder.layers.",
		norm: "model.decoder.final_layer_norm", head: "lm_head", preAttn: "self_attn_layer_norm", preMLP: "final_layer_norm",
		q: "self_attn.q_proj", k: "self_attn.k_proj", v: "self_attn.v_proj", o: "self_attn.out_proj", up: "fc1", down: "fc2",
	},
	shape: decoder{norms: norms{layer: true, bias: true}, plainMLP: true},
	keys: []string{
		"activation_function", "do_layer_norm_before", "enable_bias", "layer_norm_elementwise_affine", "word_embed_proj_dim",
		"_remove_final_layer_norm",
	},
	ignored: []string{"layerdrop", "init_std"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "activation_function", "relu")
		want(f, "do_layer_norm_before", true)
		want(f, "layer_norm_elementwise_affine", true)
		want(f, "_remove_final_layer_norm", false)
		if width := f.IntOr("word_embed_proj_dim", int64(d.hidden), 1, maxWidth); width != int64(d.hidden) {
			f.Fail("word_embed_proj_dim", "%d is not supported; it must be hidden_size, %d", width, d.hidden)
		}
		d.qkvBias = f.BoolOr("enable_bias", true)
		d.outBias, d.mlpBias = d.qkvBias, d.qkvBias
		d.learned = learnedRows{skip: 2, count: int(d.maxContext)}
	},
}
