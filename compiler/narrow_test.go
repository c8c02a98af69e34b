package compiler_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/internal/quant"
)

// narrow is a way in which checkpoints store weights in codes, and what CPUs keep of it.
type narrow struct {
	stored  string
	file    float64 // bits a weight there, scales and zero points of the checkpoints below included
	more    float64 // bits a weight that plans take at most beyond that
	why     string
	formats []string // that plans have it in
	// Checkpoints of one layer, decoders and mixtures (moe-): of testdata/quantized or the shared ones, or types of GGUF, built with and without experts.
	checkpoints []string
}

// narrowCodes is every format that is read, as CPU targets hold it. Rows of these checkpoints are 64 and 96 long, so a scale for each output takes up to half a bit.
var narrowCodes = []narrow{
	{"GPTQ and compressed-tensors, 4 bits in groups with zero points, act-order", 4.625, 0.125, "zero points take bytes", []string{"int4-g32-zp"},
		[]string{"gptq-int4-g32-asym-actorder", "ct-int4-g32-asym-actorder"}},
	{"AWQ, 4 bits", 4.625, 0.125, "zero points take bytes", []string{"int4-g32-zp"}, []string{"awq-int4-g32", "moe-awq-int4-g32"}},
	{"GPTQ and compressed-tensors, 4 bits, a scale for each output", 4, 0.25, "a scale per 128 columns", []string{"int4-g128"}, []string{"gptq-int4-channel-v2", "ct-int4-channel", "moe-ct-int4-channel"}},
	{"GPTQ, 4 bits, act-order, of experts", 4.625, 0.625, "columns say which group they are in", []string{"int4-g32-order", "int4-g32"}, []string{"moe-gptq-int4-g32-actorder"}},
	{"GPTQ, 4 bits in groups that no kernel has (24)", 4.83, 1.2, "columns say which group they are in", []string{"int4-g16-order"}, []string{"gptq-int4-g24-asym"}},
	{"GPTQ, compressed-tensors and bitsandbytes, 8 bits, a scale for each output or for all", 8, 0.5, "scales of f32", []string{"int8"},
		[]string{"gptq-int8-channel", "ct-int8-packed-channel", "ct-int8-tensor-static", "llama-bnb-int8", "moe-gptq-int8-channel", "moe-bnb-int8"}},
	{"GPTQ and compressed-tensors, 8 bits in groups or with zero points, act-order", 8.25, 1.25, "two digits of 4 bits, with scales and zero points each", []string{"int4-g32-zp", "int4-g64-zp"},
		[]string{"gptq-int8-g32-asym-v2", "gptq-int8-g32-actorder", "ct-int8-channel-asym"}},
	{"the same, of experts", 8.5, 1, "columns say which group they are in; beside experts two digits", []string{"int8-g32-order", "int4-g32-zp"}, []string{"moe-gptq-int8-g32-actorder", "moe-ct-int8-g32"}},
	{"FP8 and compressed-tensors FP8, static and dynamic: a scale for a tensor, an output or 128x128 weights", 8, 0.5, "scales of f32; x86-64-v4-bf16 and x86-64-v4-amx, which multiply bf16, hold it as that: 16 bits",
		[]string{"fp8", "fp8-block"}, []string{"fp8-tensor-static", "modelopt-fp8", "ct-fp8-tensor-static", "ct-fp8-block", "llama-fp8-compressed", "llama-fp8-block", "moe-fp8-tensor-static", "moe-ct-fp8-block"}},
	{"bitsandbytes nf4 and fp4, nested or not; blocks that divide rows, or end after 32 columns", 4.125, 0.875, "scales of f32 per 64 or 32 columns", []string{"nf4", "fp4", "nf4-g32", "fp4-g32"},
		[]string{"bnb-fp4", "bnb-fp4-b128", "llama-bnb-nf4", "bnb-nf4-nested", "moe-bnb-nf4", "moe-bnb-fp4-nested"}},
	{"bitsandbytes nf4 and fp4 whose blocks end anywhere", 4.125, 2.875, "two scales per 32 columns, of 72 for 96", []string{"nf4-split"}, []string{"bnb-nf4-odd"}},
	{"MXFP4", 4.25, 0, "", []string{"mxfp4"}, []string{"gpt-oss-mxfp4", "ct-mxfp4"}},
	{"NVFP4 of Model Optimizer and compressed-tensors", 4.5, 0.5, "a scale of f32 for each output", []string{"nvfp4"}, []string{"modelopt-nvfp4", "ct-nvfp4-halves", "moe-modelopt-nvfp4"}},
	{"GGUF Q8_0", 8.5, 1, "two digits of 4 bits; of experts 8 bits whose columns say which group they are in", []string{"int4-g32-zp", "int8-g32-order"}, []string{"Q8_0"}},
	{"GGUF Q4_0", 4.5, 0, "", []string{"int4-g32"}, []string{"Q4_0"}},
	{"GGUF Q4_1", 5, 0, "", []string{"q4_1"}, []string{"Q4_1"}},
	{"GGUF Q5_0", 5.5, 0, "", []string{"q5_0"}, []string{"Q5_0"}},
	{"GGUF Q5_1", 6, 0, "", []string{"q5_1"}, []string{"Q5_1"}},
	{"GGUF IQ4_NL", 4.5, 0, "", []string{"iq4_nl"}, []string{"IQ4_NL"}},
	{"GGUF NVFP4", 4.5, 0.125, "a scale of f32 for each output", []string{"nvfp4"}, []string{"NVFP4"}},
	{"GGUF Q2_K", 2.625, 2.5, "codes in 4 bits, scales and offsets of groups in bytes", []string{"q2_k"}, []string{"Q2_K"}},
	{"GGUF Q3_K", 3.4375, 1.125, "codes in 4 bits, scales of groups in bytes", []string{"q3_k"}, []string{"Q3_K"}},
	{"GGUF Q4_K", 4.5, 0.125, "scales and offsets of groups in bytes", []string{"q4_k"}, []string{"Q4_K"}},
	{"GGUF Q5_K", 5.5, 3.125, "codes in bytes", []string{"q5_k"}, []string{"Q5_K"}},
	{"GGUF Q6_K", 6.5625, 2, "codes in bytes", []string{"q6_k"}, []string{"Q6_K"}},
}

