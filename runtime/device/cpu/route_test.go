package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/runtime/device/cpu/kernel"
)

// tokens is how many rows the launches of these tests have.
const tokens = 21

// plainView is memory for rows of numbers or indices.
func plainView(rows, cols int) view {
	words := make([]uint64, (rows*cols+1)/2+8)
	return view{data: unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words)), rows: rows, cols: cols, stride: 4 * cols}
}

func (v view) fill(values []float32) view {
	copy(v.f32(), values)
	return v
}

// runAll lets workers share a launch for rows tokens.
func runAll(r runner, rows, workers int) {
	s := &state{workers: workers, env: sym.Bind(int64(rows), 1, 1, 1)}
	for range workers {
		s.scratch = append(s.scratch, kernel.NewScratch(1))
	}
	for w := range workers {
		r.run(s, w)
	}
}

// sets are the kernels of every target that this machine runs.
func sets(t *testing.T) map[string]*kernel.Set {
	t.Helper()
	found := map[string]*kernel.Set{}
	for _, target := range engine.Targets {
		if target.Device != "cpu" || len(target.Missing()) > 0 {
			continue
		}
		set, err := kernel.Find(target.Name)
		if err != nil {
			t.Fatal(err)
		}
		found[target.Name] = set
	}
	return found
}

func randomNumbers(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 3 * float32(r.NormFloat64())
	}
	return x
}

// numbers gives the interpreter its weights.
type numbers map[string][]float32

func (n numbers) Tensor(name string) ([]float32, error) { return n[name], nil }

// Rows choose the experts that the interpreter chooses, in its order and with its weights: by logits that are all different, and by few different ones,
// so that many are equal.
func TestRoute(t *testing.T) {
	for _, c := range []struct {
		experts, top int
		bias         bool
		attrs        string
	}{
		{1, 1, false, ""},
		{8, 2, false, "normalize=1"},
		{60, 4, false, ""},
		{128, 8, false, "normalize=1"},
		{256, 8, true, `score="sigmoid", normalize=1, groups=8, top_groups=4, group_score="top2", scale=2.5`},
		{160, 6, false, "groups=8, top_groups=3, scale=16.0"},
		{40, 20, true, `score="sigmoid", groups=4, top_groups=2`},
		{48, 3, true, `groups=16, top_groups=5, group_score="top2"`},
		{1000, 32, false, `score="sigmoid"`},
	} {
		random := rand.New(rand.NewPCG(5, uint64(c.experts)))
		m, op := routeOp(t, c.experts, c.top, c.bias, c.attrs)
		logits, bias := randomNumbers(random, tokens*c.experts), randomNumbers(random, c.experts)
		for i, v := range logits {
			if i/c.experts%3 == 1 && !c.bias {
				logits[i] = float32(math.Round(float64(v)))
			}
		}
		batch := &interp.Batch{Inputs: map[string]interp.Tensor{"logits": {Rows: tokens, Cols: c.experts, Data: logits}}}
		batch.Add(0, 0, tokens, make([]int32, tokens)...)
		want, err := interp.New(m, numbers{"bias": bias}).Run("f", batch)
		if err != nil {
			t.Fatal(err)
		}
		for name, set := range sets(t) {
			r := &route{set: set, logits: plainView(tokens, c.experts).fill(logits), experts: plainView(tokens, c.top), weights: plainView(tokens, c.top), rows: rowsOf{sym.Of(sym.T)}}
			if c.bias {
				r.bias = bias
			}
			if err := r.prepare(launchOf(op), 3); err != nil {
				t.Fatal(err)
			}
			runAll(r, tokens, 3)
			if !slices.Equal(r.experts.i32(), want[0].Index) {
				t.Errorf("%s, %d of %d, %s: experts %v, want %v", name, c.top, c.experts, c.attrs, r.experts.i32(), want[0].Index)
			}
			for i, v := range want[1].Data {
				if got := r.weights.f32()[i]; !(math.Abs(float64(got-v)) <= 1e-5*math.Abs(float64(v))+1e-30) {
					t.Errorf("%s, %d of %d, %s: weight %d is %v, want %v", name, c.top, c.experts, c.attrs, i, got, v)
					break
				}
			}
		}
	}
}

// routeOp is the op alone.
func routeOp(t *testing.T, experts, top int, bias bool, attrs string) (*ir.Module, *ir.Op) {
	t.Helper()
	operand, weight := "", ""
	if bias {
		operand, weight = ", %bias", fmt.Sprintf("weight %%bias : f32[%d]\n", experts)
	}
	if attrs != "" {
		attrs = ", " + attrs
	}
	m, err := ir.Parse(fmt.Sprintf("%sfunc @f(%%logits: f32[T,%d]) -> (i32[T,%d], f32[T,%d]) {\n  %%e, %%w = moe.route %%logits%s {top_k=%d%s} : i32[T,%d], f32[T,%d]\n  return %%e, %%w\n}",
		weight, experts, top, top, operand, top, attrs, top, top))
	if err != nil {
		t.Fatal(err)
	}
	return m, m.Func("f").Ops[0]
}

