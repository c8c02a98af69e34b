package ir

import (
	"fmt"
	"testing"

	"llmc/internal/dtype"
)

// tinyLlama builds a two-layer model of the Llama shape through the builder, as a family file would.
func tinyLlama(t testing.TB) *Module {
	t.Helper()
	const (
		vocab, hidden, inner = 48, 32, 40
		heads, kvHeads, dim  = 4, 2, 8
		layers               = 2
	)
	b := NewBuilder("tiny-llama")
	cache := b.PagedCache("kv", layers, kvHeads, dim, dtype.BF16)
	rope := Rope{InvFreq: b.Constant("inv_freq", []float32{1, 0.1, 0.01, 0.001}, 1, dim/2)}
	s := b.Step(cache)
	kv := s.Token
	embed := b.Weight("model.embed_tokens.weight", dtype.BF16, vocab, hidden)
	x := b.Gather(embed, s.IDs).As("embed")
	for i := range layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		l := fmt.Sprintf("l%d.", i)
		n := b.RMSNorm(x, b.Weight(p+"input_layernorm.weight", dtype.BF16, hidden), 1e-5)
		q := b.Linear(n, b.Column(p+"self_attn.q_proj.weight", dtype.BF16, heads*dim, hidden), nil).As(l + "q")
		k := b.Linear(n, b.Column(p+"self_attn.k_proj.weight", dtype.BF16, kvHeads*dim, hidden), nil).As(l + "k")
		v := b.Linear(n, b.Column(p+"self_attn.v_proj.weight", dtype.BF16, kvHeads*dim, hidden), nil).As(l + "v")
		q, k = b.Rope(q, s, rope, heads, dim), b.Rope(k, s, rope, kvHeads, dim)
		kv = b.KVWrite(kv, k, v, i)
		a := b.Attention(q, kv, s, Attention{Layer: i, Heads: heads, KVHeads: kvHeads, Dim: dim, Scale: 0.35355339059327373}).As(l + "attn")
		o := b.Linear(a, b.Row(p+"self_attn.o_proj.weight", dtype.BF16, hidden, heads*dim), nil).As(l + "o")
		x = b.Add(x, o)
		n = b.RMSNorm(x, b.Weight(p+"post_attention_layernorm.weight", dtype.BF16, hidden), 1e-5)
		gate := b.Linear(n, b.Column(p+"mlp.gate_proj.weight", dtype.BF16, inner, hidden), nil).As(l + "gate")
		up := b.Linear(n, b.Column(p+"mlp.up_proj.weight", dtype.BF16, inner, hidden), nil).As(l + "up")
		h := b.Mul(b.SiLU(gate), up)
		x = b.Add(x, b.Linear(h, b.Row(p+"mlp.down_proj.weight", dtype.BF16, hidden, inner), nil).As(l+"down"))
	}
	x = b.RMSNorm(x, b.Weight("model.norm.weight", dtype.BF16, hidden), 1e-5)
	b.Return(b.Linear(b.SelectRows(x, s.Rows), embed, nil).As("logits"), kv)
	m, err := b.Module()
	if err != nil {
		t.Fatal(err)
	}
	return m
}
