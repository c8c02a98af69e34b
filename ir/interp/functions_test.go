package interp

import (
	"math"
	"testing"

	"llmc/ir"
)

// runOne computes the function @f of a module for an input x of one row.
func runOne(t *testing.T, text string, x ...float32) []Tensor {
	t.Helper()
	m, err := ir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	b := Batch{Inputs: map[string]Tensor{"x": {Rows: 1, Cols: len(x), Data: x}}}
	b.Add(0, 0, 1, 0)
	out, err := New(m, nil).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantNear(t *testing.T, what string, got []float32, want ...float64) {
	t.Helper()
	for i, w := range want {
		if math.Abs(float64(got[i])-w) > 1e-6*math.Max(1, math.Abs(w)) {
			t.Errorf("%s: %v, want %v", what, got, want)
			return
		}
	}
}

// Values of the functions as tables and other software have them.
func TestActivationValues(t *testing.T) {
	for name, want := range map[string][3]float64{ // of -1, 0.5, 3
		"silu":       {-0.268941421, 0.311229666, 2.857722381},
		"gelu":       {-0.158655254, 0.345731231, 2.995950306},
		"gelu_tanh":  {-0.158808009, 0.345714010, 2.996362790},
		"quick_gelu": {-0.154204234, 0.350388437, 2.981928687},
		"relu":       {0, 0.5, 3},
		"relu2":      {0, 0.25, 9},
		"sigmoid":    {0.268941421, 0.622459331, 0.952574127},
	} {
		out := runOne(t, "func @f(%x: f32[T,3]) -> (f32[T,3]) {\n  %y = "+name+" %x : f32[T,3]\n  return %y\n}", -1, 0.5, 3)
		wantNear(t, name, out[0].Data, want[:]...)
	}
	out := runOne(t, "func @f(%x: f32[T,2]) -> (f32[T,2]) {\n  %y = softcap %x {by=30} : f32[T,2]\n  return %y\n}", -60, 15)
	wantNear(t, "softcap", out[0].Data, -28.920827403, 13.863514718)
}

// Queries of Llama 4's layers without a rotary embedding: positions 0 and 1 are before the first step, 2 and 5 begin the first and the second.
func TestScalePositionsByHand(t *testing.T) {
	m, err := ir.Parse(`
func @f(%x: f32[T,1], %positions: i32[T]) -> (f32[T,1]) {
  %y = scale_positions %x, %positions {by=0.5, every=3} : f32[T,1]
  return %y
}`)
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	b.Add(0, 0, 7, make([]int32, 7)...)
	b.Inputs = map[string]Tensor{"x": {Rows: 7, Cols: 1, Data: []float32{1, 1, 2, 2, 2, 2, 2}}}
	out, err := New(m, nil).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	once, twice := 2+math.Log(2), 2+math.Log(3)
	wantNear(t, "scaled", out[0].Data, 1, 1, once, once, once, twice, twice)
}

// A row of 1, 2, 3, 4 has the mean 2.5 and the variance 1.25.
func TestLayerNormByHand(t *testing.T) {
	out := runOne(t, `
weight %w : f32[4] = const(1, 2, 1, 1)
weight %b : f32[4] = const(0, 0, 0.5, 0)
func @f(%x: f32[T,4]) -> (f32[T,4], f32[T,4], f32[T,4]) {
  %y = layernorm %x, %w, %b {eps=0} : f32[T,4]
  %s, %n = add_layernorm %x, %x, %w {eps=0} : f32[T,4], f32[T,4]
  return %y, %s, %n
}`, 1, 2, 3, 4)
	wantNear(t, "layernorm", out[0].Data, -1.341640786, -0.894427191, 0.947213595, 1.341640786)
	wantNear(t, "sum", out[1].Data, 2, 4, 6, 8)
	wantNear(t, "normed", out[2].Data, -1.341640786, -0.894427191, 0.447213595, 1.341640786)
}

// runSequences computes @f of two sequences, of three tokens and of one.
func runSequences(t *testing.T, text string, x Tensor) []Tensor {
	t.Helper()
	m, err := ir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	b := Batch{Inputs: map[string]Tensor{"x": x}, Types: []int32{0, 1, 1, 0}}
	b.Add(3, 0, 3, 0, 0, 0)
	b.Add(9, 0, 1, 0)
	out, err := New(m, nil).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPoolByHand(t *testing.T) {
	x := Tensor{Rows: 4, Cols: 2, Data: []float32{1, 10, 2, 20, 6, 0, 5, 7}}
	for mode, want := range map[string][]float64{"mean": {3, 10, 5, 7}, "first": {1, 10, 5, 7}, "last": {6, 0, 5, 7}} {
		out := runSequences(t, "func @f(%x: f32[T,2], %seq_start: i32[B+1]) -> (f32[B,2]) {\n  %y = pool %x, %seq_start {mode=\""+mode+"\"} : f32[B,2]\n  return %y\n}", x)
		wantNear(t, mode, out[0].Data, want...)
	}
}

func TestGatherTypesByHand(t *testing.T) {
	out := runSequences(t, "weight %w : f32[2,1] = const(3, 4)\nfunc @f(%types: i32[T]) -> (f32[T,1]) {\n  %y = gather_types %w, %types : f32[T,1]\n  return %y\n}", Tensor{})
	wantNear(t, "types", out[0].Data, 3, 4, 4, 3)
}

// Keys of zeros weigh all positions that are seen alike, so a row is the mean of their values.
func TestAttentionAheadByHand(t *testing.T) {
	x := Tensor{Rows: 4, Cols: 1, Data: []float32{1, 2, 6, 8}}
	for attrs, want := range map[string][]float64{
		"": {1, 1.5, 3, 8}, ", ahead=1": {1.5, 3, 3, 8}, ", ahead=99": {3, 3, 3, 8}, ", window=1, ahead=1": {1.5, 4, 6, 8},
	} {
		text := `
cache @kv {kind="paged", layers=1, kv_heads=1, dim=1, dtype="f32"}
func @f(%x: f32[T,1], %kv0: kv[kv]) -> (f32[T,1], kv[kv]) {
  %zero = scale %x {by=0} : f32[T,1]
  %kv1 = kv.write %kv0, %zero, %x {layer=0} : kv[kv]
  %y = attn.paged %x, %kv1 {layer=0, heads=1, kv_heads=1, dim=1, scale=1` + attrs + `} : f32[T,1]
  return %y, %kv1
}`
		wantNear(t, "ahead"+attrs, runSequences(t, text, x)[0].Data, want...)
	}
}

// Rows that a batch brings take the place of those of type 1; where none is brought, nothing has to be.
func TestInsertByHand(t *testing.T) {
	m, err := ir.Parse("func @f(%x: f32[T,1], %types: i32[T], %soft: f32[T,1]) -> (f32[T,1]) {\n  %y = insert %x, %soft, %types : f32[T,1]\n  return %y\n}")
	if err != nil {
		t.Fatal(err)
	}
	b := Batch{Inputs: map[string]Tensor{"x": {Rows: 3, Cols: 1, Data: []float32{1, 2, 3}}}}
	b.Add(0, 0, 3, 0, 0, 0)
	out, err := New(m, nil).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	wantNear(t, "insert of nothing", out[0].Data, 1, 2, 3)
	b.Types = []int32{0, 1, 0}
	if _, err := New(m, nil).Run("f", &b); err == nil {
		t.Error("a row of type 1 without rows that are brought")
	}
	b.Inputs["soft"] = Tensor{Rows: 3, Cols: 1, Data: []float32{7, 8, 9}}
	if out, err = New(m, nil).Run("f", &b); err != nil {
		t.Fatal(err)
	}
	wantNear(t, "insert", out[0].Data, 1, 8, 3)
	b.Types[0] = 2
	if _, err := New(m, nil).Run("f", &b); err == nil {
		t.Error("a row of type 2")
	}
}
