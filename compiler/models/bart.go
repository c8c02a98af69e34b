package models

import (
	"math"

	"llmc/compiler/hf"
)

// bart (Lewis et al. 2020) has an encoder and a decoder with layer norms behind each part, learned positions of which the first two rows are never used, a
// norm behind the embeddings, biases everywhere, and numbers that are added to the logits.
var bart = &family{
	modelType:    "bart",
	architecture: "BartForConditionalGeneration",
	classes:      []class{{name: "BartModel"}}, // whose head is the table too
	sizes: sizes{
		vocab: "vocab_size", hidden: "d_model", inner: "decoder_ffn_dim", layers: "decoder_layers", heads: "decoder_attention_heads",
		positions: "max_position_embeddings",
	},
	defaults: defaults{eps: 1e-5, maxPositions: 1024, tied: true},
	names: bartNames("decoder").with(func(n *names) {
		n.aliases = []string{"model.encoder.embed_tokens", "model.decoder.embed_tokens"}
		n.headBias = "final_logits_bias"
		n.cross = crossing{
			norm: "encoder_attn_layer_norm", q: "encoder_attn.q_proj", k: "encoder_attn.k_proj", v: "encoder_attn.v_proj", o: "encoder_attn.out_proj",
		}
	}),
	shape: decoder{norms: norms{layer: true, bias: true, after: true}, plainMLP: true, qkvBias: true, outBias: true, mlpBias: true},
	keys: []string{
		"is_encoder_decoder", "activation_function", "scale_embedding", "encoder_layers", "encoder_ffn_dim", "encoder_attention_heads",
		"normalize_before", "normalize_embedding", "add_final_layer_norm", "static_position_embeddings", "extra_pos_embeddings",
	},
	ignored:  []string{"num_hidden_layers", "encoder_layerdrop", "decoder_layerdrop", "init_std", "add_bias_logits", "classif_dropout", "output_past", "force_bos_token_to_be_generated"},
	unused:   []string{"*encoder.embed_tokens.weight", "*decoder.embed_tokens.weight"},
	describe: describeBart,
}

func bartNames(stack string) names {
	stack = "model." + stack + "."
	return names{
		table: "model.shared", positions: stack + "embed_positions", embedNorm: stack + "layernorm_embedding", layers: stack + "layers.", head: "lm_head",
		postAttn: "self_attn_layer_norm", postMLP: "final_layer_norm",
		q: "self_attn.q_proj", k: "self_attn.k_proj", v: "self_attn.v_proj", o: "self_attn.out_proj", up: "fc1", down: "fc2",
	}
}

func describeBart(f *hf.Fields, d *decoder) {
	want(f, "is_encoder_decoder", true)
	want(f, "normalize_before", false)
	want(f, "normalize_embedding", true)
	want(f, "add_final_layer_norm", false)
	want(f, "static_position_embeddings", false)
	f.IntOr("extra_pos_embeddings", 2, 2, 2)
	readAct(f, d, "activation_function", "gelu")
	if f.BoolOr("scale_embedding", false) {
		d.embedScale = math.Sqrt(float64(d.hidden))
	}
	d.learned = learnedRows{skip: 2, count: int(d.maxContext)}
	heads := int(f.Int("encoder_attention_heads", 1, maxHeads))
	if d.hidden%heads != 0 {
		f.Fail("encoder_attention_heads", "%d does not divide d_model %d", heads, d.hidden)
		return
	}
	inner, layers := int(f.Int("encoder_ffn_dim", 1, maxWidth)), int(f.Int("encoder_layers", 1, maxLayers))
	d.encoder = encoderOf(d, func(e *decoder) {
		e.names, e.layers, e.inner = bartNames("encoder"), layers, inner
		e.heads, e.kvHeads, e.dim = heads, heads, d.hidden/heads
	})
}
