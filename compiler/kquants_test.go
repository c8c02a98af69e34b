package compiler_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/gguf/gguftest"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/passes"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/emu"
)

// kQuant is a type whose codes CPUs multiply as they are: bytes of 256 elements, where its f16 scales lie, and the size of these that makes weights of a usual size.
type kQuant struct {
	name   string
	id     uint32
	bytes  int
	halves []int
	scale  float64
}

var kQuants = []kQuant{
	{"Q2_K", 10, 84, []int{80, 82}, 0.004}, {"Q3_K", 11, 110, []int{108}, 0.0015}, {"Q4_K", 12, 144, []int{0, 2}, 0.0002},
	{"Q5_K", 13, 176, []int{0, 2}, 0.0001}, {"Q6_K", 14, 210, []int{208}, 0.00003},
	{"Q5_1", 7, 8 * 24, []int{0, 2, 24, 26, 48, 50, 72, 74, 96, 98, 120, 122, 144, 146, 168, 170}, 0.002}, // eight blocks of 32
	{"Q4_1", 3, 8 * 20, everyBlock(20, 0, 2), 0.004}, {"Q5_0", 6, 8 * 22, everyBlock(22, 0), 0.002}, {"IQ4_NL", 20, 8 * 18, everyBlock(18, 0), 0.0005}, {"NVFP4", 40, 4 * 36, nil, 0.002},
	{"Q8_0", 8, 8 * 34, everyBlock(34, 0), 0.0005},
}

// everyBlock is where the f16 of eight blocks of 32 elements lie.
func everyBlock(bytes int, halves ...int) (all []int) {
	for i := range 8 {
		for _, h := range halves {
			all = append(all, i*bytes+h)
		}
	}
	return all
}

// blocks makes random blocks: every bit counts, but for those of scales.
func (k kQuant) blocks(r *rand.Rand, elements uint64) []byte {
	data := make([]byte, int(elements)/256*k.bytes)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for at := 0; at < len(data); at += k.bytes {
		for _, h := range k.halves {
			binary.LittleEndian.PutUint16(data[at+h:], dtype.F32ToF16(float32(k.scale*(0.5+r.Float64()))))
		}
	}
	for at := 0; k.name == "NVFP4" && at < len(data); at += 36 { // scales are bytes, of numbers around one
		for i := range 4 {
			data[at+i] = 0x30 + data[at+i]%16
		}
	}
	return data
}

// tensors are a matrix, or one of each expert, and what multiplies it where the type has that.
func (k kQuant) tensors(r *rand.Rand, name string, dims ...uint64) []gguftest.Tensor {
	elements, matrices := uint64(1), uint64(1)
	for _, d := range dims {
		elements *= d
	}
	if len(dims) > 2 {
		matrices = dims[2]
	}
	all := []gguftest.Tensor{{Name: name + ".weight", Kind: k.id, Dims: dims, Data: k.blocks(r, elements)}}
	if k.name != "NVFP4" {
		return all
	}
	var scales []byte
	for range matrices {
		scales = binary.LittleEndian.AppendUint32(scales, math.Float32bits(float32(k.scale*(0.5+r.Float64()))))
	}
	return append(all, gguftest.Tensor{Name: name + ".scale", Dims: []uint64{matrices}, Data: scales}, gguftest.Tensor{Name: name + ".input_scale", Dims: []uint64{matrices}, Data: scales})
}

