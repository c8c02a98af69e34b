package stored

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// part is one tensor of a checkpoint that a test makes up.
type part struct {
	kind  string // of safetensors
	shape []int64
	data  []byte // nil: zeros
}

func (p part) size() int64 {
	n := int64(1)
	for _, d := range p.shape {
		n *= d
	}
	t, err := dtype.FromSafetensors(p.kind)
	if err != nil {
		return 0
	}
	return n * int64(t.Size())
}

// write makes a checkpoint of a quantization_config and tensors.
func write(t testing.TB, config string, parts map[string]part) string {
	t.Helper()
	dir := t.TempDir()
	header, data := map[string]any{}, []byte(nil)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		p := parts[name]
		body := make([]byte, p.size())
		copy(body, p.data)
		header[name] = map[string]any{"dtype": p.kind, "shape": p.shape, "data_offsets": []int{len(data), len(data) + len(body)}}
		data = append(data, body...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	for name, content := range map[string][]byte{"model.safetensors": append(file, data...), "config.json": []byte(`{"model_type":"llama","quantization_config":` + config + `}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// attach opens and attaches such a checkpoint.
func attach(t testing.TB, config string, parts map[string]part) (*hf.Checkpoint, error) {
	t.Helper()
	c, err := hf.Open(write(t, config, parts))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, Attach(c)
}

// half are numbers of f16 one after the other.
func half(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, dtype.F32ToF16(v))
	}
	return b
}

func word(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

const (
	gptq4 = `{"quant_method":"gptq","bits":4,"group_size":32}`
	awq4  = `{"quant_method":"awq","bits":4,"group_size":32}`
	nf4   = `{"quant_method":"bitsandbytes","load_in_4bit":true,"bnb_4bit_quant_type":"nf4"}`
	bnb8  = `{"quant_method":"bitsandbytes","load_in_8bit":true}`
	ct    = `{"quant_method":"compressed-tensors","format":"%s","config_groups":{"group_0":{"targets":["Linear"],"weights":{"type":"%s","num_bits":%d,"strategy":"%s","symmetric":%t,"group_size":32}}}}`
)

// small is a linear of 64 inputs and 8 outputs of each method, right in every part.
func small(method string) map[string]part {
	state := `{"quant_type":"nf4","blocksize":64,"shape":[8,64]}`
	return map[string]map[string]part{
		"gptq": {"x.qweight": {"I32", []int64{8, 8}, nil}, "x.qzeros": {"I32", []int64{2, 1}, nil}, "x.scales": {"F16", []int64{2, 8}, nil}, "x.g_idx": {"I32", []int64{64}, nil}},
		"awq":  {"x.qweight": {"I32", []int64{64, 1}, nil}, "x.qzeros": {"I32", []int64{2, 1}, nil}, "x.scales": {"F16", []int64{2, 8}, nil}},
		"fp8":  {"x.weight": {"F8_E4M3", []int64{8, 64}, nil}, "x.weight_scale": {"F32", []int64{}, nil}, "x.weight_scale_inv": {"F32", []int64{1, 1}, nil}},
		"int8": {"x.weight": {"I8", []int64{8, 64}, nil}, "x.weight_scale": {"BF16", []int64{8, 1}, nil}},
		"packed": {"x.weight_packed": {"I32", []int64{8, 8}, nil}, "x.weight_scale": {"BF16", []int64{8, 2}, nil}, "x.weight_shape": {"I64", []int64{2}, append(word(8, 0), word(64, 0)...)},
			"x.weight_zero_point": {"I32", []int64{1, 2}, nil}},
		"bnb8": {"x.weight": {"I8", []int64{8, 64}, nil}, "x.SCB": {"F32", []int64{8}, nil}, "x.weight_format": {"U8", []int64{}, nil}},
		"nf4": {"x.weight": {"U8", []int64{256, 1}, nil}, "x.weight.absmax": {"F32", []int64{8}, nil}, "x.weight.quant_map": {"F32", []int64{16}, f32(dtype.NF4[:]...)},
			"x.weight.quant_state.bitsandbytes__nf4": {"U8", []int64{int64(len(state))}, []byte(state)}},
		"nvfp4":    {"x.weight": {"U8", []int64{8, 24}, nil}, "x.weight_scale": {"F8_E4M3", []int64{8, 3}, nil}, "x.weight_scale_2": {"F32", []int64{}, nil}, "x.input_scale": {"F32", []int64{}, nil}},
		"ct-nvfp4": {"x.weight_packed": {"U8", []int64{8, 32}, nil}, "x.weight_scale": {"F8_E4M3", []int64{8, 4}, nil}, "x.weight_global_scale": {"F32", []int64{1}, f32(4)}},
		"ct-mxfp4": {"x.weight_packed": {"U8", []int64{8, 32}, nil}, "x.weight_scale": {"U8", []int64{8, 2}, nil}},
		"mxfp4":    {"x_blocks": {"U8", []int64{2, 8, 2, 16}, nil}, "x_scales": {"U8", []int64{2, 8, 2}, nil}},
	}[method]
}

// with changes or, with a part without a kind, drops one tensor.
func with(method, name string, p part) map[string]part {
	parts := small(method)
	if p.kind == "" {
		delete(parts, name)
	} else {
		parts[name] = p
	}
	return parts
}

// refusal is a config and tensors that do not go together, and what the error says.
type refusal struct {
	config string
	parts  map[string]part
	want   string
}

// refusals give each method configs that it does not read, and tensors that do not fit each other.
func refusals() []refusal {
	group := func(format, kind string, bits int, strategy string, symmetric bool) string {
		return fmt.Sprintf(ct, format, kind, bits, strategy, symmetric)
	}
	packed := group("pack-quantized", "int", 4, "group", true)
	asymmetric := group("pack-quantized", "int", 4, "group", false)
	nan, inf := half(float32(math.NaN())), append(half(1), 0, 0x7c)
	return []refusal{
		{`{"bits":4}`, small("gptq"), "config.json: quantization_config.quant_method: is missing"},
		{`{"quant_method":"hqq"}`, small("gptq"), `config.json: quantization_config.quant_method: "hqq" is not read; supported are gptq, awq, fp8, compressed-tensors, bitsandbytes, mxfp4, modelopt`},
		{`{"quant_method":"gptq","bits":3}`, small("gptq"), "config.json: quantization_config.bits: 3 is not read; supported are 4, 8"},
		{`{"quant_method":"gptq","bits":4,"checkpoint_format":"marlin"}`, small("gptq"), `quantization_config.checkpoint_format: "marlin" is not read; supported are gptq, gptq_v2`},
		{`{"quant_method":"gptq","bits":4,"group_size":0}`, small("gptq"), "quantization_config.group_size: must be -1 or positive"},
		{`{"quant_method":"gptq","bits":4,"dynamic":{"+:x":{"bits":8}}}`, small("gptq"), "quantization_config.dynamic: settings for single modules"},
		{gptq4, with("gptq", "x.qweight", part{"I32", []int64{8}, nil}), "has shape [8] instead of that of a matrix"},
		{gptq4, with("gptq", "x.qweight", part{"F32", []int64{8, 8}, nil}), "holds F32; in this format it must be I32"},
		{gptq4, with("gptq", "x.qweight", part{"I32", []int64{9, 8}, nil}), "has shape [2 8]; with x.qweight [9 8] it must be [3 8]"},
		{gptq4, with("gptq", "x.qweight", part{"I32", []int64{8, 7}, nil}), "has 7 outputs, which are not words of 8"},
		{gptq4, with("gptq", "x.qzeros", part{}), "its x.qzeros is missing"},
		{gptq4, with("gptq", "x.scales", part{}), "its x.scales is missing"},
		{gptq4, with("gptq", "x.scales", part{"I32", []int64{2, 8}, nil}), "holds I32; in this format it must be F16 or BF16 or F32"},
		{gptq4, with("gptq", "x.g_idx", part{"I32", []int64{64}, word(0, 2)}), "input 1 is in group 2 of 2"},
		{gptq4, with("gptq", "x.g_idx", part{"I32", []int64{64}, word(0xffffffff)}), "input 0 is in group -1 of 2"},
		{gptq4, with("gptq", "x.scales", part{"F16", []int64{2, 8}, nan}), "the scale of output 0 is NaN"},
		{gptq4, with("gptq", "x.scales", part{"F16", []int64{2, 8}, inf}), "the scale of output 1 is +Inf"},
		{`{"quant_method":"awq","bits":8}`, small("awq"), "quantization_config.bits: 8 is not read; supported is 4"},
		{`{"quant_method":"awq","bits":4,"version":"gemv"}`, small("awq"), `quantization_config.version: "gemv" is not read; supported is gemm`},
		{`{"quant_method":"awq","bits":4,"zero_point":false}`, small("awq"), "quantization_config.zero_point: false is not read"},
		{awq4, with("awq", "x.qzeros", part{"I32", []int64{2, 2}, nil}), "has shape [2 2]; with x.qweight [64 1] it must be [2 1]"},
		{`{"quant_method":"fp8","weight_block_size":[64,128]}`, small("fp8"), "quantization_config.weight_block_size: [64 128] is not read; supported is [128, 128]"},
		{`{"quant_method":"fp8","weight_block_size":[128,128]}`, with("fp8", "x.weight_scale_inv", part{"F32", []int64{2, 1}, nil}), "it must be [1 1]"},
		{`{"quant_method":"fp8"}`, with("fp8", "x.weight_scale", part{}), "its x.weight_scale is missing"},
		{`{"quant_method":"fp8","activation_scheme":"odd"}`, small("fp8"), `activation_scheme: "odd" is not read`},
		{group("marlin-24", "int", 4, "group", true), small("packed"), `quantization_config.format: "marlin-24" is not read`},
		{group("pack-quantized", "int", 2, "group", true), small("packed"), "config_groups.group_0.weights.num_bits: 2 is not read"},
		{group("float-quantized", "float", 4, "tensor", true), small("fp8"), `config_groups.group_0.weights.strategy: "tensor" is not read; supported are tensor_group, group`},
		{group("pack-quantized", "int", 4, "tensor_group", true), small("packed"), `weights.strategy: "tensor_group" is not read; supported are tensor, channel, group`},
		{packed, with("packed", "x.weight_shape", part{}), "its x.weight_shape is missing"},
		{packed, with("packed", "x.weight_shape", part{"I64", []int64{2}, word(8, 0, 65, 0)}), "is [8 65]; x.weight_packed has 8 rows of 8 words of 8 codes"},
		{packed, with("packed", "x.weight_shape", part{"I64", []int64{2}, word(8, 0, 0, 1<<31)}), "x.weight_packed has 8 rows"},
		{asymmetric, with("packed", "x.weight_zero_point", part{}), "its x.weight_zero_point is missing"},
		{strings.Replace(packed, `"Linear"`, `"re:.*mlp.*"`, 1), small("packed"), "no target of quantization_config.config_groups of config.json is this module"},
		{strings.Replace(packed, `"Linear"`, `"re:("`, 1), small("packed"), "config_groups.group_0.targets: "},
		{bnb8, with("bnb8", "x.SCB", part{"F32", []int64{7}, nil}), "has shape [7]; with x.weight [8 64] it must be [8]"},
		{bnb8, with("bnb8", "x.weight_format", part{"U8", []int64{}, []byte{2}}), "in the order of one kernel (2)"},
		{`{"quant_method":"bitsandbytes"}`, small("bnb8"), "quantization_config.load_in_4bit: false and load_in_8bit false"},
		{nf4, with("nf4", "x.weight", part{"U8", []int64{255, 1}, nil}), "has 255 bytes; 4 bits of shape [8, 64] take 256"},
		{nf4, with("nf4", "x.weight.absmax", part{}), "its x.weight.absmax is missing"},
		{nf4, with("nf4", "x.weight.quant_state.bitsandbytes__nf4", part{"U8", []int64{2}, []byte("{}")}), "shape: must have two sizes"},
		{nf4, with("nf4", "x.weight.quant_state.bitsandbytes__nf4", part{"U8", []int64{2}, []byte("no")}), "bitsandbytes__nf4"},
		{`{"quant_method":"mxfp4"}`, with("mxfp4", "x_blocks", part{"U8", []int64{2, 8, 2, 8}, nil}), "instead of [experts, outputs, blocks, 16]"},
		{`{"quant_method":"mxfp4"}`, with("mxfp4", "x_scales", part{"U8", []int64{2, 8, 2}, []byte{127, 255}}), "exponent 255 of row 0, block 1 is out of range"},
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range slices.Concat(refusals(), refusalsFP4()) {
		_, err := attach(t, c.config, c.parts)
		if e := (*hf.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", c.config, err, c.want)
		}
	}
}

// scales are sixteen of f16, all but the first one.
func scales(first float32) []byte {
	return half(append([]float32{first}, slices.Repeat([]float32{1}, 15)...)...)
}

func f32(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = append(b, word(math.Float32bits(v))...)
	}
	return b
}

// set gives parts their bytes.
func set(parts map[string]part, data map[string][]byte) map[string]part {
	for name, d := range data {
		p := parts[name]
		p.data = d
		parts[name] = p
	}
	return parts
}

// TestNumbers wants the numbers that single codes stand for by the definition of each layout.
func TestNumbers(t *testing.T) {
	levels := make([]float32, 16)
	levels[3], levels[12] = 0.25, -1
	for _, c := range []struct {
		name, config string
		parts        map[string]part
		want         []float32 // the first columns of row 0
	}{
		// zero point 5 stored less one; codes 15 and 0 of inputs 0 and 1, scale 2
		{"gptq", gptq4, set(small("gptq"), map[string][]byte{"x.qweight": word(0x0f), "x.qzeros": word(4, 0), "x.scales": scales(2), "x.g_idx": groupsOf(64, 32)}), []float32{20, -10}},
		{"gptq_v2", `{"quant_method":"gptq","bits":4,"group_size":32,"checkpoint_format":"gptq_v2"}`,
			set(small("gptq"), map[string][]byte{"x.qweight": word(0x0f), "x.qzeros": word(4, 0), "x.scales": scales(2), "x.g_idx": groupsOf(64, 32)}), []float32{22, -8}},
		{"awq", awq4, set(small("awq"), map[string][]byte{"x.qweight": word(0x0f, 0x07), "x.qzeros": word(3, 0), "x.scales": scales(0.5)}), []float32{6, 2}},
		{"fp8", `{"quant_method":"fp8"}`, set(small("fp8"), map[string][]byte{"x.weight": {0x38, 0xb8, 0x7e}, "x.weight_scale": f32(3)}), []float32{3, -3, 1344}},
		{"int8", fmt.Sprintf(ct, "int-quantized", "int", 8, "channel", true), set(small("int8"), map[string][]byte{"x.weight": {0x7f, 0x80}, "x.weight_scale": {0, 0x40}}), []float32{254, -256}},
		{"packed", fmt.Sprintf(ct, "pack-quantized", "int", 4, "group", true), set(small("packed"), map[string][]byte{"x.weight_packed": word(0x0f), "x.weight_scale": {0, 0x40}}), []float32{14, -16}},
		{"packed zero", fmt.Sprintf(ct, "pack-quantized", "int", 4, "group", false),
			set(small("packed"), map[string][]byte{"x.weight_packed": word(0x0f), "x.weight_scale": {0, 0x40}, "x.weight_zero_point": word(3)}), []float32{24, -6}},
		{"bnb8", bnb8, set(small("bnb8"), map[string][]byte{"x.weight": {127, 0x81}, "x.SCB": f32(254)}), []float32{254, -254}},
		{"nf4", nf4, set(small("nf4"), map[string][]byte{"x.weight": {0x3c}, "x.weight.absmax": f32(2), "x.weight.quant_map": f32(levels...)}), []float32{0.5, -2}},
		{"nf4 of usual levels", nf4, set(small("nf4"), map[string][]byte{"x.weight": {0xf0}, "x.weight.absmax": f32(2)}), []float32{2, -2}},
		{"mxfp4", `{"quant_method":"mxfp4"}`, set(small("mxfp4"), map[string][]byte{"x_blocks": {0xf1}, "x_scales": slices.Repeat([]byte{129}, 32)}), []float32{2, -24}},
	} {
		sameNumbers(t, c.name, c.config, c.parts, c.want)
	}
}

// sameNumbers wants the first numbers of a matrix with eight rows to be these, and its codes to stand for all of them.
func sameNumbers(t *testing.T, name, config string, parts map[string]part, want []float32) *Matrix {
	t.Helper()
	checkpoint, err := attach(t, config, parts)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return nil
	}
	x := cmp.Or(checkpoint.Lookup("x.weight"), checkpoint.Lookup("x"))
	m := Of(x)
	if m == nil {
		t.Errorf("%s: no matrix", name)
		return nil
	}
	got := make([]float32, m.cols)
	if err := m.ReadRows(got, 0); err != nil || !slices.Equal(got[:len(want)], want) {
		t.Errorf("%s: %v, %v, want %v", name, got[:len(want)], err, want)
	}
	sameCodes(t, name, m, 8, m.cols)
	return m
}

// sameCodes wants the codes of a matrix to stand for its numbers, whatever rows are read together.
func sameCodes(t testing.TB, name string, m *Matrix, rows, cols int64) {
	t.Helper()
	want, got, row := make([]float32, rows*cols), make([]float32, rows*cols), make([]float32, cols)
	if err := m.ReadRows(want, 0); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for r := range rows {
		if err := m.ReadRows(row, r); err != nil || !slices.Equal(row, want[r*cols:(r+1)*cols]) {
			t.Errorf("%s: row %d alone differs: %v", name, r, err)
		}
	}
	if m.Format == nil {
		return
	}
	var b quant.Block
	if err := m.ReadCodes(&b, 0, rows); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	m.Format.Dequantize(got, &b)
	if !slices.Equal(got, want) {
		t.Errorf("%s: codes of %s stand for other numbers", name, m.Format.Name)
	}
}

// groupsOf is the g_idx of groups in order.
func groupsOf(inputs, group int) []byte {
	var b []byte
	for i := range inputs {
		b = append(b, word(uint32(i/group))...)
	}
	return b
}

// TestOldPlaces reads settings where earlier software wrote them.
func TestOldPlaces(t *testing.T) {
	dir := write(t, "null", small("gptq"))
	if err := os.WriteFile(filepath.Join(dir, "quantize_config.json"), []byte(`{"bits":4,"group_size":32,"desc_act":false}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := Attach(c); err != nil || Of(c.Lookup("x.weight")) == nil || !slices.Contains(c.SourceFiles(), "quantize_config.json") {
		t.Errorf("quantize_config.json is not read: %v", err)
	}
	dir = write(t, "null", small("int8"))
	config := `{"model_type":"llama","compression_config":` + fmt.Sprintf(ct, "int-quantized", "int", 8, "channel", true) + `}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	old, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := Attach(old); err != nil || Of(old.Lookup("x.weight")) == nil {
		t.Errorf("compression_config is not read: %v", err)
	}
}