func launchOf(op *ir.Op) *engine.Launch {
	return &engine.Launch{Attrs: []engine.Attr{
		{Name: "score", Text: op.Text("score")}, {Name: "normalize", Int: op.Int("normalize")}, {Name: "groups", Int: op.Int("groups")},
		{Name: "top_groups", Int: op.Int("top_groups")}, {Name: "group_score", Text: op.Text("group_score")}, {Name: "scale", Float: op.Float("scale")},
	}}
}

// What is no number loses against any number, and every row still has experts that there are.
func TestRouteOfNoNumbers(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct{ values, want []float32 }{
		{[]float32{nan, 1, nan, 2}, []float32{3, 1}},
		{[]float32{nan, nan, nan, nan}, []float32{0, 1}},
		{[]float32{nan, float32(math.Inf(-1)), 0, nan}, []float32{2, 1}},
	} {
		got := make([]int32, 2)
		best(got, c.values, nil, 0)
		if float32(got[0]) != c.want[0] || float32(got[1]) != c.want[1] {
			t.Errorf("the best of %v are %v, want %v", c.values, got, c.want)
		}
	}
}

// Rows are sorted by expert and then by row, and what comes back of them is added up in the order of a row's experts, as the interpreter does both.
func TestDispatchAndCombine(t *testing.T) {
	for _, c := range []struct{ rows, top, count, used, cols int }{
		{1, 1, 1, 1, 5}, {1, 2, 8, 8, 700}, {5, 8, 256, 256, 3}, {300, 2, 8, 3, 17}, {77, 6, 64, 64, 1030}, {129, 1, 5, 1, 1},
	} {
		random := rand.New(rand.NewPCG(6, uint64(c.rows)))
		places := c.rows * c.top
		d := &dispatch{plainView(c.rows, c.top), plainView(places, 1), plainView(c.rows, c.top), plainView(c.count+1, 1), rowsOf{sym.Of(sym.T)}}
		for row := range c.rows {
			for j, e := range random.Perm(c.used)[:min(c.top, c.used)] {
				d.experts.i32()[row*c.top+j] = int32(e)
			}
		}
		z := &combine{
			y: plainView(places, c.cols).fill(randomNumbers(random, places*c.cols)), places: d.places,
			weights: plainView(c.rows, c.top).fill(randomNumbers(random, places)), z: plainView(c.rows, c.cols), rows: rowsOf{sym.Of(sym.T)},
		}
		text := fmt.Sprintf("func @f(%%e: i32[T,%d], %%w: f32[T,%d], %%y: f32[%d*T,%d]) -> (i32[%d*T], i32[T,%d], i32[%d], f32[T,%d]) {\n"+
			"  %%rows, %%places, %%offsets = moe.dispatch %%e {count=%d} : i32[%d*T], i32[T,%d], i32[%d]\n  %%z = moe.combine %%y, %%places, %%w : f32[T,%d]\n  return %%rows, %%places, %%offsets, %%z\n}",
			c.top, c.top, c.top, c.cols, c.top, c.top, c.count+1, c.cols, c.count, c.top, c.top, c.count+1, c.cols)
		if c.top == 1 {
			text = strings.ReplaceAll(text, "1*T", "T")
		}
		m, err := ir.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		batch := &interp.Batch{Inputs: map[string]interp.Tensor{
			"e": {Rows: c.rows, Cols: c.top, Index: d.experts.i32()}, "w": {Rows: c.rows, Cols: c.top, Data: z.weights.f32()[:places]},
			"y": {Rows: places, Cols: c.cols, Data: z.y.f32()[:places*c.cols]},
		}}
		batch.Add(0, 0, c.rows, make([]int32, c.rows)...)
		want, err := interp.New(m, nil).Run("f", batch)
		if err != nil {
			t.Fatal(err)
		}
		runAll(d, c.rows, 3)
		for i, got := range [][]int32{d.rows.i32(), d.places.i32(), d.offsets.i32()} {
			if !slices.Equal(got, want[i].Index) {
				t.Fatalf("%+v: result %d of dispatch is %v, want %v", c, i, got, want[i].Index)
			}
		}
		for name, set := range sets(t) {
			z.set, z.part = set, nil
			for range 3 {
				z.part = append(z.part, make([]float32, combinedAtOnce))
			}
			runAll(z, c.rows, 3)
			for i, v := range want[3].Data {
				if got := z.z.f32()[i]; !(math.Abs(float64(got-v)) <= 1e-4*math.Abs(float64(v))+1e-4) {
					t.Fatalf("%s, %+v: element %d is %v, want %v", name, c, i, got, v)
				}
			}
		}
	}
}
