package gguf

import "slices"

// layerNormArchitectures are decoders with layer norms.
var layerNormArchitectures = []architecture{
	{name: "phi2", modelType: "phi", class: "PhiForCausalLM", keys: layerNormKeys(partialRotary, keyRow{key: "feed_forward_length"}), flags: decoderFlags,
		sizes: []sizeRow{{"intermediate_size", upTensor}}, // converters write four times the width, whatever it is
		tensors: slices.Concat([]tensorRow{
			{name: "output_norm", to: "model.final_layernorm"}, {name: "blk.*.attn_output", to: "model.layers.*.self_attn.dense"},
			{name: "blk.*.ffn_up", to: "model.layers.*.mlp.fc1"}, {name: "blk.*.ffn_down", to: "model.layers.*.mlp.fc2"},
		}, decoderTensors)},
	{name: "stablelm", modelType: "stablelm", class: "StableLmForCausalLM", keys: layerNormKeys(partialRotary, sameKey("use_parallel_residual")),
		flags: append([]flagRow{{to: "use_qkv_bias", tensor: "blk.0.attn_q.bias"}}, decoderFlags...), tensors: decoderTensors},
	{name: "starcoder2", modelType: "starcoder2", class: "Starcoder2ForCausalLM", keys: append([]keyRow{ownHeads, {key: "attention.layer_norm_epsilon", to: "norm_epsilon"}}, decoderKeys...),
		flags: append([]flagRow{{to: "use_bias", tensor: "blk.0.attn_output.bias"}}, decoderFlags...),
		tensors: slices.Concat([]tensorRow{
			{name: "blk.*.ffn_up", to: "model.layers.*.mlp.c_fc"}, {name: "blk.*.ffn_down", to: "model.layers.*.mlp.c_proj"},
		}, decoderTensors)},
	{name: "command-r", modelType: "cohere", class: "CohereForCausalLM", keys: layerNormKeys(ownHeads, sameKey("logit_scale")), flags: append(outputBias, decoderFlags...), tensors: decoderTensors},
	{name: "gptneox", modelType: "gpt_neox", class: "GPTNeoXForCausalLM", keys: layerNormKeys(keyRow{key: "rope.dimension_count", to: "rotary_pct", as: partOfHead}, sameKey("use_parallel_residual")),
		flags: append(outputBias, decoderFlags...), tensors: slices.Concat(neoxTensors, jointTensors("gpt_neox.layers.*.", "attention"))},
	{name: "bloom", modelType: "bloom", class: "BloomForCausalLM", keys: bloomKeys, flags: decoderFlags,
		tensors: slices.Concat([]tensorRow{{name: "token_embd_norm", to: "transformer.word_embeddings_layernorm"}}, wordTensors, jointTensors("transformer.h.*.", "self_attention"))},
	{name: "falcon", when: hasTensor("blk.0.attn_norm_2.weight"), modelType: "falcon", class: "FalconForCausalLM", keys: falconKeys, flags: falconFlags,
		sizes: []sizeRow{{"ffn_hidden_size", upTensor}}, fixed: []fixedRow{{to: "new_decoder_architecture", value: true}},
		tensors: slices.Concat([]tensorRow{
			{name: "blk.*.attn_norm", to: "transformer.h.*.ln_mlp"}, {name: "blk.*.attn_norm_2", to: "transformer.h.*.ln_attn"},
		}, wordTensors, jointTensors("transformer.h.*.", "self_attention"))},
	{name: "falcon", when: func(m *model) bool { return m.number("falcon.attention.head_count_kv") > 1 }, modelType: "falcon", class: "FalconForCausalLM", keys: falconKeys, flags: falconFlags,
		sizes:   []sizeRow{{"ffn_hidden_size", upTensor}},
		fixed:   []fixedRow{{to: "new_decoder_architecture", value: true}, {to: "num_ln_in_parallel_attn", value: 1}},
		tensors: slices.Concat(wordTensors, jointTensors("transformer.h.*.", "self_attention"))},
	{name: "falcon", modelType: "falcon", class: "FalconForCausalLM", keys: falconKeys, flags: falconFlags, sizes: []sizeRow{{"ffn_hidden_size", upTensor}},
		fixed: []fixedRow{{to: "multi_query", value: true}}, tensors: slices.Concat(wordTensors, jointTensors("transformer.h.*.", "self_attention"))},
	{name: "gpt2", modelType: "gpt2", class: "GPT2LMHeadModel", keys: layerNormKeys(keyRow{key: "attention.layer_norm_epsilon", to: "layer_norm_epsilon"},
		keyRow{key: "feed_forward_length", to: "n_inner"}), flags: decoderFlags, fixed: []fixedRow{{to: "conv1d", value: false}}, tensors: gpt2Tensors},
	{name: "mpt", modelType: "mpt", class: "MptForCausalLM", keys: mptKeys, flags: decoderFlags, fixed: []fixedRow{{to: "attn_config.alibi", value: true}}, tensors: mptTensors},
}

