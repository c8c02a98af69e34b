package gguf

import "slices"

// mixtureArchitectures are decoders whose MLPs are mixtures of experts under a name of their own.
var mixtureArchitectures = []architecture{
	{name: "qwen2moe", modelType: "qwen2_moe", class: "Qwen2MoeForCausalLM", keys: keysWith(qwenExpertKeys...), flags: append([]flagRow{{to: "qkv_bias", tensor: "blk.0.attn_q.bias"}}, decoderFlags...),
		tensors: slices.Concat([]tensorRow{
			{name: "blk.*.ffn_gate_inp_shexp", to: "model.layers.*.mlp.shared_expert_gate"}, {name: "blk.*.ffn_gate_shexp", to: "model.layers.*.mlp.shared_expert.gate_proj"},
			{name: "blk.*.ffn_up_shexp", to: "model.layers.*.mlp.shared_expert.up_proj"}, {name: "blk.*.ffn_down_shexp", to: "model.layers.*.mlp.shared_expert.down_proj"},
		}, expertTensors, decoderTensors)},
	// The weights of the chosen are those of a softmax over them; no key says so.
	{name: "qwen3moe", modelType: "qwen3_moe", class: "Qwen3MoeForCausalLM", keys: keysWith(qwenExpertKeys...), flags: append(outputBias, decoderFlags...),
		fixed: []fixedRow{{to: "norm_topk_prob", value: true}}, tensors: slices.Concat(qkNormTensors, expertTensors, decoderTensors)},
	{name: "gpt-oss", modelType: "gpt_oss", class: "GptOssForCausalLM", keys: keysWith(gptossKeys...), flags: append(outputBias, decoderFlags...),
		fixed: []fixedRow{{to: "rope_scaling.truncate", value: false, after: "rope_scaling"}}, tensors: slices.Concat([]tensorRow{
			{name: "blk.*.ffn_gate_inp", to: "model.layers.*.mlp.router"}, {name: "blk.*.post_attention_norm", to: "model.layers.*.post_attention_layernorm"},
			{name: "blk.*.attn_sinks", to: "model.layers.*.self_attn.sinks", alone: true},
		}, expertTensors, decoderTensors)},
}

var expertTensors = []tensorRow{
	{name: "blk.*.ffn_gate_inp", to: "model.layers.*.mlp.gate"},
	{name: "blk.*.ffn_gate_exps", to: "model.layers.*.mlp.experts.%.gate_proj"},
	{name: "blk.*.ffn_up_exps", to: "model.layers.*.mlp.experts.%.up_proj"},
	{name: "blk.*.ffn_down_exps", to: "model.layers.*.mlp.experts.%.down_proj"},
}

var mixtralTensors = []tensorRow{
	{name: "blk.*.ffn_gate_inp", to: "model.layers.*.block_sparse_moe.gate"},
	{name: "blk.*.ffn_gate_exps", to: "model.layers.*.block_sparse_moe.experts.%.w1"},
	{name: "blk.*.ffn_up_exps", to: "model.layers.*.block_sparse_moe.experts.%.w3"},
	{name: "blk.*.ffn_down_exps", to: "model.layers.*.block_sparse_moe.experts.%.w2"},
}

var mixtralKeys = []keyRow{
	{key: "expert_count", to: "num_local_experts"}, {key: "expert_used_count", to: "num_experts_per_tok"},
}

var qwenExpertKeys = []keyRow{
	{key: "expert_count", to: "num_experts"}, {key: "expert_used_count", to: "num_experts_per_tok"}, {key: "expert_feed_forward_length", to: "moe_intermediate_size"},
	{key: "expert_shared_feed_forward_length", to: "shared_expert_intermediate_size"},
}

var gptossKeys = []keyRow{
	{key: "expert_count", to: "num_local_experts"}, {key: "expert_used_count", to: "num_experts_per_tok"},
	{key: "expert_feed_forward_length", to: "intermediate_size"}, {key: "feed_forward_length", to: "intermediate_size"},
	{key: "attention.sliding_window", to: "sliding_window"},
}
