package interp

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
)

func TestEveryOpHasAMeaning(t *testing.T) {
	for _, info := range ir.Ops {
		if executors[info.Name] == nil {
			t.Errorf("op %s has no executor", info.Name)
		}
	}
	if len(executors) != len(ir.Ops) {
		t.Errorf("%d executors for %d ops", len(executors), len(ir.Ops))
	}
}

// one builds a layer of attention with the given rope and window on a cache of type dt.
func one(t testing.TB, rope ir.Rope, window int, dt dtype.Type) *ir.Module {
	t.Helper()
	const heads, kvHeads, dim, hidden = 4, 2, 8, 16
	b := ir.NewBuilder("one")
	rope.InvFreq = b.Constant("inv_freq", []float32{1, 0.5, 0.25, 0.125}, 1, dim/2)
	if rope.Mode == "longrope" {
		rope.InvFreq = b.Constant("inv_freqs", []float32{1, 0.5, 0.25, 0.125, 0.9, 0.4, 0.2, 0.1}, 2, dim/2)
	}
	s := b.Step(b.PagedCache("kv", 1, kvHeads, dim, dt))
	x := b.Gather(b.Weight("embed", dtype.F32, 32, hidden), s.IDs)
	q := b.Rope(b.Linear(x, b.Weight("q", dtype.F32, heads*dim, hidden), nil), s, rope, heads, dim)
	k := b.Linear(x, b.Weight("k", dtype.F32, kvHeads*dim, hidden), nil)
	if rope.Static() {
		k = b.Rope(k, s, rope, kvHeads, dim)
	}
	kv := b.KVWrite(s.Token, k, b.Linear(x, b.Weight("v", dtype.F32, kvHeads*dim, hidden), nil), 0)
	y := b.Attention(q, kv, s, ir.Attention{Heads: heads, KVHeads: kvHeads, Dim: dim, Scale: 0.5, Window: window, Rope: rope})
	b.Return(b.SelectRows(y, s.Rows), kv)
	m, err := b.Module()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func machineOf(t testing.TB, m *ir.Module) *Machine {
	t.Helper()
	w, err := NewRandomWeights(m, 7)
	if err != nil {
		t.Fatal(err)
	}
	return New(m, w)
}

var ropes = []ir.Rope{
	{},
	{Style: "interleaved", RotaryDim: 8},
	{Mode: "longrope", OriginalMax: 20, Factor: 1.1},
	{Mode: "dynamic", MaxPositions: 16, Base: 10000, DynamicFactor: 4},
}

// Prompts fed whole, and the same prompts cut into pieces that share steps with each other, give the same bits.
func TestChunksAndBatchesChangeNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, rope := range ropes {
		m := one(t, rope, 9, dtype.BF16)
		prompts := make([][]int32, 5)
		whole := make([][]float32, len(prompts))
		for seq := range prompts {
			for range 3 + random.IntN(30) {
				prompts[seq] = append(prompts[seq], random.Int32N(32))
			}
			var b Batch
			b.Add(seq, 0, len(prompts[seq]), prompts[seq]...)
			b.SampleAll()
			out, err := machineOf(t, m).Run("step", &b)
			if err != nil {
				t.Fatal(err)
			}
			whole[seq] = out[0].Data
		}
		pieces := make([][]float32, len(prompts))
		done := make([]int, len(prompts))
		machine := machineOf(t, m)
		for unfinished(prompts, done) {
			var b Batch
			var order []int
			for _, seq := range random.Perm(len(prompts)) {
				n := min(random.IntN(5), len(prompts[seq])-done[seq])
				b.Add(seq, done[seq], len(prompts[seq]), prompts[seq][done[seq]:done[seq]+n]...)
				done[seq] += n
				for range n {
					order = append(order, seq)
				}
			}
			b.SampleAll()
			out, err := machine.Run("step", &b)
			if err != nil {
				t.Fatal(err)
			}
			for r, seq := range order {
				pieces[seq] = append(pieces[seq], out[0].Row(r)...)
			}
		}
		for seq := range prompts {
			if !slices.Equal(pieces[seq], whole[seq]) {
				t.Errorf("rope mode %q, sequence %d: pieces differ from the whole", rope.Mode, seq)
			}
		}
	}
}

