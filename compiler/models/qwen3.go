package models

import "llmc/compiler/hf"

// qwen3 is Llama with an RMS norm on each head of q and of k before they are turned (Yang et al. 2025), optional biases on the
// projections of attention, and sliding windows as in qwen2. The size of a head is its own, 128 where the checkpoint does not say.
var qwen3 = &family{
	modelType:    "qwen3",
	architecture: "Qwen3ForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 32, dim: 128, maxPositions: 32768},
	rotary:       &rotary{},
	names:        llamaNames,
	shape:        decoder{qkNorm: eachHead},
	keys:         append([]string{"attention_bias"}, windowKeys...),
	describe: func(f *hf.Fields, d *decoder) {
		d.qkvBias = f.BoolOr("attention_bias", false)
		d.outBias = d.qkvBias
		readWindows(f, d.windows)
	},
}