// model is a Llama of one layer, all of whose matrices are of the type, with a tied head. With experts it is a Mixtral.
func (k kQuant) model(t *testing.T, experts uint64) string {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(k.id), 1))
	const hidden, inner, vocab = 256, 512, 48
	w := &gguftest.Writer{Keys: []any{
		"general.architecture", "llama", "llama.context_length", 64, "llama.embedding_length", hidden, "llama.block_count", 1,
		"llama.feed_forward_length", inner, "llama.attention.head_count", 4, "llama.attention.head_count_kv", 2,
		"llama.attention.layer_norm_rms_epsilon", 1e-5, "llama.rope.freq_base", 10000.0, "tokenizer.ggml.model", "llama",
	}}
	var tokens []string
	for i := range vocab {
		tokens = append(tokens, fmt.Sprintf("t%d", i))
	}
	w.Keys = append(w.Keys, "tokenizer.ggml.tokens", tokens, "tokenizer.ggml.scores", make([]float32, vocab), "tokenizer.ggml.token_type", slices.Repeat([]int32{1}, vocab))
	type matrix struct {
		name       string
		cols, rows uint64
	}
	matrices := []matrix{
		{"token_embd", hidden, vocab}, {"blk.0.attn_q", hidden, hidden}, {"blk.0.attn_k", hidden, hidden / 2}, {"blk.0.attn_v", hidden, hidden / 2},
		{"blk.0.attn_output", hidden, hidden},
	}
	each := []matrix{{"blk.0.ffn_gate", hidden, inner}, {"blk.0.ffn_up", hidden, inner}, {"blk.0.ffn_down", inner, hidden}}
	if experts == 0 {
		matrices = append(matrices, each...)
	} else {
		w.Keys = append(w.Keys, "llama.expert_count", int(experts), "llama.expert_used_count", 2)
		matrices = append(matrices, matrix{"blk.0.ffn_gate_inp", hidden, experts})
		for _, m := range each {
			w.Tensors = append(w.Tensors, k.tensors(r, m.name+"_exps", m.cols, m.rows, experts)...)
		}
	}
	for _, m := range matrices {
		w.Tensors = append(w.Tensors, k.tensors(r, m.name, m.cols, m.rows)...)
	}
	for _, name := range []string{"output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"} {
		var ones []byte
		for range hidden {
			ones = binary.LittleEndian.AppendUint32(ones, 0x3f800000)
		}
		w.Tensors = append(w.Tensors, gguftest.Tensor{Name: name + ".weight", Dims: []uint64{hidden}, Data: ones})
	}
	return w.Save(t, "model.gguf")
}

// TestNothingIsRoundedToKQuants refuses them as formats.
func TestNothingIsRoundedToKQuants(t *testing.T) {
	path := kQuants[2].model(t, 0)
	for _, o := range []compiler.Options{
		{Model: path, Quant: "q4_k"},
		{Model: path, Quant: "q5_1"},
		{Model: path, Quant: "bf16", Override: []passes.Override{{Pattern: "*down_proj*", Format: "q6_k"}}},
		{Model: path, Override: []passes.Override{{Pattern: "*down_proj*", Format: "q6_k"}}},
	} {
		o.Out = filepath.Join(t.TempDir(), "engine.plan")
		if _, err := compiler.Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), "nothing is rounded to q") {
			t.Errorf("%v", err)
		}
	}
}

// TestKQuantsAreKept builds models of K-quants in their own codes: every weight has the numbers of the file, and logits are those of the numbers in f32 (TestGoldensGGUF and
// TestBlocks of package gguf say that these are right), but for what inputs of 16 bits lose.
func TestKQuantsAreKept(t *testing.T) {
	formats := map[string]string{"Q2_K": "q2_k", "Q3_K": "q3_k", "Q4_K": "q4_k", "Q5_K": "q5_k", "Q6_K": "q6_k", "Q5_1": "q5_1", "Q4_1": "q4_1", "Q5_0": "q5_0", "IQ4_NL": "iq4_nl", "NVFP4": "nvfp4", "Q8_0": "int8-g32-order"}
	bits := map[string]float64{"Q2_K": 5.2, "Q3_K": 4.6, "Q4_K": 4.7, "Q5_K": 8.7, "Q6_K": 8.6, "Q5_1": 6.1, "Q4_1": 5.1, "Q5_0": 5.6, "IQ4_NL": 4.6, "NVFP4": 4.7, "Q8_0": 9.6}
	ids := []int32{1, 7, 3, 40, 12, 5, 9, 22, 31, 2, 47}
	for _, k := range kQuants {
		experts := uint64(0)
		if k.name == "Q4_K" || k.id <= 8 || k.name == "IQ4_NL" || k.name == "NVFP4" {
			experts = 3
		}
		t.Run(k.name, func(t *testing.T) {
			path, out := k.model(t, experts), filepath.Join(t.TempDir(), "engine.plan")
			report, err := compiler.Build(t.Context(), compiler.Options{Model: path, Out: out, KVDType: "f32", Check: true})
			check(t, err)
			if want := k.name + " " + formats[k.name]; report.Quant != want || report.Accuracy.WeightError != 0 {
				t.Errorf("weights are %s, off by %g, want %s", report.Quant, report.Accuracy.WeightError, want)
			}
			plan, err := engine.Open(out)
			check(t, err)
			defer plan.Close()
			if got := plan.Info().BitsPerW; got > bits[k.name] || got < bits[k.name]-1 {
				t.Errorf("%g bits a weight", got)
			}
			if v := verifiedPlan(t, cpu.Device{}, plan, path); !v.OK || v.FirstBadWeight != "" {
				t.Errorf("%+v", v)
			}
			model, err := (cpu.Device{}).Load(plan, compiler.VerifySettings())
			check(t, err)
			defer model.Close()
			got := slices.Concat(forward(t, model, plan.Info().Vocab, ids, true)...)
			exact, info := open(t, path, "f32")
			want := slices.Concat(forward(t, exact, info.Vocab, ids, true)...)
			if most, _ := relative(got, want); !(most <= 1e-4) {
				t.Errorf("logits are off by %.2g of their range", most)
			} else {
				t.Logf("off by %.2g", most)
			}
		})
	}
}

