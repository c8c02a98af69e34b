//go:build !kit

package cuda_test

import (
	"math"
	"testing"

	"llmc/internal/dtype"
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
	{"mixtral 8x7B", mixture{32000, 4096, 14336, 8, ir.Routing{TopK: 2, Normalize: true}, "silu", false, false, ir.Gate{}, false}.build,
		[]string{"bf16", "int8", "fp8", "int4-g32", "int4-g64", "int4-g128", "int4-g32-zp", "int4-g64-zp", "int4-g128-zp"}},
	{"qwen2-moe 57B", mixture{151936, 3584, 2560, 64, ir.Routing{TopK: 8}, "silu", true, true, ir.Gate{}, false}.build, []string{"bf16", "int4-g128"}},
	{"deepseek v3", mixture{129280, 7168, 2048, 256,
		ir.Routing{TopK: 8, Groups: 8, TopGroups: 4, Score: "sigmoid", GroupScore: "top2", Bias: &ir.Value{}, Normalize: true, Scale: 2.5}, "silu", false, false, ir.Gate{}, false}.build, []string{"fp8"}},
}

func feedForwardOf(act string, hidden, features int) func(t *testing.T) *ir.Module {
	return func(t *testing.T) *ir.Module { return feedForward(t, act, 1024, hidden, features, false) }
}

// encoderOf is a layer of an encoder: its tables, attention of both ways and what makes one row of a sequence's.
func encoderOf(hidden, heads, dim, window, ahead int) func(t *testing.T) *ir.Module {
	return func(t *testing.T) *ir.Module {
		t.Helper()
		b := ir.NewBuilder("encoder")
		step := b.Sequences("embed", b.PagedCache("kv", 1, heads, dim, dtype.BF16))
		x := b.Add(b.Gather(b.Weight("embed", dtype.BF16, 1024, hidden), step.IDs), b.GatherTypes(b.Weight("type_rows", dtype.BF16, 2, hidden), step.Types))
		x = b.LayerNorm(b.Add(x, b.GatherPositions(b.Weight("position_rows", dtype.BF16, 512, hidden), step.Positions)), b.Weight("norm", dtype.F32, hidden), nil, 1e-5)
		width := heads * dim
		all := b.Linear(x, b.Weight("qkv", dtype.BF16, 3*width, hidden), nil)
		token := b.KVWrite(step.Token, b.Slice(all, width, width), b.Slice(all, 2*width, width), 0)
		x = b.Attention(b.Slice(all, 0, width), token, step, ir.Attention{Heads: heads, KVHeads: heads, Dim: dim, Scale: 1 / math.Sqrt(float64(dim)), Window: window, Ahead: ahead})
		x = b.Pool(b.Linear(x, b.Weight("o", dtype.BF16, hidden, width), nil), step.SeqStart, "mean").As("embedding")
		b.Return(b.Linear(x, b.Weight("head", dtype.BF16, hidden, hidden), nil).As("logits"), token)
		m, err := b.Module()
		check(t, err)
		return m
	}
}
