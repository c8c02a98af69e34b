package models

import "llmc/compiler/hf"

// phi3 (Phi-3, 3.5, 4 and Phi-4-mini) is Llama with one matrix for q, k and v and one for gate and up, a sliding window on all layers or none,
// and frequencies that switch with the length (longrope, which the first checkpoints call su).
var phi3 = &family{
	modelType:    "phi3",
	architecture: "Phi3ForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.dim = "" }),
	defaults:     defaults{eps: 1e-5, maxPositions: 4096},
	rotary: &rotary{
		partial: 1, partialKey: "partial_rotary_factor", originalMax: 4096, oldTypes: map[string]string{"su": "longrope", "yarn": "longrope"},
	},
	names: llamaNames.with(func(n *names) { n.qkv, n.gateUp = "self_attn.qkv_proj", "mlp.gate_up_proj" }),
	keys:  []string{"sliding_window", "layer_types", "attention_bias"}, // biases there are never; the tensors must agree
	describe: func(f *hf.Fields, d *decoder) {
		d.setWindows(windowOr(f, 0))
	},
}
