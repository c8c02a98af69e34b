package interp

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"

	"pgregory.net/rapid"
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

// The largest error of each format, as a share of the largest magnitude in the group that has one scale.
func TestFormatsBoundTheirError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cols := rapid.IntRange(1, 80).Draw(t, "cols")
		values := rapid.SliceOfN(rapid.Float32Range(-4, 4), cols, cols).Draw(t, "values")
		for _, c := range []struct {
			format string
			group  int
			worst  float64
		}{
			{"int8", cols, 1. / 254}, {"q8t.g64", cols, 1. / 254}, {"q8g.g32", 32, 1. / 254},
			{"int4.g32", 32, 1. / 8}, // a number that mirrors the largest one loses a whole step
			{"int4z.g32", 32, 2. / 15},
		} {
			rounded := slices.Clone(values)
			if err := roundToFormat(rounded, c.format, cols); err != nil {
				t.Fatal(err)
			}
			for at := 0; at < cols; at += c.group {
				group := values[at:min(cols, at+c.group)]
				bound := c.worst*float64(maxAbs(group))*1.001 + 1e-6 // f16 scales below their normal range are coarse
				for i, v := range group {
					if diff := math.Abs(float64(rounded[at+i] - v)); diff > bound {
						t.Fatalf("%s: %g became %g, more than %g away", c.format, v, rounded[at+i], bound)
					}
				}
			}
		}
	})
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
