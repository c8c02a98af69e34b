package models

import (
	"slices"

	"llmc/compiler/hf"
)

// qwen2moe is Qwen2 whose MLPs are mixtures of experts: the softmax over all logits, an expert that sees every row behind a gate of its own, and layers
// with plain MLPs where config.json says so (Qwen1.5-MoE, Qwen2-57B-A14B).
var qwen2moe = &family{
	modelType:    "qwen2_moe",
	architecture: "Qwen2MoeForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 16, maxPositions: 32768},
	rotary:       &rotary{},
	names:        llamaNames,
	shape:        decoder{experts: mixture{spellings: mlpExperts("mlp.shared_expert", "mlp.shared_expert_gate"), sharedGated: true}},
	keys:         slices.Concat(qwenExpertKeys, []string{"shared_expert_intermediate_size", "qkv_bias"}, windowKeys),
	ignored:      []string{"output_router_logits"}, // of training
	describe: func(f *hf.Fields, d *decoder) {
		d.qkvBias = f.BoolOr("qkv_bias", true)
		d.readQwenExperts(f, 60, 4, 1408)
		d.experts.shared = int(f.IntOr("shared_expert_intermediate_size", 5632, 1, maxWidth))
		readEarlyWindows(f, d)
	},
}

// qwenExpertKeys are the keys that readQwenExperts reads.
var qwenExpertKeys = append([]string{"num_experts", "num_local_experts", "num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob"}, sparseKeys...)

// readQwenExperts reads what the mixtures of both families have; defaults are those of their classes.
func (d *decoder) readQwenExperts(f *hf.Fields, count, topK, inner int64) {
	d.readExperts(f, "num_experts num_local_experts", count, topK)
	d.experts.inner = int(f.IntOr("moe_intermediate_size", inner, 1, maxWidth))
	d.experts.routing.Normalize = f.BoolOr("norm_topk_prob", false)
	d.readDense(f)
}

// readEarlyWindows sets the windows of layers as layer_types says, or else those of every other layer before max_window_layers.
func readEarlyWindows(f *hf.Fields, d *decoder) {
	if f.Has("layer_types") || !f.BoolOr("use_sliding_window", false) {
		readWindows(f, d.windows)
		return
	}
	end, window := int(f.IntOr("max_window_layers", 28, 0, maxLayers)), windowSize(f)
	for i := 0; i < min(end, d.layers); i += 2 {
		d.windows[i] = window
	}
}
