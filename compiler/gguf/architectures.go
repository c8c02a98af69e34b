package gguf

import (
	"fmt"
	"slices"
	"strings"
)

// architecture is one value of general.architecture: which family of config.json it is, and what its keys and tensors are called there. A new family is one row
// of architectures, with rows of its own for what decoderKeys and decoderTensors lack.
type architecture struct {
	name             string
	modelType, class string // model_type and architectures of config.json
	keys             []keyRow
	flags            []flagRow
	tensors          []tensorRow
	// paired: the converter has put rows of q and k that a rotary embedding turns together next to each other (see paired).
	paired bool
}

// keyRow maps a key, which begins with the architecture's name and a dot.
type keyRow struct {
	key string
	to  string // key of config.json, with a dot before that of an object inside; "" for a key that changes nothing
	// same tells that the key is not for config.json: its value must be that of the key to.
	same bool
	// texts gives config.json's words for a string.
	texts map[string]string
}

// flagRow is a truth of config.json that tells whether there is a tensor.
type flagRow struct {
	to, tensor string
	absent     bool // true where there is none
}

// tensorRow maps a tensor's name without its ending, .weight or .bias; * is the number of a layer.
type tensorRow struct{ name, to string }

var architectures = []architecture{
	{name: "llama", modelType: "llama", class: "LlamaForCausalLM", keys: decoderKeys, flags: append(llamaBiases, decoderFlags...), tensors: decoderTensors, paired: true},
	{name: "qwen2", modelType: "qwen2", class: "Qwen2ForCausalLM", keys: decoderKeys, flags: decoderFlags, tensors: decoderTensors},
	{name: "qwen3", modelType: "qwen3", class: "Qwen3ForCausalLM", keys: decoderKeys, flags: append(qwen3Biases, decoderFlags...), tensors: append(qkNormTensors, decoderTensors...)},
}

// decoderKeys are the keys of models of the Llama shape.
var decoderKeys = []keyRow{
	{key: "context_length", to: "max_position_embeddings"},
	{key: "embedding_length", to: "hidden_size"},
	{key: "block_count", to: "num_hidden_layers"},
	{key: "feed_forward_length", to: "intermediate_size"},
	{key: "vocab_size", to: "vocab_size"},
	{key: "attention.head_count", to: "num_attention_heads"},
	{key: "attention.head_count_kv", to: "num_key_value_heads"},
	{key: "attention.key_length", to: "head_dim"},
	{key: "attention.value_length", to: "head_dim", same: true},
	{key: "attention.layer_norm_rms_epsilon", to: "rms_norm_eps"},
	{key: "attention.causal"},
	{key: "rope.dimension_count", to: "head_dim", same: true},
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

var decoderFlags = []flagRow{{to: "tie_word_embeddings", tensor: "output.weight", absent: true}}

var (
	llamaBiases = []flagRow{{to: "attention_bias", tensor: "blk.0.attn_output.bias"}, {to: "mlp_bias", tensor: "blk.0.ffn_down.bias"}}
	qwen3Biases = []flagRow{{to: "attention_bias", tensor: "blk.0.attn_output.bias"}}
)

// decoderTensors are the tensors of models of the Llama shape.
var decoderTensors = []tensorRow{
	{"token_embd", "model.embed_tokens"},
	{"output_norm", "model.norm"},
	{"output", "lm_head"},
	{"blk.*.attn_norm", "model.layers.*.input_layernorm"},
	{"blk.*.attn_q", "model.layers.*.self_attn.q_proj"},
	{"blk.*.attn_k", "model.layers.*.self_attn.k_proj"},
	{"blk.*.attn_v", "model.layers.*.self_attn.v_proj"},
	{"blk.*.attn_output", "model.layers.*.self_attn.o_proj"},
	{"blk.*.ffn_norm", "model.layers.*.post_attention_layernorm"},
	{"blk.*.ffn_gate", "model.layers.*.mlp.gate_proj"},
	{"blk.*.ffn_up", "model.layers.*.mlp.up_proj"},
	{"blk.*.ffn_down", "model.layers.*.mlp.down_proj"},
}

var qkNormTensors = []tensorRow{
	{"blk.*.attn_q_norm", "model.layers.*.self_attn.q_norm"},
	{"blk.*.attn_k_norm", "model.layers.*.self_attn.k_norm"},
}

// pairedTensors are those whose rows a paired architecture reorders.
var pairedTensors = []string{"blk.*.attn_q", "blk.*.attn_k"}

// frequencies is a tensor of divisors of rotary frequencies, which config.json has as numbers.
const frequencies = "rope_freqs.weight"

const architectureKey = "general.architecture"

func (m *model) findArchitecture() (*architecture, error) {
	name, err := m.text(architectureKey)
	if err != nil {
		return nil, err
	}
	var known []string
	for i := range architectures {
		if architectures[i].name == name {
			return &architectures[i], nil
		}
		known = append(known, architectures[i].name)
	}
	if name == "" {
		return nil, m.errorf(architectureKey, "is missing: the file holds no model")
	}
	return nil, m.errorf(architectureKey, "%q is not supported; supported are %s", name, strings.Join(known, ", "))
}

// split takes a tensor's name apart: layer is -1 where there is none.
func split(name, prefix string) (pattern, layer, ending string) {
	stem, ending := name, ""
	for _, e := range []string{".weight", ".bias"} {
		if s, ok := strings.CutSuffix(name, e); ok {
			stem, ending = s, e
		}
	}
	rest, ok := strings.CutPrefix(stem, prefix)
	layer, after, dot := strings.Cut(rest, ".")
	if !ok || !dot || layer == "" || strings.Trim(layer, "0123456789") != "" {
		return stem, "", ending
	}
	return prefix + "*." + after, layer, ending
}

// renamed returns transformers' name of a tensor, the same where the table has none.
func (a *architecture) renamed(name string) string {
	pattern, layer, ending := split(name, "blk.")
	i := slices.IndexFunc(a.tensors, func(r tensorRow) bool { return r.name == pattern })
	if i < 0 || ending == "" {
		return name
	}
	return strings.Replace(a.tensors[i].to, "*", layer, 1) + ending
}

// stored returns the file's name of a tensor that transformers calls name.
func (a *architecture) stored(name string) string {
	pattern, layer, ending := split(name, "model.layers.")
	i := slices.IndexFunc(a.tensors, func(r tensorRow) bool { return r.to == pattern })
	if i < 0 {
		return name
	}
	return strings.Replace(a.tensors[i].name, "*", layer, 1) + ending
}

// headDim returns the channels of a head whose rows are paired, 0 for tensors whose rows are in order.
func (a *architecture) headDim(info *tensorInfo, dim int64) (int64, error) {
	pattern, _, _ := split(info.name, "blk.")
	if !a.paired || !slices.Contains(pairedTensors, pattern) {
		return 0, nil
	}
	if dim < 2 || dim%2 != 0 || info.shape[0]%dim != 0 {
		return 0, fmt.Errorf("has %d rows, which are no heads of %d channels", info.shape[0], dim)
	}
	return dim, nil
}
