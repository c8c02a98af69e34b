package models

import "llmc/compiler/hf"

// llama is the decoder of decoder.go as it is (Touvron et al. 2023; Llama 2, 3, and the many models that took its shape: SmolLM2, Yi,
// TinyLlama, ...). Biases are optional: attention_bias adds them to all four projections of attention, mlp_bias to the
// three of the MLP.
//
//	x += o(attention(rope(q(norm(x))), rope(k(norm(x))), v(norm(x))))
//	x += down(silu(gate(norm(x))) * up(norm(x)))
var llama = &family{
	modelType:    "llama",
	architecture: "LlamaForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{maxPositions: 2048},
	rotary:       &rotary{},
	names:        llamaNames,
	keys:         append([]string{"layer_types"}, biasKeys...),
	describe: func(f *hf.Fields, d *decoder) {
		readBiases(f, d)
		checkLayerTypes(f, "llama", "full_attention")
	},
}

// biasKeys are the keys that readBiases reads.
var biasKeys = []string{"attention_bias", "mlp_bias"}

func readBiases(f *hf.Fields, d *decoder) {
	d.qkvBias = f.BoolOr("attention_bias", false)
	d.outBias = d.qkvBias
	d.mlpBias = f.BoolOr("mlp_bias", false)
}
