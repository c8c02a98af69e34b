package passes

import (
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
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

// Inputs of experts' last matrices are turned when the model runs, and each matrix takes them as such.
func TestTurnedExpertsComputeTheSame(t *testing.T) {
	m, err := ir.Parse(`
weight %router : f32[3,16]
weight %gate : f32[3,48,16]
weight %up : f32[3,48,16]
weight %down : f32[3,16,48]
func @step(%x: f32[T,16]) -> (f32[T,16]) {
  %logits = linear %x, %router : f32[T,3]
  %ids, %weights = moe.route %logits {top_k=2} : i32[T,2], f32[T,2]
  %rows, %places, %offsets = moe.dispatch %ids {count=3} : i32[2*T], i32[T,2], i32[4]
  %g = moe.linear %x, %offsets, %gate, %rows : f32[2*T,48]
  %u = moe.linear %x, %offsets, %up, %rows : f32[2*T,48]
  %a = silu %g : f32[2*T,48]
  %h = mul %a, %u : f32[2*T,48]
  %d = moe.linear %h, %offsets, %down : f32[2*T,16]
  %y = moe.combine %d, %places, %weights : f32[T,16]
  return %y
}`)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := interp.NewRandomWeights(m, 5)
	if err != nil {
		t.Fatal(err)
	}
	batch := &interp.Batch{Inputs: map[string]interp.Tensor{"x": {Rows: 9, Cols: 16, Data: make([]float32, 9*16)}}}
	for i := range batch.Inputs["x"].Data {
		batch.Inputs["x"].Data[i] = float32(i*37%23)/11 - 1
	}
	batch.Add(0, 0, 9, make([]int32, 9)...)
	before, err := interp.New(m, weights).Run("step", batch)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Target: Plain{}, Policy: Policy{Linear: "f32"}, Rotation: RotateInputs, Check: true}
	report, err := RunOne("rotate", m, opts)
	if err != nil {
		t.Fatal(err)
	}
	if report.count(ruleRotateGates) != 1 {
		t.Errorf("%v", report)
	}
	after, err := interp.New(m, weights).Run("step", batch)
	if err != nil {
		t.Fatal(err)
	}
	if d := distance(t, [][]float32{after[0].Data}, [][]float32{before[0].Data}); d > 1e-5 {
		t.Errorf("results moved by %.2g", d)
	}
}

// mixture is a model whose experts, with biases, stand beside a shared one behind a gate of rows.
const mixture = `
weight %embed : f32[50,16]
weight %norm : f32[16]
weight %router : f32[3,16]
weight %gate : f32[3,48,16]
weight %up : f32[3,48,16]
weight %down : f32[3,16,48]
weight %bias : f32[48]
weight %opens : f32[1,16]
weight %shared : f32[16,16]
weight %last : f32[16]
weight %head : f32[50,16]
func @step(%ids: i32[T]) -> (f32[T,50]) {
  %x = gather %embed, %ids : f32[T,16]
  %n = rmsnorm %x, %norm {eps=1e-05} : f32[T,16]
  %logits = linear %n, %router : f32[T,3]
  %experts, %weights = moe.route %logits {top_k=2} : i32[T,2], f32[T,2]
  %rows, %places, %offsets = moe.dispatch %experts {count=3} : i32[2*T], i32[T,2], i32[4]
  %g = moe.linear %n, %offsets, %gate, %rows : f32[2*T,48]
  %u = moe.linear %n, %offsets, %up, %rows : f32[2*T,48]
  %a = silu %g : f32[2*T,48]
  %h = mul %a, %u : f32[2*T,48]
  %d = moe.linear %h, %offsets, %down, _, %bias : f32[2*T,16]
  %y = moe.combine %d, %places, %weights : f32[T,16]
  %o = linear %n, %opens : f32[T,1]
  %open = sigmoid %o : f32[T,1]
  %s = linear %n, %shared : f32[T,16]
  %gated = scale_rows %s, %open : f32[T,16]
  %both = add %y, %gated : f32[T,16]
  %z = add %x, %both : f32[T,16]
  %m = rmsnorm %z, %last {eps=1e-05} : f32[T,16]
  %l = linear %m, %head : f32[T,50]
  return %l
}`

// A stream that experts read and add to is turned with their matrices, each by itself, their biases, routers and shared experts behind gates of rows.
func TestTurnedMixturesComputeTheSame(t *testing.T) {
	m, err := ir.Parse(mixture)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := interp.NewRandomWeights(m, 5)
	if err != nil {
		t.Fatal(err)
	}
	batch := &interp.Batch{}
	batch.Add(0, 0, 9, 3, 1, 4, 1, 5, 9, 2, 6, 49)
	before, err := interp.New(m, weights).Run("step", batch)
	if err != nil {
		t.Fatal(err)
	}
	report, err := RunOne("rotate", m, Options{Target: Plain{}, Policy: Policy{Linear: "f32"}, Rotation: RotateInputs, Check: true})
	if err != nil {
		t.Fatal(err)
	}
	if report.count(ruleRotateStream) != 1 || report.count(ruleRotateGates) != 1 {
		t.Errorf("%v", report)
	}
	for _, w := range m.Weights {
		if strings.HasPrefix(w.Name, "ones") == (w.Recipe.Kind == ir.Rotated) {
			t.Errorf("weight %s is %v", w.Name, w.Recipe)
		}
	}
	after, err := interp.New(m, weights).Run("step", batch)
	if err != nil {
		t.Fatal(err)
	}
	if d := distance(t, [][]float32{after[0].Data}, [][]float32{before[0].Data}); d > 1e-5 {
		t.Errorf("results moved by %.2g", d)
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
