//go:build !kit

package cuda_test

import (
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/relative"
	"llmc/ir"
)

// budgetNetworks are layers that no model of budgetModels has, in the sizes of models that do.
var budgetNetworks = []struct {
	name    string
	build   func(t *testing.T) *ir.Module
	formats []string
}{
	{"norms of falcon 7B", func(t *testing.T) *ir.Module { return norms(t, 65024, 4544, true) }, []string{"bf16"}},
	{"norms of an odd width", func(t *testing.T) *ir.Module { return norms(t, 64, 333, true) }, []string{"bf16"}},
	{"gelu of falcon 7B", feedForwardOf("gelu", 4544, 18176), []string{"bf16", "int8", "int4-g32"}},
	{"gelu_tanh of gemma 2B", feedForwardOf("gelu_tanh", 2048, 16384), []string{"bf16", "int8", "fp8", "int4-g32"}},
	{"quick_gelu", feedForwardOf("quick_gelu", 1024, 4096), []string{"bf16"}},
	{"relu", feedForwardOf("relu", 1024, 4096), []string{"bf16"}},
	{"relu2", feedForwardOf("relu2", 1024, 4100), []string{"bf16"}},
	{"sigmoid", feedForwardOf("sigmoid", 1024, 4096), []string{"bf16"}},
	{"bert base", encoderOf(768, 12, 64, 0, ir.EveryPosition), []string{"bf16"}},
	{"modernbert large", encoderOf(1024, 16, 64, 65, 64), []string{"bf16"}},
	{"wide heads that see what is ahead", encoderOf(1024, 8, 128, 0, ir.EveryPosition), []string{"bf16"}},
	{"encoder of t5 base", relativeEncoder(768, 12, 64, t5Encoder), []string{"bf16"}},
	{"encoder of t5 11B", relativeEncoder(1024, 128, 128, t5Encoder), []string{"bf16"}},
	{"decoder of t5 base", decoderOf(768, 12, 64, t5Decoder, dtype.BF16), []string{"bf16"}},
	{"decoder of t5 base over e4m3", decoderOf(768, 12, 64, t5Decoder, dtype.F8E4M3), []string{"bf16"}},
	{"decoder of t5 11B", decoderOf(1024, 128, 128, t5Decoder, dtype.BF16), []string{"bf16"}},
	{"decoder of bart large", decoderOf(1024, 16, 64, relative.Buckets{}, dtype.BF16), []string{"bf16"}},
	{"mixtral 8x7B", mixture{32000, 4096, 14336, 8, ir.Routing{TopK: 2, Normalize: true}, "silu", false, false, ir.Gate{}, false}.build,
		[]string{"bf16", "int8", "fp8", "int4-g32", "int4-g64", "int4-g128", "int4-g32-zp", "int4-g64-zp", "int4-g128-zp"}},
	{"qwen2-moe 57B", mixture{151936, 3584, 2560, 64, ir.Routing{TopK: 8}, "silu", true, true, ir.Gate{}, false}.build, []string{"bf16", "int4-g128"}},
	{"deepseek v3", mixture{129280, 7168, 2048, 256,
		ir.Routing{TopK: 8, Groups: 8, TopGroups: 4, Score: "sigmoid", GroupScore: "top2", Bias: &ir.Value{}, Normalize: true, Scale: 2.5}, "silu", false, false, ir.Gate{}, false}.build, []string{"fp8"}},
	{"rows of images in place of llava 7B's", rowsOfImages, []string{"bf16"}},
	{"rows asked by a query of their own over bf16", askedRows(dtype.BF16), []string{"bf16"}},
	{"rows asked by a query of their own over f16", askedRows(dtype.F16), []string{"bf16"}},
	{"rows asked by a query of their own over e4m3", askedRows(dtype.F8E4M3), []string{"bf16"}},
	{"rows asked by a query of their own over int8", askedRows(dtype.I8), []string{"bf16"}},
	{"rows asked by a query of their own over int4", askedRows(dtype.U4), []string{"bf16"}},
	{"states of mamba 130M", statesOf(1536), []string{"bf16"}},
	{"states of mamba 2.8B", statesOf(5120), []string{"bf16"}},
	{"attention of deepseek v2 lite", latentOf(16, 2048, dtype.BF16), []string{"bf16", "f16", "int8", "fp8", "fp8-block", "int4-g32", "int4-g64-zp"}},
	{"attention of deepseek v3", latentOf(128, 7168, dtype.BF16), []string{"bf16", "fp8-block"}},
	{"attention of deepseek v2 lite over f16", latentOf(16, 2048, dtype.F16), []string{"bf16"}},
	{"attention of deepseek v2 lite over e4m3", latentOf(16, 2048, dtype.F8E4M3), []string{"bf16"}},
	{"attention of deepseek v2 lite over int8", latentOf(16, 2048, dtype.I8), []string{"bf16"}},
	{"attention of deepseek v2 lite over int4", latentOf(16, 2048, dtype.U4), []string{"bf16"}},
}

