package stored

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
)

const (
	modelOpt = `{"quant_method":"modelopt","quant_algo":"NVFP4","ignore":["lm_head"],"config_groups":{"group_0":{"targets":["Linear"],"weights":{"num_bits":4,"type":"float","group_size":16}}}}`
	ct4      = `{"quant_method":"compressed-tensors","format":"%s","config_groups":{"group_0":{"targets":["Linear"],"weights":{"type":"float","num_bits":4,"strategy":"%s","symmetric":true,"group_size":%d}}}}`
)

// refusalsFP4 are refusals of what has codes of e2m1.
func refusalsFP4() []refusal {
	nv, mx := fmt.Sprintf(ct4, "nvfp4-pack-quantized", "tensor_group", 16), fmt.Sprintf(ct4, "mxfp4-pack-quantized", "group", 32)
	config := func(keys string) string { return `{"quant_method":"modelopt",` + keys + `}` }
	scales := func(c byte) part { return part{"F8_E4M3", []int64{8, 3}, []byte{0x38, c}} }
	return []refusal{
		{config(`"quant_algo":"W4A8_AWQ"`), small("nvfp4"), `quantization_config.quant_algo: "W4A8_AWQ" is not read; supported are NVFP4, W4A16_NVFP4, FP8, FP8_PER_CHANNEL_PER_TOKEN`},
		{config(`"quant_algo":"NVFP4","group_size":32`), small("nvfp4"), "quantization_config.group_size: 32 is not read; supported is 16"},
		{strings.Replace(modelOpt, `"group_size":16`, `"group_size":32`, 1), small("nvfp4"), "config_groups.group_0.weights.group_size: 32 is not read"},
		{config(`"quant_algo":"MIXED_PRECISION"`), small("nvfp4"), "quantization_config.quantized_layers: is missing"},
		{config(`"quant_algo":"MIXED_PRECISION","quantized_layers":{"x":{"quant_algo":"MXFP8"}}`), small("nvfp4"), `quantized_layers.x.quant_algo: "MXFP8" is not read`},
		{modelOpt, with("nvfp4", "x.pre_quant_scale", part{"BF16", []int64{48}, nil}), "inputs that are scaled before they are multiplied (AWQ, SVDQuant) are not read"},
		{modelOpt, with("nvfp4", "x.weight_scale", part{}), "its x.weight_scale is missing"},
		{modelOpt, with("nvfp4", "x.weight_scale", part{"U8", []int64{512}, nil}), "holds U8; in this format it must be F8_E4M3"},
		{modelOpt, with("nvfp4", "x.weight_scale", part{"F8_E4M3", []int64{128, 4}, nil}), "has shape [128 4]; with x.weight [8 24] it must be [8 3]"},
		{modelOpt, with("nvfp4", "x.weight_scale", scales(0x7f)), "the scale of output 0, inputs from 16 on is NaN"},
		{modelOpt, with("nvfp4", "x.weight_scale", scales(0xb8)), "the scale of output 0, inputs from 16 on is -1"},
		{modelOpt, with("nvfp4", "x.weight_scale_2", part{"F32", []int64{8}, nil}), "has shape [8]; with x.weight [8 24] it must be []"},
		{modelOpt, with("nvfp4", "x.weight_scale_2", part{"F32", []int64{}, f32(3e35)}), "is 3e+35, with which numbers are beyond f32"},
		{modelOpt, with("nvfp4", "x.weight", part{"U8", []int64{8, 20}, nil}), "has rows of 40 codes, which are not groups of 16"},
		{modelOpt, with("nvfp4", "x.weight", part{"U8", []int64{2, 8, 24}, nil}), "has shape [2 8 24] instead of that of a matrix"},
		{nv, with("ct-nvfp4", "x.weight_global_scale", part{}), "its x.weight_global_scale is missing"},
		{nv, with("ct-nvfp4", "x.weight_global_scale", part{"F32", []int64{1}, f32(0)}), "the scale of output 0 is +Inf"},
		{nv, with("ct-nvfp4", "x.weight_packed", part{"I32", []int64{8, 8}, nil}), "holds I32; in this format it must be U8"},
		{strings.Replace(nv, `"group_size":16`, `"group_size":32`, 1), small("ct-nvfp4"), "weights.group_size: 32 and strategy \"tensor_group\" are not read for nvfp4-pack-quantized; supported are 16 and tensor_group"},
		{strings.Replace(nv, "nvfp4-pack", "pack", 1), small("ct-nvfp4"), `quantization_config.format: "pack-quantized" is not read for weights of this type; supported are nvfp4-pack-quantized, mxfp4-pack-quantized`},
		{mx, with("ct-mxfp4", "x.weight_scale", part{"U8", []int64{8, 2}, []byte{127, 255}}), "exponent 255 of row 0, block 1 is out of range"},
		{mx, with("ct-mxfp4", "x.weight_packed", part{"U8", []int64{8, 24}, nil}), "has rows of 48 codes, which are not blocks of 32"},
		{mx, with("ct-mxfp4", "x.weight", part{"F8_E4M3", []int64{8, 64}, nil}), "holds numbers of 8 bits, but its group of quantization_config.config_groups says 4"},
	}
}

