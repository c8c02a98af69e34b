package stored

import (
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
)

// modelOptAlgorithms are what is read of NVIDIA's Model Optimizer: the product of its W4A16 takes inputs as they are, that of others quantizes them, which plans do by themselves.
var modelOptAlgorithms = []string{"NVFP4", "W4A16_NVFP4", "FP8", "FP8_PER_CHANNEL_PER_TOKEN"}

// attachModelOpt reads what NVIDIA's Model Optimizer exports (modelopt/torch/export, qtensor/nvfp4_tensor.py). A linear X of N outputs and K inputs is one of
//
//	X.weight [N, K/2] bytes of two codes of e2m1, X.weight_scale [N, K/16] e4m3, X.weight_scale_2 f32; a number is code * (scale * scale_2)
//	X.weight [N, K] e4m3, X.weight_scale f32, one for all or one for each output
//
// whatever exclude_modules or ignore say: those are plain tensors. Scales of inputs and of the KV cache are left out, as in attachCompressed.
func attachModelOpt(c *hf.Checkpoint, f *hf.Fields) error {
	checkModelOpt(f)
	if err := f.Err(); err != nil {
		return err
	}
	err := linears(c, "weight", func(l *linear) error {
		if l.first.DType != dtype.U8 && l.first.DType != dtype.F8E4M3 {
			return nil
		}
		if scaled := l.optional("pre_quant_scale"); scaled != nil {
			return scaled.Errorf("inputs that are scaled before they are multiplied (AWQ, SVDQuant) are not read; export the model without")
		}
		l.optional("input_scale")
		if l.first.DType == dtype.U8 {
			return l.attachNVFP4("modelopt", "weight_scale_2", false)
		}
		return l.attachE4M3("modelopt", "weight_scale", 0)
	})
	dropCacheScales(c)
	return err
}

// checkModelOpt refuses algorithms and groups that are not read, of the checkpoint or of single layers.
func checkModelOpt(f *hf.Fields) {
	algorithm := f.Text("quant_algo")
	if algorithm != "MIXED_PRECISION" {
		checkModelOptLayer(f, algorithm)
		checkModelOptGroups(f)
		return
	}
	layers := f.Object("quantized_layers")
	if layers == nil {
		f.Fail("quantized_layers", "is missing")
		return
	}
	for _, name := range layers.Keys() {
		if layer := layers.Object(name); layer != nil {
			checkModelOptLayer(layer, layer.Text("quant_algo"))
		}
	}
}

func checkModelOptLayer(f *hf.Fields, algorithm string) {
	if !slices.Contains(modelOptAlgorithms, algorithm) {
		f.Fail("quant_algo", "%.40q is not read; supported are %s", algorithm, strings.Join(modelOptAlgorithms, ", "))
	}
	if strings.HasSuffix(algorithm, "NVFP4") && f.Has("group_size") {
		checkNVGroup(f)
	}
}

// checkModelOptGroups looks where config.json has the size of groups.
func checkModelOptGroups(f *hf.Fields) {
	groups := f.Object("config_groups")
	if groups == nil {
		return
	}
	for _, name := range groups.Keys() {
		if group := groups.Object(name); group != nil {
			if weights := group.Object("weights"); weights != nil && weights.Present("group_size") && weights.IntOr("num_bits", 0, 0, 64) == 4 {
				checkNVGroup(weights)
			}
		}
	}
}

func checkNVGroup(f *hf.Fields) {
	if group := f.IntOr("group_size", nvGroup, 1, maxSide); group != nvGroup {
		f.Fail("group_size", "%d is not read; supported is %d", group, nvGroup)
	}
}

// dropCacheScales leaves out the scales of a KV cache, which has the format that --kv-dtype says.
func dropCacheScales(c *hf.Checkpoint) {
	for _, name := range c.Names() {
		for _, part := range []string{".k_scale", ".v_scale", ".q_scale", ".output_scale"} {
			if strings.HasSuffix(name, part) {
				c.Drop(c.Lookup(name))
			}
		}
	}
}
