package models

import "llmc/compiler/hf"

// mixtral is Mistral without a window as a rule, whose MLPs are mixtures of experts: the softmax over the logits of those that a row chooses (Jiang et
// al. 2024). Files have the names of its first implementation; those that hold all experts in one tensor have others.
var mixtral = &family{
	modelType:    "mixtral",
	architecture: "MixtralForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 8, eps: 1e-5, maxPositions: 4096 * 32},
	rotary:       &rotary{base: 1e6},
	names:        llamaNames,
	shape:        decoder{experts: mixture{spellings: mixtralExperts}},
	keys:         []string{"num_local_experts", "num_experts", "num_experts_per_tok", "sliding_window"},
	ignored:      []string{"output_router_logits", "router_jitter_noise"}, // of training
	describe: func(f *hf.Fields, d *decoder) {
		d.setWindows(windowOr(f, 0))
		d.readExperts(f, "num_local_experts num_experts", 8, 2)
		d.experts.inner, d.experts.routing.Normalize = d.inner, true
	},
}

// mixtralExperts are the names of files of both kinds.
var mixtralExperts = []mixtureNames{
	{
		router: "block_sparse_moe.gate",
		gate:   "block_sparse_moe.experts.%d.w1", up: "block_sparse_moe.experts.%d.w3", down: "block_sparse_moe.experts.%d.w2",
	},
	mixtureNames{router: "mlp.gate"}.stacked(),
}