// plainBlocks are types of GGUF beside those of kQuants.
var plainBlocks = []kQuant{{"Q4_0", 2, 8 * 18, everyBlock(18, 0), 0.004}}

// models finds the checkpoints of a row.
func (n *narrow) models(t *testing.T) map[string]string {
	paths := map[string]string{}
	for _, name := range n.checkpoints {
		all := slices.Concat(kQuants, plainBlocks)
		if i := slices.IndexFunc(all, func(k kQuant) bool { return k.name == name }); i >= 0 {
			paths[name], paths["mixture of "+name] = all[i].model(t, 0), all[i].model(t, 3)
		} else {
			paths[name] = quantizedGolden(t, name).dir
		}
	}
	return paths
}

// layerMatrices are the recipes of weights that checkpoints in codes have in codes, of gpt-oss those of experts.
var layerMatrices = regexp.MustCompile(`_proj\.|experts`)

// TestCodesAreNotWidened builds every format for a CPU target, and wants no weight of a layer in more bits than the file has, but for what the table says.
func TestCodesAreNotWidened(t *testing.T) {
	for _, n := range narrowCodes {
		for name, path := range n.models(t) {
			out := filepath.Join(t.TempDir(), "engine.plan")
			_, err := compiler.Build(t.Context(), compiler.Options{Model: path, Out: out, Archs: []string{"x86-64-v3"}})
			check(t, err)
			plan, err := engine.Open(out)
			check(t, err)
			defer plan.Close()
			found := 0
			for _, w := range plan.Weights() {
				if w.Layout == "" || !layerMatrices.MatchString(w.Recipe) || strings.HasPrefix(name, "gpt-oss") && !strings.Contains(w.Recipe, "experts") {
					continue
				}
				found++
				f, err := quant.Find(w.Format)
				check(t, err)
				bits := f.BitsPerWeight(int(w.K()))
				if strings.Contains(w.Recipe, ".digits") {
					bits *= 2
				}
				if bits > n.file+n.more || !slices.Contains(n.formats, w.Format) {
					t.Errorf("%s: weight %s is %s in %g bits; the file has %g, and %g more are allowed", name, w.Name, w.Format, bits, n.file, n.more)
				}
			}
			if found < 4 && !strings.HasPrefix(name, "gpt-oss") || found == 0 {
				t.Errorf("%s: %d matrices", name, found)
			}
		}
	}
}

// writeCodes writes the table of formats of checkpoints.
func writeCodes(b *strings.Builder) {
	b.WriteString("\nWeights that checkpoints have in codes, as plans for CPUs hold them, in decoders and in experts of mixtures (CodesAreNotWidened; bits a weight with what groups have; rows there are 64 and 96 long, so that scales of outputs count):\n\n" +
		"| stored as | bits in the file | more in a plan, at most | for | formats |\n|---|---|---|---|---|\n")
	for _, n := range narrowCodes {
		fmt.Fprintf(b, "| %s | %g | %g | %s | %s |\n", n.stored, n.file, n.more, n.why, strings.Join(n.formats, ", "))
	}
	b.WriteString("\nNumbers of their codes in f32 are left: scales that f16 cannot hold, zero point 256 and groups shorter than 16 of GPTQ; blocks shorter than 32 and levels of their own of bitsandbytes; exponents 0 and 1 of MXFP4; F16 beside codes in a GGUF file.\n")
}
