package gguf

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
)

// decoderArchitectures are decoders of the Llama shape.
var decoderArchitectures = []architecture{
	{name: "llama", when: hasTensor("blk.0.ffn_gate_exps.weight"), modelType: "mixtral", class: "MixtralForCausalLM", keys: keysWith(mixtralKeys...), flags: decoderFlags,
		tensors: slices.Concat(mixtralTensors, pairedTensors, decoderTensors)},
	{name: "llama", modelType: "llama", class: "LlamaForCausalLM", keys: decoderKeys, flags: append(llamaBiases, decoderFlags...), tensors: append(pairedTensors, decoderTensors...)},
	{name: "qwen2", modelType: "qwen2", class: "Qwen2ForCausalLM", keys: decoderKeys, flags: decoderFlags, tensors: decoderTensors},
	{name: "qwen3", modelType: "qwen3", class: "Qwen3ForCausalLM", keys: decoderKeys, flags: append(outputBias, decoderFlags...), tensors: append(qkNormTensors, decoderTensors...)},
	{name: "gemma", modelType: "gemma", class: "GemmaForCausalLM", keys: decoderKeys, flags: decoderFlags, tensors: gemmaTensors(decoderTensors)},
	{name: "gemma2", modelType: "gemma2", class: "Gemma2ForCausalLM", keys: keysWith(gemmaKeys...), flags: decoderFlags, tensors: gemmaTensors(append(aroundTensors, decoderTensors...))},
	{name: "gemma3", modelType: "gemma3_text", class: "Gemma3ForCausalLM", keys: keysWith(gemmaKeys...), flags: decoderFlags,
		tensors: gemmaTensors(slices.Concat(qkNormTensors, aroundTensors, decoderTensors))},
	{name: "phi3", modelType: "phi3", class: "Phi3ForCausalLM", keys: keysWith(phi3Keys...), flags: decoderFlags, tensors: append(phi3Tensors, decoderTensors...)},
	{name: "olmo2", modelType: "olmo2", class: "Olmo2ForCausalLM", keys: keysWith(ownHeads), flags: append(outputBias, decoderFlags...),
		tensors: slices.Concat(qkNormTensors, behindTensors, decoderTensors)},
	{name: "granite", modelType: "granite", class: "GraniteForCausalLM", keys: keysWith(graniteKeys...), flags: append(llamaBiases, decoderFlags...),
		tensors: append(pairedTensors, decoderTensors...)},
}

// keysWith are decoderKeys with others before them.
func keysWith(rows ...keyRow) []keyRow { return slices.Concat(rows, decoderKeys) }

// decoderKeys are the keys of models of the Llama shape.
var decoderKeys = []keyRow{
	{key: "context_length", to: "max_position_embeddings"},
	{key: "embedding_length", to: hiddenKey},
	{key: "block_count", to: layersKey},
	{key: "feed_forward_length", to: "intermediate_size"},
	{key: "vocab_size", to: "vocab_size"},
	{key: "attention.head_count", to: headsKey},
	{key: "attention.head_count_kv", to: "num_key_value_heads"},
	{key: "attention.key_length", to: headDimKey},
	{key: "attention.value_length", to: headDimKey, same: true},
	{key: "attention.layer_norm_rms_epsilon", to: "rms_norm_eps"},
	{key: "attention.causal"},
	{key: "rope.dimension_count", to: headDimKey, same: true},
	{key: "rope.freq_base", to: "rope_theta"},
	{key: "rope.scaling.type", to: "rope_scaling.rope_type", texts: map[string]string{"none": "default"}},
	{key: "rope.scaling.factor", to: "rope_scaling.factor"},
	{key: "rope.scaling.original_context_length", to: "rope_scaling.original_max_position_embeddings"},
	{key: "rope.scaling.attn_factor", to: "rope_scaling.attention_factor"},
	{key: "rope.scaling.yarn_attn_factor", to: "rope_scaling.attention_factor"},
	{key: "rope.scaling.yarn_beta_fast", to: "rope_scaling.beta_fast"},
	{key: "rope.scaling.yarn_beta_slow", to: "rope_scaling.beta_slow"},
	{key: "rope.scaling.finetuned"},
	{key: "tensor_data_layout"},
}

// Keys of config.json that are read here too.
const (
	hiddenKey  = "hidden_size"
	layersKey  = "num_hidden_layers"
	headsKey   = "num_attention_heads"
	headDimKey = "head_dim"
)

// ownHeads: the family's heads have the channels that their number makes; a rotary embedding that turns others is refused by the shapes of tensors.
var ownHeads = keyRow{key: "rope.dimension_count"}

var (
	decoderFlags = []flagRow{{to: "tie_word_embeddings", tensor: headTensor, absent: true}}
	llamaBiases  = []flagRow{{to: "attention_bias", tensor: "blk.0.attn_output.bias"}, {to: "mlp_bias", tensor: "blk.0.ffn_down.bias"}}
	outputBias   = []flagRow{{to: "attention_bias", tensor: "blk.0.attn_output.bias"}}
)

