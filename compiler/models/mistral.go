package models

import "llmc/compiler/hf"

// mistral is Llama without biases whose layers all see a sliding window of positions (Jiang et al. 2023). A checkpoint without the key
// has the window of the first Mistral 7B; null means none, as in all later ones.
var mistral = &family{
	modelType:    "mistral",
	architecture: "MistralForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 8, maxPositions: 4096 * 32},
	rotary:       &rotary{},
	names:        llamaNames,
	keys:         []string{"sliding_window", "layer_types", "attention_bias"}, // biases there are never; the tensors must agree
	describe: func(f *hf.Fields, d *decoder) {
		d.setWindows(windowSize(f))
		want := "full_attention"
		if d.windows[0] > 0 {
			want = "sliding_attention"
		}
		checkLayerTypes(f, "mistral", want)
	},
}

// checkLayerTypes is for families whose layers are all alike. transformers does not read layer_types of these, but of their
// relatives: what it says must not differ.
func checkLayerTypes(f *hf.Fields, family, want string) {
	for i, t := range f.Texts("layer_types") {
		if t != want {
			f.Fail("layer_types", "layer %d has %q, but every layer of a %s model has %s", i, t, family, want)
		}
	}
}