// upTensor is the first matrix of an MLP, [features, inputs].
const upTensor = "blk.0.ffn_up.weight"

func layerNormKeys(rows ...keyRow) []keyRow {
	return slices.Concat(rows, []keyRow{{key: "attention.layer_norm_epsilon", to: "layer_norm_eps"}}, decoderKeys)
}

// sameKey is called alike in config.json.
func sameKey(key string) keyRow { return keyRow{key: key, to: key} }

var partialRotary = keyRow{key: "rope.dimension_count", to: "partial_rotary_factor", as: partOfHead}

var bloomKeys = append([]keyRow{
	{key: "context_length", to: "seq_length"}, {key: "feed_forward_length"}, {key: "attention.layer_norm_epsilon", to: "layer_norm_epsilon"},
	{key: "attention.head_count_kv", to: headsKey, same: true},
}, decoderKeys...)

var falconKeys = append([]keyRow{
	{key: "feed_forward_length"}, {key: "attention.layer_norm_epsilon", to: "layer_norm_epsilon"}, {key: "attention.head_count_kv", to: "num_kv_heads"},
}, decoderKeys...)

var falconFlags = append([]flagRow{{to: "bias", tensor: "blk.0.attn_qkv.bias"}}, decoderFlags...)

var mptKeys = append([]keyRow{
	{key: "context_length", to: "max_seq_len"}, {key: "feed_forward_length"}, {key: "attention.layer_norm_epsilon", to: "layer_norm_epsilon"},
	{key: "attention.head_count_kv", to: headsKey, same: true},
	{key: "attention.max_alibi_bias", to: "attn_config.alibi_bias_max"}, {key: "attention.clamp_kqv", to: "attn_config.clip_qkv"},
}, decoderKeys...)

var neoxTensors = []tensorRow{
	{name: "token_embd", to: "gpt_neox.embed_in"}, {name: "output_norm", to: "gpt_neox.final_layer_norm"}, {name: "output", to: "embed_out"},
}

var wordTensors = []tensorRow{
	{name: "token_embd", to: "transformer.word_embeddings"}, {name: "output_norm", to: "transformer.ln_f"}, {name: "output", to: "lm_head"},
}

// jointTensors are those of layers with one matrix for queries, keys and values.
func jointTensors(layer, attention string) []tensorRow {
	return []tensorRow{
		{name: "blk.*.attn_norm", to: layer + "input_layernorm"},
		{name: "blk.*.attn_qkv", to: layer + attention + ".query_key_value", order: grouped},
		{name: "blk.*.attn_output", to: layer + attention + ".dense"},
		{name: "blk.*.ffn_norm", to: layer + "post_attention_layernorm"},
		{name: "blk.*.ffn_up", to: layer + "mlp.dense_h_to_4h"},
		{name: "blk.*.ffn_down", to: layer + "mlp.dense_4h_to_h"},
	}
}

var gpt2Tensors = []tensorRow{
	{name: "token_embd", to: "transformer.wte"}, {name: "position_embd", to: "transformer.wpe"}, {name: "output_norm", to: "transformer.ln_f"}, {name: "output", to: "lm_head"},
	{name: "blk.*.attn_norm", to: "transformer.h.*.ln_1"}, {name: "blk.*.ffn_norm", to: "transformer.h.*.ln_2"},
	{name: "blk.*.attn_qkv", to: "transformer.h.*.attn.c_attn"}, {name: "blk.*.attn_output", to: "transformer.h.*.attn.c_proj"},
	{name: "blk.*.ffn_up", to: "transformer.h.*.mlp.c_fc"}, {name: "blk.*.ffn_down", to: "transformer.h.*.mlp.c_proj"},
}

var mptTensors = []tensorRow{
	{name: "token_embd", to: "transformer.wte"}, {name: "output_norm", to: "transformer.norm_f"}, {name: "output", to: "lm_head"},
	{name: "blk.*.attn_norm", to: "transformer.blocks.*.norm_1"}, {name: "blk.*.ffn_norm", to: "transformer.blocks.*.norm_2"},
	{name: "blk.*.attn_qkv", to: "transformer.blocks.*.attn.Wqkv"}, {name: "blk.*.attn_output", to: "transformer.blocks.*.attn.out_proj"},
	{name: "blk.*.ffn_up", to: "transformer.blocks.*.ffn.up_proj"}, {name: "blk.*.ffn_down", to: "transformer.blocks.*.ffn.down_proj"},
}
