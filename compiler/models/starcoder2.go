package models

import "llmc/compiler/hf"

// starcoder2 (Lozhkov et al. 2024) is Llama with layer norms, biases, an MLP without a gate, and a sliding window on all layers.
var starcoder2 = &family{
	modelType:    "starcoder2",
	architecture: "Starcoder2ForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.dim, s.eps = "", "norm_epsilon" }),
	defaults:     defaults{kvHeads: 2, eps: 1e-5, maxPositions: 4096, tied: true},
	rotary:       &rotary{},
	names:        llamaNames.with(func(n *names) { n.up, n.down = "mlp.c_fc", "mlp.c_proj" }),
	shape:        decoder{norms: norms{layer: true, bias: true}, plainMLP: true},
	keys:         []string{"hidden_act", "use_bias", "sliding_window", "layer_types", "norm_type", "mlp_type"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "hidden_act", "gelu_pytorch_tanh")
		d.qkvBias = f.BoolOr("use_bias", true)
		d.outBias, d.mlpBias = d.qkvBias, d.qkvBias
		d.setWindows(windowOr(f, 0))
	},
}
