package passes

import (
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
)

// A model that is turned computes the same, in every shape that families have, with and without what the other passes make of it.
func TestTurnedModelsComputeTheSame(t *testing.T) {
	for _, s := range shapes {
		m := s.model(t)
		m.Caches[0].DType = dtype.F32 // values are turned before a cache rounds them
		e := newEvaluation(t, m)
		before := e.run(t, m)
		for _, level := range []Rotation{RotateWeights, RotateInputs} {
			opts := Options{Target: Plain{}, Policy: Policy{Linear: "f32"}, Rotation: level, Check: true}
			turned := m.Clone()
			report, err := RunOne("rotate", turned, opts)
			if err != nil {
				t.Fatal(err)
			}
			gates := 0
			if level == RotateInputs && s.features%16 == 0 {
				gates = layers
			}
			if report.count(ruleRotateStream) != 1 || report.count(ruleRotateHeads) != layers || report.count(ruleRotateGates) != gates {
				t.Errorf("%s, %s: %v", s.name, level, report)
			}
			if again, err := ir.Parse(ir.Print(turned)); err != nil || ir.Print(again) != ir.Print(turned) {
				t.Errorf("%s, %s: the text form does not round-trip: %v", s.name, level, err)
			}
			all := m.Clone()
			full, err := Run(all, opts)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range full.Passes {
				if p.Name == "fuse-qkv" && p.count("fuse-qkv") != layers {
					t.Errorf("%s, %s: %v", s.name, level, p)
				}
			}
			for name, module := range map[string]*ir.Module{"rotate": turned, "all passes": all} {
				if d := distance(t, e.run(t, module), before); d > 1e-5 {
					t.Errorf("%s, %s, %s: results moved by %.2g", s.name, level, name, d)
				}
			}
		}
	}
}

// Every matrix around the stream is turned: one that was forgotten would show in the test above, one that is turned for nothing here.
func TestTurnedModelsAreOtherModels(t *testing.T) {
	m := shapes[0].model(t)
	if _, err := RunOne("rotate", m, Options{Target: Plain{}, Rotation: RotateInputs}); err != nil {
		t.Fatal(err)
	}
	for _, w := range m.Weights {
		turned := w.Recipe.Kind == ir.Rotated
		if matrix := w.Type.Rank() == 2 && !strings.HasPrefix(w.Name, "inv_freq"); matrix != turned {
			t.Errorf("weight %s is %v", w.Name, w.Recipe)
		}
		if strings.Contains(w.Name, "norm") {
			t.Errorf("weight %s is still there", w.Name)
		}
	}
}

func (r *PassReport) count(rule string) int {
	for _, c := range r.Rules {
		if c.Rule == rule {
			return c.Count
		}
	}
	return 0
}
