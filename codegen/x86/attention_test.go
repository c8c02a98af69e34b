package x86

import (
	"strings"
	"testing"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/passes"
)

// Attention with scores that the CPU's kernel does not compute is refused by the name of what it lacks, never computed without.
func TestRefusesScores(t *testing.T) {
	row, err := engine.FindTarget("x86-64-v4")
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(row)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(b *ir.Builder, a *ir.Attention){
		"alibi":   func(b *ir.Builder, a *ir.Attention) { a.ALiBi = b.Constant("slopes", []float32{1, 0.5}, 2) },
		"sinks":   func(b *ir.Builder, a *ir.Attention) { a.Sinks = b.Constant("sinks", []float32{1, 0.5}, 2) },
		"softcap": func(_ *ir.Builder, a *ir.Attention) { a.Softcap = 30 },
		"":        func(*ir.Builder, *ir.Attention) {},
	} {
		b := ir.NewBuilder("m")
		step := b.Step(b.PagedCache("kv", 1, 1, 8, dtype.BF16))
		x := b.Gather(b.Weight("x", dtype.BF16, 4, 32), step.IDs)
		token := b.KVWrite(step.Token, b.Slice(x, 16, 8), b.Slice(x, 24, 8), 0)
		a := ir.Attention{Heads: 2, KVHeads: 1, Dim: 8, Scale: 1}
		change(b, &a)
		b.Return(b.SelectRows(b.Attention(b.Slice(x, 0, 16), token, step, a), step.Rows), token)
		m, err := b.Module()
		if err != nil {
			t.Fatal(err)
		}
		_, err = passes.Run(m, passes.Options{Target: target, Policy: passes.Policy{Linear: "bf16"}})
		if name == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "target x86-64-v4 has no kernel") || !strings.Contains(err.Error(), "attn.paged") || name != "softcap" && !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
