package models

import "llmc/compiler/hf"

// granite (IBM Granite 3) is Llama with factors of embeddings, scores, what is added to the stream, and logits.
var granite = &family{
	modelType:    "granite",
	architecture: "GraniteForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.dim = "" }),
	defaults:     defaults{maxPositions: 2048},
	rotary:       &rotary{},
	names:        llamaNames,
	keys:         append([]string{"embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"}, biasKeys...),
	describe: func(f *hf.Fields, d *decoder) {
		readBiases(f, d)
		d.embedScale = f.FloatOr("embedding_multiplier", 1, 1e-6, 1e6)
		d.scoreScale = f.FloatOr("attention_multiplier", 1, 1e-6, 1e6)
		d.branchScale = f.FloatOr("residual_multiplier", 1, 1e-6, 1e6)
		d.logitScale = 1 / f.FloatOr("logits_scaling", 1, 1e-6, 1e6)
	},
}
