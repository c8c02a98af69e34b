package interp

import (
	"math"
	"slices"
	"strings"
	"testing"

	"llmc/ir"
)

// stateModule is a convolution over two inputs and a scan of one state, of 16 channels that are alike.
func stateModule(t *testing.T) *ir.Module {
	t.Helper()
	row := func(v string) string { return strings.TrimSuffix(strings.Repeat(v+", ", 16), ", ") }
	m, err := ir.Parse(`cache @s {kind="state", layers=1, kv_heads=2, dim=16, rank=1, dtype="f32"}
weight %w : f32[2,16] = const(` + row("0.5") + ", " + row("1") + `)
weight %a : f32[1,16] = const(` + row("-1") + `)
weight %skip : f32[16] = const(` + row("3") + `)
func @f(%x: f32[T,16], %dt: f32[T,16], %b: f32[T,1], %c: f32[T,1], %s0: kv[s]) -> (f32[T,16], f32[T,16], kv[s]) {
  %conv, %s1 = state.conv %x, %s0, %w {layer=0} : f32[T,16], kv[s]
  %y, %s2 = state.scan %x, %dt, %b, %c, %s1, %a, %skip {layer=0} : f32[T,16], kv[s]
  return %conv, %y, %s2
}`)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// stateBatch gives a token of each value to a sequence.
func stateBatch(b *Batch, seq, start int, values ...float32) {
	if b.Inputs == nil {
		b.Inputs = map[string]Tensor{}
	}
	add := func(name string, cols int, v float32) {
		x := b.Inputs[name]
		x.Rows, x.Cols, x.Data = x.Rows+1, cols, append(x.Data, slices.Repeat([]float32{v}, cols)...)
		b.Inputs[name] = x
	}
	for i, v := range values {
		b.Add(seq, start+i, start+len(values), 0)
		add("x", 16, v)
		add("dt", 16, 0) // a step of log 2, so that a state of -1 halves
		add("b", 1, 1)
		add("c", 1, 2)
	}
}

// Sequences have states of their own, go on from them, and begin anew at position 0; what is not the next position is refused.
func TestStatesByHand(t *testing.T) {
	machine := New(stateModule(t), nil)
	silu := func(x float64) float64 { return x / (1 + math.Exp(-x)) }
	run := func(b Batch, conv, y []float64) {
		t.Helper()
		out, err := machine.Run("f", &b)
		if err != nil {
			t.Fatal(err)
		}
		for m := range y {
			wantNear(t, "convolution", out[0].Row(m)[5:6], silu(conv[m]))
			wantNear(t, "scan", out[1].Row(m)[5:6], y[m])
		}
	}
	ln2 := math.Ln2
	var first, second, anew Batch
	stateBatch(&first, 0, 0, 1, 2)
	stateBatch(&first, 7, 0, -2)
	run(first, []float64{1, 2.5, -2}, []float64{3 + 2*ln2, 6 + 2*(2.5*ln2), -6 - 2*(2*ln2)})
	stateBatch(&second, 7, 1, 1)
	stateBatch(&second, 0, 2, 0)
	run(second, []float64{0, 1}, []float64{3, 2 * (1.25 * ln2)})
	stateBatch(&anew, 0, 0, 1)
	run(anew, []float64{1}, []float64{3 + 2*ln2})

	var late Batch
	stateBatch(&late, 0, 3, 1)
	if _, err := machine.Run("f", &late); err == nil || !strings.Contains(err.Error(), "position 3 of a sequence whose state is that of 1 tokens") {
		t.Errorf("a position that was left out: %v", err)
	}
}