// TestNumbersFP4 wants the numbers that single codes stand for by the definition of each layout.
func TestNumbersFP4(t *testing.T) {
	codes := []byte{0xf1, 0x72}
	scales := slices.Repeat([]byte{0x40}, 32) // 2
	nv := set(small("nvfp4"), map[string][]byte{"x.weight": codes, "x.weight_scale": scales, "x.weight_scale_2": f32(0.3)})
	third := float32(2) * 0.3
	for _, c := range []struct {
		name, config string
		parts        map[string]part
		want         []float32
		format       string
		plain        dtype.Type
	}{
		{"modelopt", modelOpt, nv, []float32{0.5 * third, -6 * third, third, 6 * third}, "nvfp4", dtype.F32},
		{"a power of two", modelOpt, set(small("nvfp4"), map[string][]byte{"x.weight": codes, "x.weight_scale": scales, "x.weight_scale_2": f32(0.25)}), []float32{0.25, -3, 0.5, 3}, "nvfp4", dtype.BF16},
		{"a tiny one", modelOpt, set(small("nvfp4"), map[string][]byte{"x.weight": codes, "x.weight_scale": scales, "x.weight_scale_2": f32(0x1p-120)}), []float32{0x1p-120}, "", dtype.F32},
		{"divided", fmt.Sprintf(ct4, "nvfp4-pack-quantized", "tensor_group", 16), set(small("ct-nvfp4"), map[string][]byte{"x.weight_packed": codes, "x.weight_scale": scales}), []float32{0.25, -3, 0.5, 3}, "nvfp4", dtype.BF16},
		{"exponents", fmt.Sprintf(ct4, "mxfp4-pack-quantized", "group", 32), set(small("ct-mxfp4"), map[string][]byte{"x.weight_packed": codes, "x.weight_scale": slices.Repeat([]byte{126}, 16)}), []float32{0.25, -3, 0.5, 3}, "mxfp4", dtype.BF16},
		{"modelopt fp8", `{"quant_method":"modelopt","quant_algo":"FP8"}`, set(small("fp8"), map[string][]byte{"x.weight": {0x38, 0xb8, 0x7e}, "x.weight_scale": f32(3)}), []float32{3, -3, 1344}, "fp8", dtype.F32},
	} {
		m := sameNumbers(t, c.name, c.config, c.parts, c.want)
		if m == nil {
			continue
		}
		format := ""
		if m.Format != nil {
			format = m.Format.Name
		}
		if format != c.format || m.Plain != c.plain {
			t.Errorf("%s: format %q and %v, want %q and %v", c.name, format, m.Plain, c.format, c.plain)
		}
	}
}

// TestModelOptFile reads what older versions of Model Optimizer wrote beside config.json, and leaves out what it says of the cache.
func TestModelOptFile(t *testing.T) {
	parts := small("nvfp4")
	parts["y.k_scale"] = part{"F32", []int64{}, f32(1)}
	dir := write(t, "null", parts)
	text := `{"producer":{"name":"modelopt"},"quantization":{"quant_algo":"NVFP4","kv_cache_quant_algo":"FP8","group_size":16,"exclude_modules":["lm_head"]}}`
	if err := os.WriteFile(filepath.Join(dir, hf.ModelOptFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := Attach(c); err != nil || Of(c.Lookup("x.weight")) == nil || c.Lookup("y.k_scale") != nil || !slices.Contains(c.SourceFiles(), hf.ModelOptFile) {
		t.Errorf("%s is not read: %v", hf.ModelOptFile, err)
	}
}
