package models

import "llmc/compiler/hf"

// smollm3 (SmolLM3) is Llama without a rotary embedding in every fourth layer, or where no_rope_layers has a zero; these may have a sliding window.
var smollm3 = &family{
	modelType:    "smollm3",
	architecture: "SmolLM3ForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 4, maxPositions: 32768, tied: true},
	rotary:       &rotary{base: 2e6},
	names:        llamaNames,
	keys:         append([]string{"no_rope_layers", "no_rope_layer_interval"}, append(biasKeys, windowKeys...)...),
	describe: func(f *hf.Fields, d *decoder) {
		readBiases(f, d)
		readNoRopeLayers(f, d)
		readNoRopeWindows(f, d)
	},
}

// readNoRopeLayers takes the rotary embedding from layers where no_rope_layers has a zero, or else from each so-many-th one.
func readNoRopeLayers(f *hf.Fields, d *decoder) {
	turns := f.Floats("no_rope_layers", 0, 1)
	every := int(f.IntOr("no_rope_layer_interval", 4, 1, maxLayers))
	if turns != nil && len(turns) < d.layers {
		f.Fail("no_rope_layers", "has %d entries, the model has %d layers", len(turns), d.layers)
		return
	}
	for i := range d.ropes {
		if turns == nil && (i+1)%every == 0 || turns != nil && turns[i] == 0 {
			d.ropes[i] = nil
		}
	}
}

// readNoRopeWindows gives windows as layer_types says, or else to the layers that do not turn, where use_sliding_window is set.
func readNoRopeWindows(f *hf.Fields, d *decoder) {
	if f.Texts("layer_types") != nil {
		readWindows(f, d.windows)
		return
	}
	if !f.BoolOr("use_sliding_window", false) {
		return
	}
	for i, r := range d.ropes {
		if r == nil {
			d.windows[i] = windowOr(f, 0)
		}
	}
}
