package models

import "llmc/compiler/hf"

// phi (Phi 1, 1.5 and 2) has attention and an MLP without a gate beside each other behind one layer norm, biases everywhere, the head's
// included, and turns half of each head.
var phi = &family{
	modelType:    "phi",
	architecture: "PhiForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.dim, s.eps = "", "layer_norm_eps" }),
	defaults:     defaults{eps: 1e-5, maxPositions: 2048},
	rotary:       &rotary{partial: 0.5, partialKey: "partial_rotary_factor"},
	names: llamaNames.with(func(n *names) {
		n.norm, n.preMLP, n.o, n.up, n.down = "model.final_layernorm", "", "self_attn.dense", "mlp.fc1", "mlp.fc2"
	}),
	shape: decoder{
		norms: norms{layer: true, bias: true}, parallel: true, plainMLP: true,
		qkvBias: true, outBias: true, mlpBias: true, headBias: true,
	},
	keys: []string{"hidden_act", "qk_layernorm"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "hidden_act", "gelu_new")
		want(f, "qk_layernorm", false)
	},
}
