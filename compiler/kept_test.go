package compiler_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/passes"
	"llmc/runtime/device/cpu"
)

// quantizedCheckpoints are checkpoints that come in codes, with the format of linears that CPUs multiply these in: f32 where none has the same codes; of 8 bits in groups
// the two digits of 4.
// They lie among the shared ones, or in testdata/quantized (testdata/scripts/make_quantized.py).
var quantizedCheckpoints = []struct{ name, format string }{
	{"llama-gptq-int4-g128", "int4-g128"},
	{"llama-gptq-int4-actorder", "int4-g128"},
	{"llama-awq-int4-gemm", "int4-g128-zp"},
	{"llama-fp8-block", "fp8-block"},
	{"llama-fp8-compressed", "fp8"},
	{"llama-int8-compressed", "int8"},
	{"llama-w4a16-packed", "int4-g128"},
	{"llama-bnb-int8", "int8"},
	{"llama-bnb-nf4", "nf4"},

	{"gptq-int4-channel-v2", "int4-g128"},
	{"gptq-int4-g32-asym-actorder", "int4-g32-zp"},
	{"gptq-int4-g64-asym-v2", "int4-g128-zp"}, // of its 64 inputs; those of 96 have groups of 64
	{"gptq-int8-channel", "int8"},
	{"gptq-int8-g32-asym-v2", "int4-g32-zp"},
	{"gptq-int8-g32-actorder", "int4-g32-zp"},
	{"awq-int4-g32", "int4-g32-zp"},
	{"fp8-tensor-static", "fp8"},
	{"ct-fp8-tensor-static", "fp8"},
	{"ct-fp8-block", "fp8-block"},
	{"ct-int4-g32-asym-actorder", "int4-g32-zp"},
	{"ct-int4-channel", "int4-g128"},
	{"ct-int8-packed-channel", "int8"},
	{"ct-int8-tensor-static", "int8"},
	{"ct-int8-channel-asym", "int4-g64-zp"},
	{"bnb-fp4", "fp4"},
	{"bnb-nf4-nested", "nf4"}, // those of 96 columns, of which 32 are in one block, in nf4-g32
	{"bnb-fp4-b128", "fp4"},   // likewise
	{"bnb-nf4-odd", "nf4-split"},
	{"gptq-int4-g24-asym", "int4-g16-order"},
	{"modelopt-nvfp4", "nvfp4"},
	{"modelopt-fp8", "fp8"},
	{"ct-nvfp4-halves", "nvfp4"},
	{"ct-mxfp4", "mxfp4"},
	{"moe-modelopt-nvfp4", "nvfp4"},
	{"moe-bnb-nf4", "nf4"},
	{"moe-bnb-int8", "int8"},
	{"moe-bnb-fp4-nested", "fp4"},
	{"moe-ct-int4-channel", "int4-g128"},
	{"moe-ct-fp8-block", "fp8-block"},
	{"moe-ct-int8-g32", "int8-g32-order"},
	{"moe-gptq-int8-g32-actorder", "int8-g32-order"},
	{"moe-awq-int4-g32", "int4-g32-zp"},
	{"moe-fp8-tensor-static", "fp8"},
	{"moe-gptq-int8-channel", "int8"},
	{"moe-gptq-int4-g32-actorder", "int4-g32-order"}, // its experts, whose columns are each in an order of their own
}

// recorded are logits that transformers computed in f32 of the dequantized weights, at all positions of a prompt.
type recorded struct {
	dir    string
	ids    []int32
	logits []float32
	bf16   float64 // root mean square of what transformers' own run in bf16 is off by, where that is recorded
}

// quantizedGolden finds a checkpoint; those that are shared may be absent.
func quantizedGolden(t *testing.T, name string) recorded {
	t.Helper()
	r := recorded{dir: filepath.Join("../testdata/quantized", name)}
	shared := strings.HasPrefix(name, "llama-") || strings.HasPrefix(name, "gpt-oss-")
	if shared {
		r.dir = filepath.Join(golden.Shared(t), "checkpoints", name)
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "golden.json"))
	check(t, err)
	var file struct {
		IDs []int32
		goldenFile
	}
	check(t, json.Unmarshal(text, &file))
	tensors, err := hf.OpenFile(filepath.Join(r.dir, "golden.safetensors"))
	check(t, err)
	defer tensors.Close()
	key := "logits"
	if r.ids = file.IDs; shared {
		r.ids, key = file.Prompts[2].IDs, "p33.logits_all"
	}
	x := tensors.Tensor(key)
	r.bf16 = file.Difference["bfloat16"].RMS
	r.logits = make([]float32, x.Elements())
	check(t, x.ReadRows(r.logits, 0, x.Rows()))
	return r
}

