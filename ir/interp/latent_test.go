package interp

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"llmc/ir"
)

// The sizes of latentModule.
const (
	latentTokens, latentHeads = 5, 3
	latentRank, latentRope    = 4, 2
	latentNope, latentValue   = 3, 5
	latentKey                 = latentNope + latentRope
	latentRows                = latentHeads * (latentNope + latentValue)
)

// latentModule has attention over latent rows, paged the same with the keys and values of each head, which are as wide as each other there.
func latentModule() (latent, paged string) {
	keys, values := "", ""
	for h := range latentHeads {
		if h > 0 {
			keys, values = keys+", ", values+", "
		}
		keys += fmt.Sprintf("tensor(\"kv_b\", 0:4, transpose %d:24)", h*(latentNope+latentValue))
		first := h*(latentNope+latentValue) + latentNope
		values += fmt.Sprintf("tensor(\"kv_b\", %d:%d)", first, first+latentValue)
	}
	return fmt.Sprintf(`
cache @kv {kind="latent", layers=1, kv_heads=1, dim=6, rank=4, dtype="f32"}
weight %%keys : f32[3,4,3] = concat(%s)
weight %%values : f32[3,5,4] = concat(%s)
func @f(%%q: f32[T,9], %%r: f32[T,6], %%c: f32[T,4], %%k: f32[T,2], %%kv0: kv[kv]) -> (f32[T,15], kv[kv]) {
  %%kv1 = latent.write %%kv0, %%c, %%k {layer=0} : kv[kv]
  %%a = linear_heads %%q, %%keys : f32[T,12]
  %%y = attn.latent %%a, %%r, %%kv1 {layer=0, heads=3, scale=0.4} : f32[T,12]
  %%v = linear_heads %%y, %%values : f32[T,15]
  return %%v, %%kv1
}`, keys, values), `
cache @kv {kind="paged", layers=1, kv_heads=3, dim=5, dtype="f32"}
func @f(%q: f32[T,15], %k: f32[T,15], %v: f32[T,15], %kv0: kv[kv]) -> (f32[T,15], kv[kv]) {
  %kv1 = kv.write %kv0, %k, %v {layer=0} : kv[kv]
  %y = attn.paged %q, %kv1 {layer=0, heads=3, kv_heads=3, dim=5, scale=0.4} : f32[T,15]
  return %y, %kv1
}`
}

// Attention over latent rows is that over the keys and values that each head's matrices make of them.
func TestLatentAttentionIsAttention(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	random := func(rows, cols int) Tensor {
		x := newTensor(rows, cols)
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64())
		}
		return x
	}
	q, turned := random(latentTokens, latentHeads*latentNope), random(latentTokens, latentHeads*latentRope)
	c, k, kvB := random(latentTokens, latentRank), random(latentTokens, latentRope), random(latentRows, latentRank)

	whole := map[string]Tensor{}
	for name := range map[string]bool{"q": true, "k": true, "v": true} {
		whole[name] = newTensor(latentTokens, latentHeads*latentKey)
	}
	for m := range latentTokens {
		for h := range latentHeads {
			at, rows := h*latentKey, kvB.Data[h*(latentNope+latentValue)*latentRank:]
			copy(whole["q"].Row(m)[at:], q.Row(m)[h*latentNope:(h+1)*latentNope])
			copy(whole["q"].Row(m)[at+latentNope:], turned.Row(m)[h*latentRope:(h+1)*latentRope])
			for i := range latentNope {
				whole["k"].Row(m)[at+i] = float32(dot(c.Row(m), rows[i*latentRank:(i+1)*latentRank]))
			}
			copy(whole["k"].Row(m)[at+latentNope:], k.Row(m))
			for i := range latentValue {
				whole["v"].Row(m)[at+i] = float32(dot(c.Row(m), rows[(latentNope+i)*latentRank:(latentNope+i+1)*latentRank]))
			}
		}
	}
	run := func(text string, inputs map[string]Tensor) []float32 {
		m, err := ir.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ir.Parse(ir.Print(m)); err != nil || ir.Print(again) != ir.Print(m) {
			t.Errorf("the text form does not round-trip (%v)", err)
		}
		b := Batch{Inputs: inputs}
		b.Add(0, 0, latentTokens, make([]int32, latentTokens)...)
		out, err := New(m, tensors{"kv_b": kvB.Data}).Run("f", &b)
		if err != nil {
			t.Fatal(err)
		}
		return out[0].Data
	}
	latent, paged := latentModule()
	got := run(latent, map[string]Tensor{"q": q, "r": turned, "c": c, "k": k})
	compare(t, "attention", got, run(paged, whole), 1e-5)
}

// A head's columns are rounded apart from those of others: a small head beside a large one keeps its digits.
func TestLinearHeadsRoundsEachHead(t *testing.T) {
	for _, c := range []struct {
		attrs string
		want  []float32
	}{
		{"", []float32{1000, 0.001}},
		{` {input="bf16"}`, []float32{1000, 0.0009994507}},
		{` {input="q8t"}`, []float32{1000, 0.001}},
	} {
		m, err := ir.Parse(`
weight %w : f32[2,1,2] = const(1, 0, 1, 0)
func @f(%x: f32[T,4]) -> (f32[T,2]) {
  %y = linear_heads %x, %w` + c.attrs + ` : f32[T,2]
  return %y
}`)
		if err != nil {
			t.Fatal(err)
		}
		b := Batch{Inputs: map[string]Tensor{"x": {Rows: 1, Cols: 4, Data: []float32{1000, 3, 0.001, 0}}}}
		b.Add(0, 0, 1, 0)
		out, err := New(m, nil).Run("f", &b)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, c.attrs, out[0].Data, c.want, 1e-6)
	}
}
