package models

import (
	"slices"

	"llmc/compiler/hf"
)

// qwen3moe is Qwen3 whose MLPs are mixtures of experts, without one that sees every row (Qwen3-30B-A3B, Qwen3-235B-A22B), and with one window for all
// layers, if any.
var qwen3moe = &family{
	modelType:    "qwen3_moe",
	architecture: "Qwen3MoeForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 4, maxPositions: 32768},
	rotary:       &rotary{},
	names:        llamaNames,
	shape:        decoder{qkNorm: eachHead, experts: mixture{spellings: mlpExperts("", "")}},
	keys:         slices.Concat(qwenExpertKeys, []string{"attention_bias", "use_sliding_window", "sliding_window"}),
	ignored:      []string{"output_router_logits", "max_window_layers"}, // the first of training, the second read by its relatives alone
	describe: func(f *hf.Fields, d *decoder) {
		d.qkvBias = f.BoolOr("attention_bias", false)
		d.outBias = d.qkvBias
		d.readQwenExperts(f, 128, 8, 768)
		if f.BoolOr("use_sliding_window", false) {
			d.setWindows(windowSize(f))
		}
	},
}
