package interp

import (
	"math"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
)

// Slopes, sinks and numbers by distance by their definition for two heads and two positions, worked out by hand: scores are 1.5 and 2.75 for both heads.
func TestBiasesByHand(t *testing.T) {
	m, err := ir.Parse(`
cache @kv {kind="paged", layers=1, kv_heads=1, dim=2, dtype="f32"}
weight %slopes : f32[2] = const(0.5, 2)
weight %sinks : f32[2] = const(1, -3)
weight %near : f32[2,2] = const(0.25, 0.5, -0.125, -0.75)
func @f(%q: f32[T,4], %k: f32[T,2], %v: f32[T,2], %kv0: kv[kv]) -> (f32[T,4], kv[kv]) {
  %kv1 = kv.write %kv0, %k, %v {layer=0} : kv[kv]
  %y = attn.paged %q, %kv1, _, _, _, %slopes, %sinks, %near {layer=0, heads=2, kv_heads=1, dim=2, scale=0.5, reach=2} : f32[T,4]
  return %y, %kv1
}`)
	if err != nil {
		t.Fatal(err)
	}
	matrix := func(cols int, values ...float32) Tensor { return Tensor{Rows: 2, Cols: cols, Data: values} }
	var b Batch
	b.Add(0, 0, 2, 0, 0)
	b.Inputs = map[string]Tensor{"q": matrix(4, 0, 0, 0, 0, 3, 4, 3, 4), "k": matrix(2, 1, 0, 0.5, 1), "v": matrix(2, 1, 2, 3, 5)}
	out, err := New(m, tensors{}).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	var want []float32
	for position := range 2 {
		for head, slope := range []float64{0.5, 2} {
			sink := []float64{1, -3}[head]
			own, before := []float64{0.25, 0.5}[head], []float64{-0.125, -0.75}[head]
			e0, e1 := math.Exp(own), 0.0 // queries of the first position are zero
			if position == 1 {
				e0, e1 = math.Exp(1.5-slope+before), math.Exp(2.75+own)
			}
			sum := e0 + e1 + math.Exp(sink)
			want = append(want, float32((e0*1+e1*3)/sum), float32((e0*2+e1*5)/sum))
		}
	}
	compare(t, "attention", out[0].Data, want, 1e-6)
}

// A cache of codes keeps each head of a row with a scale of its own, so that a small head beside a large one keeps its digits.
func TestCodedCacheScalesHeads(t *testing.T) {
	for _, typ := range []dtype.Type{dtype.I8, dtype.I16, dtype.F8E4M3, dtype.U4} {
		f, err := quant.KVOf(typ)
		if err != nil {
			t.Fatal(err)
		}
		row := []float32{1000, -250, 0.001, 0.0002}
		want := append([]float32(nil), row...)
		for at := 0; at < len(row); at += 2 {
			f.Keep(want[at:at+2], 0)
		}
		if err := storedInCache(row, &ir.Cache{KVHeads: 2, Dim: 2, DType: typ}); err != nil {
			t.Fatal(err)
		}
		for i := range row {
			if row[i] != want[i] || row[i] == 0 {
				t.Errorf("%v: channel %d is %v, want %v", typ, i, row[i], want[i])
			}
		}
	}
}