// TestQuantizedCheckpoints builds each as exact numbers and in its own codes. In f32 logits are those of the dequantized model; in codes the inputs of products have 16 bits,
// the head and the cache bf16, which measures up to 7e-3 of the range here.
func TestQuantizedCheckpoints(t *testing.T) {
	for _, c := range quantizedCheckpoints {
		t.Run(c.name, func(t *testing.T) {
			r := quantizedGolden(t, c.name)
			for format, bound := range map[string]float64{"f32": 1e-4, "auto": 1.5e-2} {
				model, info := open(t, r.dir, format)
				got := slices.Concat(forward(t, model, info.Vocab, r.ids, true)...)
				if most, _ := relative(got, r.logits); !(most <= bound) {
					t.Errorf("%s: logits are off by %.2g of their range, at most %g", format, most, bound)
				}
				if kept := info.Quant[strings.LastIndex(info.Quant, " ")+1:]; format == "auto" && kept != c.format {
					t.Errorf("linears are %s, want %s", info.Quant, c.format)
				}
			}
		})
	}
}

// TestMXFP4 multiplies experts in codes. With all else in f32, logits are those of the dequantized model. By default all else is bf16, where rounding
// sends a token to another expert, as it does in transformers, whose own run is no nearer.
func TestMXFP4(t *testing.T) {
	r := quantizedGolden(t, "gpt-oss-mxfp4")
	for _, c := range []struct {
		options compiler.Options
		quant   string
		rms     float64
	}{
		{compiler.Options{Quant: "f32", Override: []passes.Override{{Pattern: "*.experts.*", Format: "mxfp4"}}}, "f32", 1e-3},
		{compiler.Options{}, "mxfp4 mxfp4", r.bf16},
	} {
		c.options.Model, c.options.Check = r.dir, true
		model, info := openBuilt(t, c.options)
		if info.Quant != c.quant {
			t.Errorf("linears are %s, want %s", info.Quant, c.quant)
		}
		got := slices.Concat(forward(t, model, info.Vocab, r.ids, true)...)
		if _, rms := relative(got, r.logits); !(rms <= c.rms) {
			t.Errorf("%+v: rms %.3g, at most %g", c.options, rms, c.rms)
		}
	}
}

// TestCodesAreKept verifies plans whose codes come from several tensors, in other orders: every weight has the checkpoint's own numbers, and the function is the imported one.
func TestCodesAreKept(t *testing.T) {
	for _, name := range []string{"gpt-oss-mxfp4", "gptq-int4-g32-asym-actorder", "ct-int8-tensor-static", "awq-int4-g32", "bnb-nf4-nested", "ct-fp8-block", "ct-fp8-tensor-static", "gptq-int8-g32-actorder", "moe-gptq-int4-g32-actorder", "moe-gptq-int8-g32-actorder", "bnb-nf4-odd", "gptq-int4-g24-asym", "modelopt-nvfp4", "ct-nvfp4-halves"} {
		dir := quantizedGolden(t, name).dir
		path := filepath.Join(t.TempDir(), "engine.plan")
		report, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: path, Check: true})
		check(t, err)
		if report.Accuracy.WeightError != 0 {
			t.Errorf("%s: weights are off by %g", name, report.Accuracy.WeightError)
		}
		plan, err := engine.Open(path)
		check(t, err)
		defer plan.Close()
		v := verifiedPlan(t, cpu.Device{}, plan, dir)
		if !v.OK || v.FirstBadWeight != "" {
			t.Errorf("%s: %+v", name, v)
		}
		again := filepath.Join(t.TempDir(), "again.plan")
		_, err = compiler.Refit(t.Context(), compiler.RefitOptions{Plan: path, Model: dir, Out: again})
		check(t, err)
		if !sameBytes(t, path, again) {
			t.Errorf("%s: refit with its own weights gives other bytes", name)
		}
	}
}

func sameBytes(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.ReadFile(a)
	check(t, err)
	two, err := os.ReadFile(b)
	check(t, err)
	return slices.Equal(one, two)
}

// TestRequantize rounds codes again only where it is asked to; plain numbers and formats with the same codes need no leave.
func TestRequantize(t *testing.T) {
	dir := "../testdata/quantized/ct-int8-tensor-static"
	build := func(o compiler.Options) (*compiler.Report, error) {
		o.Model, o.Out, o.Archs = dir, filepath.Join(t.TempDir(), "engine.plan"), []string{"x86-64-v4"}
		return compiler.Build(t.Context(), o)
	}
	const want = "the checkpoint has it in codes of its own (compressed-tensors), and int4-nested would round them again"
	if _, err := build(compiler.Options{Quant: "int4"}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	for _, c := range []struct {
		options compiler.Options
		quant   string
		lossy   bool
	}{
		{compiler.Options{Quant: "int4", Requantize: true}, "int4-nested", true},
		{compiler.Options{Quant: "int8-w8a8"}, "compressed-tensors int8-w8a8", false},
		{compiler.Options{Quant: "bf16"}, "bf16", false},
		{compiler.Options{}, "compressed-tensors int8", false},
	} {
		report, err := build(c.options)
		if err != nil {
			t.Errorf("%+v: %v", c.options, err)
			continue
		}
		if lossy := report.Accuracy.WeightError > 2e-2; report.Quant != c.quant || lossy != c.lossy {
			t.Errorf("%s gives %s, weights off by %g", c.options.Quant, report.Quant, report.Accuracy.WeightError)
		}
	}
}