// decoderTensors are the tensors of models of the Llama shape.
var decoderTensors = []tensorRow{
	{name: "token_embd", to: "model.embed_tokens"},
	{name: "output_norm", to: "model.norm"},
	{name: "output", to: "lm_head"},
	{name: "blk.*.attn_norm", to: "model.layers.*.input_layernorm"},
	{name: "blk.*.attn_q", to: "model.layers.*.self_attn.q_proj"},
	{name: "blk.*.attn_k", to: "model.layers.*.self_attn.k_proj"},
	{name: "blk.*.attn_v", to: "model.layers.*.self_attn.v_proj"},
	{name: "blk.*.attn_output", to: "model.layers.*.self_attn.o_proj"},
	{name: "blk.*.ffn_norm", to: "model.layers.*.post_attention_layernorm"},
	{name: "blk.*.ffn_gate", to: "model.layers.*.mlp.gate_proj"},
	{name: "blk.*.ffn_up", to: "model.layers.*.mlp.up_proj"},
	{name: "blk.*.ffn_down", to: "model.layers.*.mlp.down_proj"},
}

// pairedTensors are those whose rows converters of Llamas reorder.
var pairedTensors = []tensorRow{
	{name: "blk.*.attn_q", to: "model.layers.*.self_attn.q_proj", order: inPairs},
	{name: "blk.*.attn_k", to: "model.layers.*.self_attn.k_proj", order: inPairs},
}

var qkNormTensors = []tensorRow{
	{name: "blk.*.attn_q_norm", to: "model.layers.*.self_attn.q_norm"},
	{name: "blk.*.attn_k_norm", to: "model.layers.*.self_attn.k_norm"},
}

// behindTensors are norms behind attention and MLP, aroundTensors those of layers that have both.
var (
	behindTensors = []tensorRow{
		{name: "blk.*.post_attention_norm", to: "model.layers.*.post_attention_layernorm"},
		{name: "blk.*.post_ffw_norm", to: "model.layers.*.post_feedforward_layernorm"},
	}
	aroundTensors = append([]tensorRow{{name: "blk.*.ffn_norm", to: "model.layers.*.pre_feedforward_layernorm"}}, behindTensors...)
)

var phi3Tensors = []tensorRow{
	{name: "blk.*.attn_qkv", to: "model.layers.*.self_attn.qkv_proj"},
	{name: "blk.*.ffn_up", to: "model.layers.*.mlp.gate_up_proj"},
}

var phi3Keys = []keyRow{
	{key: "rope.dimension_count", to: "partial_rotary_factor", as: partOfHead},
	{key: "rope.scaling.original_context_length", to: "original_max_position_embeddings"},
	{key: "attention.sliding_window", to: "sliding_window", as: noneAtZero},
}

var graniteKeys = []keyRow{
	ownHeads,
	{key: "attention.scale", to: "attention_multiplier"},
	{key: "embedding_scale", to: "embedding_multiplier"},
	{key: "residual_scale", to: "residual_multiplier"},
	{key: "logit_scale", to: "logits_scaling"},
}

// gemmaKeys: scores are divided by the root of query_pre_attn_scalar, which files do not have. It is the channels of a head, but for the largest model of each generation, by
// whose number of layers llama.cpp tells it.
var gemmaKeys = []keyRow{
	{key: "attention.sliding_window", to: "sliding_window"},
	{key: "attn_logit_softcapping", to: "attn_logit_softcapping"},
	{key: "final_logit_softcapping", to: "final_logit_softcapping"},
	{key: "rope.freq_base_swa", to: "rope_local_base_freq"},
	{key: "block_count", to: layersKey},
	{key: "attention.value_length", to: "query_pre_attn_scalar", as: gemmaScalar},
}

// gemma27B are the layers of the models whose scores are scaled by hidden_size/num_attention_heads.
var gemma27B = map[string]float64{"gemma2": 46, "gemma3": 62}

func gemmaScalar(m *model, v any) any {
	if m.decimal("block_count") == gemma27B[m.family.name] {
		return plainNumber(m.decimal("embedding_length") / m.decimal("attention.head_count"))
	}
	return v
}

// gemmaTensors are others whose norms have one added.
func gemmaTensors(rows []tensorRow) []tensorRow {
	rows = slices.Clone(rows)
	for i := range rows {
		if stem := rows[i].name; len(stem) > 5 && stem[len(stem)-5:] == "_norm" {
			rows[i].less = 1
		}
	}
	return rows
}

// decimal is the first number of one of the architecture's keys, 0 where there is none.
func (m *model) decimal(key string) float64 { return m.number(m.family.name + "." + key) }

func (m *model) number(key string) float64 {
	list, err := m.numbers(key)
	if err != nil || len(list) == 0 {
		return 0
	}
	return list[0]
}

// partOfHead makes a part of a head's channels of their number, which comes out again when it is multiplied with them and cut off.
func partOfHead(m *model, v any) any {
	n, _ := v.(json.Number)
	turned, _ := n.Float64()
	dim := math.Floor(m.decimal("embedding_length") / max(1, m.decimal("attention.head_count")))
	part := turned / max(1, dim)
	if math.Floor(part*dim) < turned {
		part = math.Nextafter(part, 2)
	}
	return plainNumber(part)
}

// noneAtZero: 0 stands for none.
func noneAtZero(_ *model, v any) any {
	if v == json.Number("0") {
		return nil
	}
	return v
}

func plainNumber(x float64) json.Number { return json.Number(strconv.FormatFloat(x, 'f', -1, 64)) }