func unfinished(prompts [][]int32, done []int) bool {
	for seq, p := range prompts {
		if done[seq] < len(p) {
			return true
		}
	}
	return false
}

// Attention by its definition for one head and two positions, worked out by hand.
func TestAttentionByHand(t *testing.T) {
	m, err := ir.Parse(`
cache @kv {kind="paged", layers=1, kv_heads=1, dim=2, dtype="f32"}
func @f(%q: f32[T,2], %k: f32[T,2], %v: f32[T,2], %kv0: kv[kv]) -> (f32[T,2], kv[kv]) {
  %kv1 = kv.write %kv0, %k, %v {layer=0} : kv[kv]
  %y = attn.paged %q, %kv1 {layer=0, heads=1, kv_heads=1, dim=2, scale=0.5, softcap=3} : f32[T,2]
  return %y, %kv1
}`)
	if err != nil {
		t.Fatal(err)
	}
	matrix := func(values ...float32) Tensor { return Tensor{Rows: 2, Cols: 2, Data: values} }
	var b Batch
	b.Add(0, 0, 2, 0, 0)
	b.Inputs = map[string]Tensor{"q": matrix(1, 2, 3, 4), "k": matrix(1, 0, 0.5, 1), "v": matrix(1, 2, 3, 5)}
	out, err := New(m, tensors{}).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	s0, s1 := 3*math.Tanh(0.5*3/3), 3*math.Tanh(0.5*5.5/3)
	p1 := math.Exp(s1) / (math.Exp(s0) + math.Exp(s1))
	want := []float32{1, 2, float32(1 + 2*p1), float32(2 + 3*p1)}
	compare(t, "attention", out[0].Data, want, 1e-7)
}

// A window of w positions sees exactly the last w: what lies before changes nothing, the first inside does.
func TestWindow(t *testing.T) {
	ids := []int32{1, 2, 3, 4, 5, 6, 7, 8}
	last := func(ids []int32) []float32 {
		var b Batch
		b.Add(0, 0, len(ids), ids...)
		b.Sample()
		out, err := machineOf(t, one(t, ir.Rope{}, 3, dtype.F32)).Run("step", &b)
		if err != nil {
			t.Fatal(err)
		}
		return out[0].Data
	}
	base := last(ids)
	outside, inside := slices.Clone(ids), slices.Clone(ids)
	outside[4], inside[5] = 20, 20
	if !slices.Equal(last(outside), base) {
		t.Error("a position outside the window matters")
	}
	if slices.Equal(last(inside), base) {
		t.Error("the first position inside the window does not matter")
	}
}

// Chunks of three positions: the seventh token sees its own alone, the eighth the seventh too, but none before.
func TestChunk(t *testing.T) {
	m, err := ir.Parse(`
cache @kv {kind="paged", layers=1, kv_heads=1, dim=1, dtype="f32"}
func @f(%q: f32[T,1], %k: f32[T,1], %v: f32[T,1], %kv0: kv[kv]) -> (f32[T,1], kv[kv]) {
  %kv1 = kv.write %kv0, %k, %v {layer=0} : kv[kv]
  %y = attn.paged %q, %kv1 {layer=0, heads=1, kv_heads=1, dim=1, scale=1, chunk=3} : f32[T,1]
  return %y, %kv1
}`)
	if err != nil {
		t.Fatal(err)
	}
	column := func(values ...float32) Tensor { return Tensor{Rows: len(values), Cols: 1, Data: values} }
	var b Batch
	b.Add(0, 0, 8, make([]int32, 8)...)
	zeros := column(make([]float32, 8)...) // equal scores: means of the values that are seen
	b.Inputs = map[string]Tensor{"q": zeros, "k": zeros, "v": column(1, 2, 6, 8, 10, 12, 20, 30)}
	out, err := New(m, tensors{}).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	wantNear(t, "chunks", out[0].Data, 1, 1.5, 3, 8, 9, 10, 20, 25)
}

