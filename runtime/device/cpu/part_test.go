package cpu_test

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/cpu"
)

// partStep is a step of one sequence in page 0 and those behind it.
func partStep(tokens, seed, pageSize int) *engine.Step {
	step := &engine.Step{}
	step.Reset()
	for i := range tokens {
		step.IDs = append(step.IDs, int32((seed+i*i*7)%1000))
	}
	step.Rows = append(step.Rows, engine.Row{Token: int32(tokens - 1), Position: int32(tokens)})
	for p := 0; p*pageSize < tokens; p++ {
		step.Pages = append(step.Pages, int32(p))
	}
	step.EndSequence(0, tokens, pageSize)
	return step
}

// traced notes what is shown, by name, in the bits that it has.
type traced map[string][]uint32

func (v traced) visit(name string, rows [][]float32) {
	for _, row := range rows {
		for _, x := range row {
			v[name] = append(v[name], math.Float32bits(x))
		}
	}
}

// TestPartsAreTheWhole stops two steps wherever no cache is in use, in turn, and wants every value as when each runs as a whole.
func TestPartsAreTheWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: "../../../testdata/demo", Out: path, Quant: "f32", Archs: []string{"x86-64-v3"}})
	check(t, err)
	plan, err := engine.Open(path)
	check(t, err)
	defer plan.Close()
	program, err := plan.Program(engine.StepFunc, "x86-64-v3")
	check(t, err)
	loaded, err := cpu.Device{}.Load(plan, engine.Settings{MaxStepTokens: 64, MaxSequences: 1, MaxRows: 8, MaxContext: 64, Threads: 2})
	check(t, err)
	defer loaded.Close()
	model := loaded.(engine.PartTracer)
	limits, _ := model.Limits()
	steps := []*engine.Step{partStep(40, 3, limits.PageSize), partStep(17, 11, limits.PageSize)}
	var want []traced
	for _, step := range steps {
		all := traced{}
		check(t, model.Trace(step, make([]engine.Sampled, 1), all.visit))
		want = append(want, all)
	}
	got, kept, first := []traced{{}, {}}, make([][]byte, 2), 0
	for _, last := range partStops(program) {
		for i, step := range steps {
			after, err := model.TracePart(step, first, last, kept[i], nil, got[i].visit, nil)
			check(t, err)
			kept[i] = after
		}
		first = last
	}
	for i := range steps {
		if len(got[i]) != len(want[i]) || len(got[i]) < 10 {
			t.Fatalf("step %d: %d values, want %d", i, len(got[i]), len(want[i]))
		}
		for name, bits := range want[i] {
			if !slices.Equal(got[i][name], bits) {
				t.Errorf("step %d: %s is another one in parts", i, name)
			}
		}
	}
	for _, c := range []struct{ first, last int }{{-1, 2}, {3, 2}, {0, len(program.Launches) + 1}, {5, 6}} {
		if _, err := model.TracePart(steps[0], c.first, c.last, nil, nil, got[0].visit, nil); err == nil {
			t.Errorf("launches %d to %d are run", c.first, c.last)
		}
	}
}

// partStops lists launches before which no layer of a cache is in use, and the end.
func partStops(program *engine.Program) []int {
	last := map[int64]int{} // launch that names a layer
	for i := range program.Launches {
		l := &program.Launches[i]
		if slices.ContainsFunc(l.Operands, func(o engine.Operand) bool { return o.Kind == engine.OperandCache }) {
			last[l.Int("layer", 0)] = i
		}
	}
	var stops []int
	used := map[int64]bool{}
	for i := range program.Launches {
		open := false
		for layer := range used {
			open = open || last[layer] >= i
		}
		if i > 0 && !open {
			stops = append(stops, i)
		}
		l := &program.Launches[i]
		if slices.ContainsFunc(l.Operands, func(o engine.Operand) bool { return o.Kind == engine.OperandCache }) {
			used[l.Int("layer", 0)] = true
		}
	}
	return append(stops, len(program.Launches))
}
