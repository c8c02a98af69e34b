package models

import (
	"math"

	"llmc/compiler/hf"
)

// gemma2 (Gemma Team 2024) is Gemma with norms also behind attention and MLP, scores and logits bounded by tanh, a scale of scores of its
// own, and a sliding window on every other layer, the first one included.
var gemma2 = &family{
	modelType:    "gemma2",
	architecture: "Gemma2ForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 4, dim: 256, maxPositions: 8192, tied: true},
	rotary:       &rotary{},
	names:        gemma2Names,
	shape:        decoder{norms: norms{plus1: true}},
	keys:         gemma2Keys,
	describe: func(f *hf.Fields, d *decoder) {
		describeGemma2(f, d)
		d.scoreCap, d.logitCap = bound(f, "attn_logit_softcapping", 50), bound(f, "final_logit_softcapping", 30)
		readPattern(f, d, windowOr(f, 4096), 2)
	},
}

var gemma2Keys = []string{
	"hidden_activation", "attention_bias", "use_bidirectional_attention", "query_pre_attn_scalar", "attn_logit_softcapping",
	"final_logit_softcapping", "sliding_window", "layer_types", "hidden_act",
}

var gemma2Names = llamaNames.with(func(n *names) {
	n.postAttn, n.preMLP, n.postMLP = "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"
})

// describeGemma2 reads what Gemma 2 and 3 share.
func describeGemma2(f *hf.Fields, d *decoder) {
	describeGemma(f, d)
	d.scoreScale = 1 / math.Sqrt(f.FloatOr("query_pre_attn_scalar", 256, 1e-3, 1e6))
}

// bound reads the bound of scores or logits; null means none.
func bound(f *hf.Fields, key string, def float64) float64 {
	if f.Present(key) {
		def = 0
	}
	return f.FloatOr(key, def, 1e-3, 1e6)
}