// Turning q and k by their positions leaves q.k a function of the distance alone, for each style and size.
func TestRopeDependsOnDistance(t *testing.T) {
	for _, attrs := range []string{"", ", style=\"interleaved\"", ", rotary_dim=4, factor=0.5", ", rotary_dim=4, style=\"interleaved\""} {
		freq := "%w : f32[1,4] = const(1, 0.3, 0.1, 0.05)"
		if strings.Contains(attrs, "rotary_dim=4") {
			freq = "%w : f32[1,2] = const(1, 0.3)"
		}
		m, err := ir.Parse("weight " + freq + `
func @f(%x: f32[T,8], %positions: i32[T], %ropelen: i32[T]) -> (f32[T,8]) {
  %y = rope %x, %positions, %ropelen, %w {heads=1, dim=8` + attrs + `} : f32[T,8]
  return %y
}`)
		if err != nil {
			t.Fatal(err)
		}
		dot := func(p, q int32) float64 {
			b := Batch{IDs: []int32{0, 0}, Positions: []int32{p, q}, RopeLen: []int32{50, 50}, Seq: []int{0, 0}}
			x := Tensor{Rows: 2, Cols: 8, Data: []float32{1, 2, -1, 0.5, 3, 1, -2, 1, 0.3, 1, 1, -1, 2, 2, 1, 0.7}}
			b.Inputs = map[string]Tensor{"x": x}
			out, err := New(m, tensors{}).Run("f", &b)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for i, v := range out[0].Row(0) {
				sum += float64(v) * float64(out[0].Row(1)[i])
			}
			return sum
		}
		if a, b := dot(3, 8), dot(23, 28); math.Abs(a-b) > 1e-5 {
			t.Errorf("%s: %g at distance 5, %g at the same distance elsewhere", attrs, a, b)
		}
		if a, b := dot(3, 8), dot(3, 9); math.Abs(a-b) < 1e-3 {
			t.Errorf("%s: distances 5 and 6 give the same", attrs)
		}
	}
}

// The frequencies of mode dynamic, against numbers computed with transformers' formula in Python.
func TestDynamicFrequencies(t *testing.T) {
	m := one(t, ropes[3], 0, dtype.F32)
	c := &call{run: &run{Machine: machineOf(t, m)}}
	for _, op := range m.Funcs[0].Ops {
		if op.Kind.Name == "rope" {
			c.op = op
			break
		}
	}
	r, err := c.rotation(8)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.frequencies(16); !slices.Equal(got, []float32{1, 0.5, 0.25, 0.125}) {
		t.Errorf("up to max_positions: %v", got)
	}
	// base 10000 * (4*32/16 - 3)^(8/6) = 85498.79733383484
	compare(t, "beyond", r.frequencies(32), []float32{1, 0.058480355, 0.0034199519, 0.0002}, 1e-7)
}

// A linear over codes computes with what the codes stand for, which quantizing by hand gives for numbers on the grid.
func TestQuantizedLinear(t *testing.T) {
	m, err := ir.Parse(`
weight %w : u8[2,4]:int8
weight %v : u4[1,64]:int4.g32
func @f(%x: f32[T,4], %z: f32[T,64]) -> (f32[T,2], f32[T,1]) {
  %q = quantize %x {format="q16t"} : i8[T,4]:q16t
  %a = linear %q, %w : f32[T,2]
  %g = quantize %z {format="q16g", group=32} : i8[T,64]:q16g.g32
  %b = linear %g, %v : f32[T,1]
  return %a, %b
}`)
	if err != nil {
		t.Fatal(err)
	}
	// Rows whose largest magnitude is 127 (int8) or a multiple of it are codes already; 0.4 rounds to 0, 5.6 to 6.
	weights := tensors{"w": {127, -3, 5.6, 0.4, 254, -6, 4, 2}, "v": make([]float32, 64)}
	weights["v"][0], weights["v"][32] = -8, 16
	var b Batch
	b.Add(0, 0, 1, 1)
	z := Tensor{Rows: 1, Cols: 64, Data: make([]float32, 64)}
	z.Data[0], z.Data[1], z.Data[32] = 127, 0.3, 12.7
	b.Inputs = map[string]Tensor{"x": {Rows: 1, Cols: 4, Data: []float32{1, 2.4, 127, -1}}, "z": z}
	out, err := New(m, weights).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	// x stands for 1, 2.4, 127, -1 (0.4 in steps of 1/256); w for (127, -3, 6, 0) and (254, -6, 4, 2).
	compare(t, "q16t x int8", out[0].Data, []float32{127 - 3*2.4 + 762, 254 - 6*2.4 + 508 - 2}, 1e-4)
	compare(t, "q16g x int4", append(out[1].Data, 0), []float32{-8*127 + 16*12.7, 0}, 1e-3)
}

