package passes

import (
	"fmt"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
)

// shape is a tiny decoder: what the importable families differ in.
type shape struct {
	name             string
	bias, headNorm   bool
	tied, fused      bool // fused: q, k, v and gate, up are ranges of one tensor each
	window, features int
	rope             ir.Rope
}

var shapes = []shape{
	{name: "llama", features: 40},
	{name: "qwen2", bias: true, tied: true, features: 64},
	{name: "qwen3", headNorm: true, tied: true, features: 48},
	{name: "mistral", window: 4, features: 40, rope: ir.Rope{Style: "interleaved"}},
	{name: "phi3", fused: true, features: 72, rope: ir.Rope{Mode: "longrope", OriginalMax: 6, Factor: 1.1}},
	{name: "dynamic", features: 32, rope: ir.Rope{Mode: "dynamic", MaxPositions: 6, Base: 10000, DynamicFactor: 2}},
}

const (
	hidden, heads, kvHeads, dim = 32, 4, 2, 8
	layers, vocab               = 2, 48
)

// model builds the module of a shape.
func (s shape) model(t testing.TB) *ir.Module {
	t.Helper()
	b := ir.NewBuilder(s.name)
	s.rope.InvFreq = b.Constant("inv_freq", []float32{1, 0.3, 0.1, 0.03}, 1, dim/2)
	if s.rope.Mode == "longrope" {
		s.rope.InvFreq = b.Constant("inv_freqs", []float32{1, 0.3, 0.1, 0.03, 0.8, 0.2, 0.05, 0.01}, 2, dim/2)
	}
	step := b.Step(b.PagedCache("kv", layers, kvHeads, dim, dtype.BF16))
	kv := step.Token
	embed := b.Weight("embed.weight", dtype.BF16, vocab, hidden)
	x := b.Gather(embed, step.IDs).As("embed")
	for i := range layers {
		l := layer{b, s, step, fmt.Sprintf("layers.%d.", i), i}
		var a *ir.Value
		a, kv = l.attention(b.RMSNorm(x, l.vector("attn_norm", hidden), 1e-5), kv)
		x = b.Add(x, a)
		x = b.Add(l.mlp(b.RMSNorm(x, l.vector("mlp_norm", hidden), 1e-5)), x)
	}
	head := embed
	if !s.tied {
		head = b.Weight("head.weight", dtype.BF16, vocab, hidden)
	}
	x = b.RMSNorm(x, b.Weight("norm.weight", dtype.BF16, hidden), 1e-5)
	b.Return(b.Linear(b.SelectRows(x, step.Rows), head, nil).As("logits"), kv)
	m, err := b.Module()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type layer struct {
	*ir.Builder
	s      shape
	step   ir.Step
	prefix string
	index  int
}

func (l layer) vector(name string, n int) *ir.Value {
	return l.Weight(l.prefix+name+".weight", dtype.BF16, n)
}

// linear multiplies with a weight of its own, or with rows [start, start+n) of the tensor fused.
func (l layer) linear(x *ir.Value, name, fused string, start, n, k int) *ir.Value {
	full := l.prefix + name
	if l.s.fused {
		w := ir.Weight{Axis: "col", Recipe: ir.TensorRows(l.prefix+fused+".weight", int64(start), int64(n))}
		w.Name, w.Type = full+".weight", ir.Tensor(dtype.BF16, sym.Const(int64(n)), sym.Const(int64(k)))
		return l.Linear(x, l.Declare(w), nil).As(full)
	}
	var bias *ir.Value
	if l.s.bias && name != "k_proj" {
		bias = l.Column(full+".bias", dtype.BF16, n)
	}
	return l.Linear(x, l.Column(full+".weight", dtype.BF16, n, k), bias).As(full)
}

func (l layer) attention(x, kv *ir.Value) (y, next *ir.Value) {
	const qWidth, kvWidth = heads * dim, kvHeads * dim
	q := l.linear(x, "q_proj", "qkv_proj", 0, qWidth, hidden)
	k := l.linear(x, "k_proj", "qkv_proj", qWidth, kvWidth, hidden)
	v := l.linear(x, "v_proj", "qkv_proj", qWidth+kvWidth, kvWidth, hidden)
	if l.s.headNorm {
		q, k = l.GroupRMSNorm(q, l.vector("q_norm", dim), 1e-6, dim), l.GroupRMSNorm(k, l.vector("k_norm", dim), 1e-6, dim)
	}
	q = l.Rope(q, l.step, l.s.rope, heads, dim)
	if l.s.rope.Static() {
		k = l.Rope(k, l.step, l.s.rope, kvHeads, dim)
	}
	next = l.KVWrite(kv, k, v, l.index)
	y = l.Attention(q, next, l.step, ir.Attention{
		Layer: l.index, Heads: heads, KVHeads: kvHeads, Dim: dim, Scale: 0.35, Window: l.s.window, Rope: l.s.rope,
	})
	return l.Linear(y.As(l.prefix+"attn"), l.Row(l.prefix+"o_proj.weight", dtype.BF16, hidden, qWidth), nil).As(l.prefix + "o_proj"), next
}

func (l layer) mlp(x *ir.Value) *ir.Value {
	gate := l.linear(x, "gate_proj", "gate_up_proj", 0, l.s.features, hidden)
	up := l.linear(x, "up_proj", "gate_up_proj", l.s.features, l.s.features, hidden)
	h := l.Mul(up, l.SiLU(gate)).As(l.prefix + "mlp")
	return l.Linear(h, l.Row(l.prefix+"down_proj.weight", dtype.BF16, hidden, l.s.features), nil).As(l.prefix + "down_proj")
}
