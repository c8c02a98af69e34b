package models

import "llmc/compiler/hf"

// qwen2 is Llama with biases on q, k and v (Yang et al. 2024; Qwen2 and Qwen2.5), and with a sliding window on some layers if
// the checkpoint asks for it.
var qwen2 = &family{
	modelType:    "qwen2",
	architecture: "Qwen2ForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 32, maxPositions: 32768},
	rotary:       &rotary{},
	names:        llamaNames,
	shape:        decoder{qkvBias: true},
	keys:         append([]string{"attention_bias"}, windowKeys...), // biases there are always; the tensors must agree
	describe:     func(f *hf.Fields, d *decoder) { readWindows(f, d.windows) },
}

// windowKeys are the keys that readWindows reads.
var windowKeys = []string{"use_sliding_window", "sliding_window", "max_window_layers", "layer_types"}

// readWindows sets the window of each layer: where layer_types says so, or else from layer max_window_layers on if use_sliding_window
// is set.
func readWindows(f *hf.Fields, windows []int) {
	window := 0
	if f.BoolOr("use_sliding_window", false) {
		window = windowSize(f)
	}
	types := f.Texts("layer_types")
	if types == nil {
		first := int(f.IntOr("max_window_layers", 28, 0, maxLayers))
		for i := first; i < len(windows); i++ {
			windows[i] = window
		}
		return
	}
	if len(types) != len(windows) {
		f.Fail("layer_types", "has %d entries instead of %d, one for each layer", len(types), len(windows))
		return
	}
	for i, t := range types {
		switch {
		case t == "sliding_attention" && window > 0:
			windows[i] = window
		case t == "sliding_attention":
			f.Fail("sliding_window", "layer %d has sliding_attention, but use_sliding_window or sliding_window is not set", i)
		case t != "full_attention":
			f.Fail("layer_types", "layer %d has %q; only full_attention and sliding_attention are supported", i, t)
		}
	}
}
