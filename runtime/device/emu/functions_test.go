package emu_test

import (
	"slices"
	"strings"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// TestFunctions runs a function of whole sequences between steps that are in flight.
func TestFunctions(t *testing.T) {
	devicetest.Functions(t, emu.Device{}, build(t, "checkpoints/llava-clip", "sm80", "bf16"))
}

// TestFunctionsShareMemory wants weights that functions share once, pages once, and activations that lie one over the other.
func TestFunctionsShareMemory(t *testing.T) {
	plan := build(t, "checkpoints/llava-clip", "sm80", "bf16")
	programs, err := plan.Programs("sm80")
	if err != nil || len(programs) != 2 {
		t.Fatalf("%d programs, %v", len(programs), err)
	}
	card := gpu.Card{Memory: 4 << 30}
	settings := engine.Settings{MaxStepTokens: 64, MaxSequences: 2, MaxContext: 128}
	both, err := gpu.PlanMemory(plan, programs, card, settings)
	if err != nil {
		t.Fatal(err)
	}
	var ranges []gpu.Range
	for _, w := range plan.Weights() {
		ranges = append(ranges, gpu.Range{Name: w.Name, Bytes: w.Bytes})
	}
	if want := gpu.RangeBytes(ranges); both.Weights != want {
		t.Errorf("%d bytes of weights, the plan has %d", both.Weights, want)
	}
	most := int64(0)
	for _, p := range programs {
		one, err := gpu.PlanMemory(plan, []*engine.Program{p}, card, settings)
		if err != nil {
			t.Fatal(err)
		}
		if one.PageBytes != both.PageBytes {
			t.Errorf("function %s has pages of %d bytes, both together of %d", p.Func, one.PageBytes, both.PageBytes)
		}
		if most = max(most, one.Activations); one.Activations > both.Activations {
			t.Errorf("function %s takes %d bytes of activations, both together %d", p.Func, one.Activations, both.Activations)
		}
	}
	if both.Activations > 3*most/2 {
		t.Errorf("activations take %d bytes together, the larger function alone %d", both.Activations, most)
	}
}

// TestFunctionsAreProfiled wants a time, and what is moved, of every launch of a function.
func TestFunctionsAreProfiled(t *testing.T) {
	plan := build(t, "checkpoints/llava-clip", "sm80", "bf16")
	model, err := emu.Device{}.Load(plan, engine.Settings{MaxStepTokens: 64, MaxSequences: 1, MaxContext: 64, PageSize: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	profiler, info := model.(engine.FunctionProfiler), plan.Info()
	times := profiler.LaunchesOf(engine.ImageFunc)
	if err := profiler.ProfileFunction(engine.ImageFunc, devicetest.ImageStep(&info, 0, 16), times); err != nil {
		t.Fatal(err)
	}
	program, err := plan.Program(engine.ImageFunc, "sm80")
	if err != nil || len(times) != len(program.Launches)+1 {
		t.Fatalf("%d times of %d launches, %v", len(times), len(program.Launches), err)
	}
	for i, l := range times[:len(times)-1] {
		if l.Kernel != program.Launches[i].Kernel || !(l.Seconds > 0) || !(l.Traffic > 0) {
			t.Errorf("launch %d, %s: %+v", i, program.Launches[i].Kernel, l)
		}
	}
	if err := profiler.ProfileFunction("sound", devicetest.ImageStep(&info, 0, 16), times); err == nil || profiler.LaunchesOf("sound") != nil {
		t.Error("a function that there is not is profiled")
	}
}

// TestRowsInPlaceOfTokens refuses steps that bring rows as no step may.
func TestRowsInPlaceOfTokens(t *testing.T) {
	plan := build(t, "checkpoints/llava-clip", "sm80", "bf16")
	model, err := emu.Device{}.Load(plan, engine.Settings{MaxStepTokens: 16, MaxSequences: 2, MaxContext: 64, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	width := int(model.(engine.Runner).Results(engine.ImageFunc)[0].Cols)
	for _, c := range []struct {
		types []int32
		soft  int
		want  string
	}{
		{nil, 0, ""}, {[]int32{0, 1}, 2 * width, ""},
		{[]int32{0, 1}, 0, "step of 2 tokens brings 2 types and 0 numbers; function step takes rows of"},
		{nil, 2 * width, "brings 0 types"},
		{[]int32{0}, 2 * width, "brings 1 types"},
		{[]int32{0, 2}, 2 * width, "token 1: type 2 of 2"},
		{[]int32{-1, 0}, 2 * width, "token 0: type -1 of 2"},
	} {
		s := &engine.Step{}
		s.Reset()
		s.IDs, s.Pages = append(s.IDs, 1, 2), append(s.Pages, 0)
		s.EndSequence(0, 2, 16)
		s.Rows = append(s.Rows, s.NextRow())
		s.Types, s.Soft = slices.Clone(c.types), make([]float32, c.soft)
		err := model.Step(s, make([]engine.Sampled, 1))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v and %d numbers: %v, want %q", c.types, c.soft, err, c.want)
		}
	}
}
