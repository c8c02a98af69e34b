package models

import (
	"math"

	"llmc/compiler/hf"
)

// gemma (Gemma Team 2024) is Llama with embeddings times the square root of their width, RMS norms whose weights are stored less one, GELU for
// a gate, and heads of their own size. config.json once called the activation "gelu" and meant the approximation.
var gemma = &family{
	modelType:    "gemma",
	architecture: "GemmaForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 16, dim: 256, maxPositions: 8192, tied: true},
	rotary:       &rotary{},
	names:        llamaNames,
	shape:        decoder{norms: norms{plus1: true}},
	keys:         []string{"hidden_act", "hidden_activation", "attention_bias", "layer_types", "use_bidirectional_attention"},
	describe: func(f *hf.Fields, d *decoder) {
		describeGemma(f, d)
		checkLayerTypes(f, "gemma", "full_attention")
	},
}

// describeGemma reads what all Gemmas share.
func describeGemma(f *hf.Fields, d *decoder) {
	d.embedScale = math.Sqrt(float64(d.hidden))
	d.qkvBias = f.BoolOr("attention_bias", false)
	d.outBias = d.qkvBias
	want(f, "use_bidirectional_attention", false)
	readAct(f, d, "hidden_activation", "gelu_pytorch_tanh")
	if old := f.TextOr("hidden_act", "gelu"); old != "gelu" && activations[old] != d.act {
		f.Fail("hidden_act", "%q is not supported; it must be gelu_pytorch_tanh", old)
	}
}
