package passes

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
	"llmc/ir/interp"
)

// evaluation runs a module and those that passes make of it on the same inputs and weights.
type evaluation struct {
	weights *interp.RandomWeights
	vocab   int32
}

func newEvaluation(t testing.TB, m *ir.Module) *evaluation {
	t.Helper()
	w, err := interp.NewRandomWeights(m, 11)
	if err != nil {
		t.Fatal(err)
	}
	e := &evaluation{w, 1000}
	for _, weight := range m.Weights {
		if rows, _ := weight.Type.Rows().IsConst(); weight.Type.Rank() == 2 {
			e.vocab = min(e.vocab, int32(rows))
		}
	}
	return e
}

// run executes every function twice: two sequences begin, then both go on, one with one token and one with several.
func (e *evaluation) run(t testing.TB, m *ir.Module) [][]float32 {
	t.Helper()
	results, err := e.runCards(m)
	if err != nil {
		t.Fatalf("%v\n%s", err, ir.Print(m))
	}
	return results
}

// runOn runs a module on a machine.
func (e *evaluation) runOn(machine *interp.Machine, m *ir.Module) (results [][]float32, err error) {
	random := rand.New(rand.NewPCG(5, 6))
	ids := func(n int) []int32 {
		var out []int32
		for range n {
			out = append(out, random.Int32N(e.vocab))
		}
		return out
	}
	var first, second interp.Batch
	first.Add(0, 0, 5, ids(5)...)
	first.Sample()
	first.Add(1, 0, 9, ids(4)...)
	second.Add(0, 5, 5, ids(1)...)
	second.Sample()
	second.Add(1, 4, 9, ids(5)...)
	second.SampleAll()
	for _, f := range m.Funcs {
		for _, b := range []*interp.Batch{&first, &second} {
			b.Inputs = inputs(f, b)
			out, err := machine.Run(f.Name, b)
			if err != nil {
				return nil, err
			}
			for _, r := range out {
				results = append(results, r.Data)
			}
		}
	}
	return results, nil
}

// inputs makes reproducible numbers for the activations that a function takes.
func inputs(f *ir.Func, b *interp.Batch) map[string]interp.Tensor {
	made := map[string]interp.Tensor{}
	for _, p := range f.Params {
		if p.Type.DType != dtype.F32 {
			continue
		}
		rows, err := p.Type.Rows().Eval(sym.Bind(int64(len(b.IDs)), 0, int64(len(b.Rows)), 0))
		if err != nil {
			panic(err)
		}
		cols, _ := p.Type.Cols()
		h := fnv.New64a()
		h.Write([]byte(p.Name))
		random := rand.New(rand.NewPCG(h.Sum64(), uint64(rows)))
		x := interp.Tensor{Rows: int(rows), Cols: int(cols)}
		for range rows * cols {
			x.Data = append(x.Data, float32(random.NormFloat64()))
		}
		made[p.Name] = x
	}
	return made
}

// distance returns the largest difference of two results as a share of the range of want.
func distance(t testing.TB, got, want [][]float32) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d results instead of %d", len(got), len(want))
	}
	worst := 0.0
	for i, w := range want {
		if len(got[i]) != len(w) {
			t.Fatalf("result %d has %d numbers instead of %d", i, len(got[i]), len(w))
		}
		span, diff := 0.0, 0.0
		for k, v := range w {
			span = max(span, math.Abs(float64(v)))
			d := math.Abs(float64(got[i][k]) - float64(v))
			if math.IsNaN(d) {
				t.Fatalf("result %d: NaN", i)
			}
			diff = max(diff, d)
		}
		if diff > 0 {
			worst = max(worst, diff/span)
		}
	}
	return worst
}

// allowed is how far results may move under a pass. Narrowing is bounded format by format in TestFormatBounds; here it only
// has to stay recognisable.
func allowed(e Effect) float64 {
	return [...]float64{Exact: 0, Rounding: 1e-6, Rerounding: 1e-2, Narrowing: 0.35}[e]
}

// check compares what a module computes before and after a pass.
func (e *evaluation) check(t testing.TB, p *Pass, before, after [][]float32) {
	t.Helper()
	if d := distance(t, after, before); d > allowed(p.Effect) {
		t.Errorf("pass %s moved results by %.2g of their range, %.2g allowed", p.Name, d, allowed(p.Effect))
	}
}
