package models

import "llmc/compiler/hf"

// setWindows gives all layers a window.
func (d *decoder) setWindows(window int) {
	for i := range d.windows {
		d.windows[i] = window
	}
}

// readPattern gives layers a sliding window as layer_types says, or else all but each every-th one.
func readPattern(f *hf.Fields, d *decoder, window, every int) {
	types := f.Texts("layer_types")
	if types != nil && len(types) != d.layers {
		f.Fail("layer_types", "has %d entries instead of %d, one for each layer", len(types), d.layers)
		return
	}
	for i := range d.windows {
		sliding := (i+1)%every != 0
		if types != nil {
			sliding = types[i] == "sliding_attention"
			if !sliding && types[i] != "full_attention" {
				f.Fail("layer_types", "layer %d has %q; only full_attention and sliding_attention are supported", i, types[i])
			}
		}
		if sliding {
			d.windows[i] = window
		}
	}
}

// windowOr reads sliding_window; null means none.
func windowOr(f *hf.Fields, def int64) int {
	if f.Present("sliding_window") {
		def = 0
	}
	return int(f.IntOr("sliding_window", def, 1, maxPositions))
}

// windowSize reads sliding_window; 0 means none.
func windowSize(f *hf.Fields) int { return windowOr(f, 4096) } // the default of every family that has had the key for long