// Codes of 8-bit floating point: rows whose largest magnitude is 448 have scale one, and are rounded to 4 bits.
func TestFloat8Linear(t *testing.T) {
	m, err := ir.Parse(`
weight %w : f8e4m3[2,4]:fp8
func @f(%x: f32[T,4]) -> (f32[T,2]) {
  %q = quantize %x {format="e4m3t"} : f8e4m3[T,4]:e4m3t
  %a = linear %q, %w : f32[T,2]
  return %a
}`)
	if err != nil {
		t.Fatal(err)
	}
	weights := tensors{"w": {448, -3, 17, 0.5, 896, -6.4, 4, 2}}
	var b Batch
	b.Add(0, 0, 1, 1)
	b.Inputs = map[string]Tensor{"x": {Rows: 1, Cols: 4, Data: []float32{1, 2.4, 224, -29}}}
	out, err := New(m, weights).Run("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	// The scale of x is a half, in whose steps 2.4 is 4.8, which becomes 5, and 29 is 58, which becomes the even one of 56 and 60. In w
	// 17 becomes 16; 6.4 with the scale two is 3.2, which becomes 3.25.
	compare(t, "e4m3t x fp8", out[0].Data, []float32{448 - 3*2.5 + 16*224 - 0.5*28, 896 - 6.5*2.5 + 4*224 - 2*28}, 1e-6)
}

func TestRunReportsMistakes(t *testing.T) {
	m := one(t, ir.Rope{}, 0, dtype.F32)
	for _, c := range []struct {
		want  string
		batch Batch
	}{
		{"of a table of 32", Batch{IDs: []int32{99}, Positions: []int32{0}, RopeLen: []int32{1}, Seq: []int{0}}},
		{"at position 4 of a sequence of 0", Batch{IDs: []int32{1}, Positions: []int32{4}, RopeLen: []int32{5}, Seq: []int{0}}},
		{"row 3 of 1 is asked for", Batch{IDs: []int32{1}, Positions: []int32{0}, RopeLen: []int32{1}, Seq: []int{0}, Rows: []int32{3}}},
		{"batch of 1 ids, 0 positions", Batch{IDs: []int32{1}}},
	} {
		if _, err := machineOf(t, m).Run("step", &c.batch); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

// TestExactAndRevised wants a machine that rounds nothing to give the numbers that it would have rounded, and one whose values are revised to go on
// with what they are revised to.
func TestExactAndRevised(t *testing.T) {
	m, err := ir.Parse(`func @f(%x: f32[T,4]) -> (bf16[T,4], f8e4m3[T,4]:e4m3t, f32[T,4]) {
  %b = cast %x {dtype="bf16"} : bf16[T,4]
  %q = quantize %x {format="e4m3t"} : f8e4m3[T,4]:e4m3t
  %s = silu %x : f32[T,4]
  %y = add %s, %x : f32[T,4]
  return %b, %q, %y
}`)
	if err != nil {
		t.Fatal(err)
	}
	x := Tensor{Rows: 1, Cols: 4, Data: []float32{1.001, 0.3, -7.77, 5}}
	batch := &Batch{IDs: []int32{0}, Positions: []int32{0}, RopeLen: []int32{1}, Seq: []int{0}, Inputs: map[string]Tensor{"x": x}}
	run := func(exact bool, revise func(*ir.Value, Tensor) Tensor) []Tensor {
		machine := New(m, nil)
		machine.Exact, machine.Revise = exact, revise
		out, err := machine.Run("f", batch)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	rounded, exact := run(false, nil), run(true, nil)
	for i, v := range x.Data {
		if exact[0].Data[i] != v || exact[1].Data[i] != v {
			t.Errorf("exact: %v of %v", exact[0].Data[i], v)
		}
	}
	if rounded[0].Data[0] == exact[0].Data[0] || rounded[1].Data[1] == exact[1].Data[1] {
		t.Error("nothing is rounded")
	}
	revised := run(true, func(v *ir.Value, v0 Tensor) Tensor {
		if v.Name == "s" {
			return Tensor{Rows: 1, Cols: 4, Data: make([]float32, 4)}
		}
		return v0
	})
	if revised[2].Data[2] != x.Data[2] {
		t.Errorf("revised: %v", revised[2].Data)
	}
}
