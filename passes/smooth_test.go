package passes

import (
	"math/rand/v2"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
)

// A model whose columns are scaled computes the same, in every shape that families have, with and without what the other passes make of it.
func TestSmoothedModelsComputeTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for _, s := range shapes {
		m := s.model(t)
		m.Caches[0].DType = dtype.F32 // values are scaled before a cache rounds them
		for _, w := range m.Weights {
			if w.Type.DType.IsFloat() {
				w.Type.DType = dtype.F32
			}
		}
		e := newEvaluation(t, m)
		before := e.run(t, m)
		asked := map[*Smoothing][]float32{}
		opts := Options{Target: Plain{}, Policy: Policy{Linear: "f32"}, Check: true, Smooth: func(s *Smoothing) ([]float32, error) {
			factors := make([]float32, s.Factors)
			for i := range factors {
				factors[i] = float32(8+random.IntN(8)) / float32(int(1)<<random.IntN(7))
			}
			asked[s] = factors
			return factors, nil
		}}
		smoothed := m.Clone()
		report, err := RunOne("smooth", smoothed, opts)
		if err != nil {
			t.Fatal(err)
		}
		if report.count(ruleSmoothHead) != layers || report.count(ruleSmoothNorm)+report.count(ruleSmoothGate) < layers || len(asked) < 2*layers {
			t.Errorf("%s: %v", s.name, report)
		}
		if again, err := ir.Parse(ir.Print(smoothed)); err != nil || ir.Print(again) != ir.Print(smoothed) {
			t.Errorf("%s: the text form does not round-trip: %v", s.name, err)
		}
		all := m.Clone()
		if _, err := Run(all, opts); err != nil {
			t.Fatal(err)
		}
		for name, module := range map[string]*ir.Module{"smooth": smoothed, "all passes": all} {
			if d := distance(t, e.run(t, module), before); d > 1e-4 {
				t.Errorf("%s, %s: results moved by %.2g", s.name, name, d)
			}
		}
	}
}