// rowsOfImages puts rows of an image in place of those of tokens, without what follows.
func rowsOfImages(t *testing.T) *ir.Module {
	t.Helper()
	const vocab, hidden = 64, 4096
	b := ir.NewBuilder("images")
	step := b.Step(b.PagedCache("kv", 1, 1, 64, dtype.BF16))
	x := b.Insert(b.Gather(b.Weight("x", dtype.BF16, vocab, hidden), step.IDs), hidden)
	b.Return(b.SelectRows(x, step.Rows), step.Token)
	m, err := b.Module()
	check(t, err)
	return m
}

// askedRows writes keys and values of rows beside which there are no queries, in the sizes of SigLIP's.
func askedRows(cache dtype.Type) func(t *testing.T) *ir.Module {
	return func(t *testing.T) *ir.Module {
		t.Helper()
		const vocab, heads, dim = 64, 12, 64
		b := ir.NewBuilder("asked")
		step := b.Step(b.PagedCache("kv", 1, heads, dim, cache))
		rows := func(name string) *ir.Value {
			return b.Gather(b.Weight(name, dtype.BF16, vocab, heads*dim), step.IDs)
		}
		token := b.KVWrite(step.Token, rows("k"), rows("v"), 0)
		b.Return(b.SelectRows(rows("x"), step.Rows), token)
		m, err := b.Module()
		check(t, err)
		return m
	}
}

// statesOf is what moves the states of so many channels on, without the products of a model.
func statesOf(channels int) func(t *testing.T) *ir.Module {
	return func(t *testing.T) *ir.Module {
		t.Helper()
		const vocab, inputs, states = 64, 3, 16
		b := ir.NewBuilder("states")
		step := b.Step(b.StateCache("state", 1, inputs, states, channels))
		rows := func(name string, cols int) *ir.Value {
			return b.Gather(b.Weight(name, dtype.BF16, vocab, cols), step.IDs)
		}
		x, token := b.StateConv(rows("x", channels), step.Token, b.Weight("w", dtype.F32, inputs+1, channels), b.Weight("bias", dtype.F32, channels), 0)
		y, token := b.StateScan(ir.Scan{X: x, DT: rows("dt", channels), B: rows("b", states), C: rows("c", states),
			A: b.Weight("a", dtype.F32, states, channels), Skip: b.Weight("skip", dtype.F32, channels)}, token, 0)
		b.Return(b.SelectRows(y, step.Rows), token)
		m, err := b.Module()
		check(t, err)
		return m
	}
}

// latentOf is a layer of latent attention in the sizes of DeepSeek's models.
func latentOf(heads, hidden int, cache dtype.Type) func(t *testing.T) *ir.Module {
	return latentNetwork{latentShape{heads, 512, 64, cache}, 128, 128, hidden, 1024, "interleaved"}.build
}

func feedForwardOf(act string, hidden, features int) func(t *testing.T) *ir.Module {
	return func(t *testing.T) *ir.Module { return feedForward(t, act, 1024, hidden, features, false) }
}