// TestKQuantsOnGPUs wants the numbers of codes for which a target has no kernels, in bf16, or their digits where they have any, also where another target has kernels.
func TestKQuantsOnGPUs(t *testing.T) {
	for name, want := range map[string]string{"Q4_K": "Q4_K bf16", "Q5_0": "Q5_0, two digits int4-g32-zp"} {
		path := kQuants[slices.IndexFunc(kQuants, func(k kQuant) bool { return k.name == name })].model(t, 0)
		for _, targets := range [][]string{{"sm80"}, {"sm80", "x86-64-v3"}} {
			out := filepath.Join(t.TempDir(), "engine.plan")
			report, err := compiler.Build(t.Context(), compiler.Options{Model: path, Out: out, Archs: targets})
			check(t, err)
			if report.Quant != want {
				t.Errorf("for %v weights are %s, want %s", targets, report.Quant, want)
			}
			again := filepath.Join(t.TempDir(), "again.plan")
			_, err = compiler.Refit(t.Context(), compiler.RefitOptions{Plan: out, Model: path, Out: again})
			check(t, err)
			if !sameBytes(t, out, again) {
				t.Errorf("refit of %s for %v with its own weights gives other bytes", name, targets)
			}
		}
	}
}

// TestTiedDigitsAreOneTable wants the head of a tied model in digits to be what rows of tokens are looked up in too, on CPUs and GPUs.
func TestTiedDigitsAreOneTable(t *testing.T) {
	q80 := kQuants[len(kQuants)-1]
	path, ids := q80.model(t, 0), []int32{1, 7, 3, 40, 12, 5}
	for target, device := range map[string]engine.Device{"x86-64-v3": cpu.Device{}, "sm80": emu.Device{}} {
		out := filepath.Join(t.TempDir(), "engine.plan")
		_, err := compiler.Build(t.Context(), compiler.Options{Model: path, Out: out, Archs: []string{target}, Check: true})
		check(t, err)
		plan, err := engine.Open(out)
		check(t, err)
		defer plan.Close()
		for _, w := range plan.Weights() {
			if strings.Contains(w.Name, "embed_tokens") || len(w.Shape) == 2 && w.Layout != "" && w.Format != "int4-g32-zp" {
				t.Errorf("%s: weight %s of %v in %s", target, w.Name, w.Shape, w.Format)
			}
		}
		if v := verifiedPlan(t, device, plan, path); !v.OK || v.FirstBadWeight != "" {
			t.Errorf("%s: %+v", target, v)
		}
		model, err := device.Load(plan, compiler.VerifySettings())
		check(t, err)
		defer model.Close()
		got := slices.Concat(forward(t, model, plan.Info().Vocab, ids, true)...)
		exact, info := open(t, path, "f32")
		want := slices.Concat(forward(t, exact, info.Vocab, ids, true)...)
		if most, _ := relative(got, want); !(most <= 1.5e-2) {
			t.Errorf("%s: logits are off by %.2g of their range", target, most)
		}
	}
}
