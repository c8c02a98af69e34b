package interp

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"llmc/ir"
)

// Routing by hand: logits whose softmax is 0.1, 0.2, 0.3, 0.4.
func TestRouteByHand(t *testing.T) {
	ln := func(x float64) float32 { return float32(math.Log(x)) }
	logits := []float32{ln(0.1), ln(0.2), ln(0.3), ln(0.4)}
	third := func(x float64) float64 { return x / (1 + x) } // sigmoid of a logarithm
	for _, c := range []struct {
		attrs, bias string
		experts     []int32
		weights     []float64
	}{
		{"top_k=2", "", []int32{3, 2}, []float64{0.4, 0.3}},
		{"top_k=2, normalize=1", "", []int32{3, 2}, []float64{4. / 7, 3. / 7}},
		{"top_k=2, normalize=1, scale=3.5", "", []int32{3, 2}, []float64{2, 1.5}},
		{"top_k=1", "0.5, 0.2, 0, 0", []int32{0}, []float64{0.1}},
		{"top_k=2", "0.25, 0, 0, 0", []int32{3, 0}, []float64{0.4, 0.1}},
		{`top_k=2, score="sigmoid"`, "", []int32{3, 2}, []float64{third(0.4), third(0.3)}},
		{"top_k=2, groups=2", "", []int32{3, 2}, []float64{0.4, 0.3}},
		{"top_k=2, groups=2", "0.5, 0, 0, 0", []int32{0, 1}, []float64{0.1, 0.2}},
		{`top_k=2, groups=2, group_score="top2"`, "0.35, 0, 0, 0", []int32{3, 2}, []float64{0.4, 0.3}},
		{`top_k=1, groups=2, group_score="top2"`, "0.5, 0, 0, 0", []int32{0}, []float64{0.1}},
		{"top_k=3, groups=4, top_groups=3", "", []int32{3, 2, 1}, []float64{0.4, 0.3, 0.2}},
	} {
		weight, operand := "", ""
		if c.bias != "" {
			weight, operand = "weight %b : f32[4] = const("+c.bias+")\n", ", %b"
		}
		k := len(c.experts)
		text := fmt.Sprintf("%sfunc @f(%%x: f32[T,4]) -> (i32[T,%d], f32[T,%d]) {\n  %%e, %%w = moe.route %%x%s {%s} : i32[T,%d], f32[T,%d]\n  return %%e, %%w\n}",
			weight, k, k, operand, c.attrs, k, k)
		out := runOne(t, text, logits...)
		if !slices.Equal(out[0].Index, c.experts) {
			t.Errorf("%s, bias %q: experts %v, want %v", c.attrs, c.bias, out[0].Index, c.experts)
		}
		wantNear(t, c.attrs, out[1].Data, c.weights...)
	}
}

// Two rows at three experts, worked out by hand: each expert multiplies with its number, and adds a bias.
func TestExpertsByHand(t *testing.T) {
	m, err := ir.Parse(`
weight %w : f32[3,1,1] = const(10, 20, 30)
weight %b : f32[3] = const(0, 0, 1)
func @f(%x: f32[T,1], %e: i32[T,2], %weights: f32[T,2]) -> (i32[2*T], i32[T,2], i32[4], f32[2*T,1], f32[T,1], f32[T,1]) {
  %rows, %places, %offsets = moe.dispatch %e {count=3} : i32[2*T], i32[T,2], i32[4]
  %y = moe.linear %x, %offsets, %w, %rows, %b : f32[2*T,1]
  %z = moe.combine %y, %places, %weights : f32[T,1]
  %s = scale_rows %x, %z : f32[T,1]
  return %rows, %places, %offsets, %y, %z, %s
}`)
	if err != nil {
		t.Fatal(err)
	}
	b := Batch{Inputs: map[string]Tensor{
		"x":       {Rows: 2, Cols: 1, Data: []float32{1, 2}},
		"e":       {Rows: 2, Cols: 2, Index: []int32{2, 0, 0, 2}},
		"weights": {Rows: 2, Cols: 2, Data: []float32{0.5, 0.25, 2, 1}},
	}}
	b.Add(0, 0, 2, 0, 0)
	out, err := New(m, nil).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]int32{{0, 1, 0, 1}, {2, 0, 1, 3}, {0, 2, 2, 4}} {
		if !slices.Equal(out[i].Index, want) {
			t.Errorf("result %d of dispatch: %v, want %v", i, out[i].Index, want)
		}
	}
	wantNear(t, "products", out[3].Data, 10, 20, 31, 61)
	wantNear(t, "combined", out[4].Data, 0.5*31+0.25*10, 2*20+61)
	wantNear(t, "scaled", out[5].Data, 18, 202)
}
