package compiler_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/passes"
	"llmc/runtime/device/cpu"
)

// turnedPlan builds the demo model, turned, and returns the plan's path.
func turnedPlan(t *testing.T, o compiler.Options) string {
	t.Helper()
	o.Out = filepath.Join(t.TempDir(), "engine.plan")
	if o.Model == "" {
		o.Model = demo
	}
	_, err := compiler.Build(t.Context(), o)
	check(t, err)
	return o.Out
}

// A weight whose columns are turned is worked on by all threads together.
func TestTurnedPlansDoNotDependOnThreads(t *testing.T) {
	var first []byte
	for _, threads := range []int{1, 2, 3, 8} {
		data, err := os.ReadFile(turnedPlan(t, compiler.Options{Quant: "int8-w8a8", Archs: []string{"x86-64-v3"}, Threads: threads}))
		check(t, err)
		if first == nil {
			first = data
		}
		if !bytes.Equal(data, first) {
			t.Errorf("%d threads give other bytes than one", threads)
		}
	}
}

// Every level of rotation, with any format (in a plain run with f32 and others in turn), is a plan that its checkpoint verifies; a format of f32 holds it to the last digits.
func TestTurnedPlansVerify(t *testing.T) {
	for i, level := range passes.Rotations {
		for j, format := range []string{"f32", "int8-w8a8", "int4-a8", "bf16"} {
			if j > 0 && (i+j)%2 != 0 && !thorough() {
				continue
			}
			path := turnedPlan(t, compiler.Options{Quant: format, Rotation: level, Archs: []string{"native"}})
			plan, err := engine.Open(path)
			check(t, err)
			v := verifiedPlan(t, cpu.Device{}, plan, demo)
			plan.Close()
			if !v.OK {
				t.Errorf("%s, %s: %+v", level, format, *v)
			}
		}
	}
}

// Mixtures are turned as a whole, with the matrices of experts and what lies beside them, and their checkpoint verifies them.
func TestTurnedMixturesVerify(t *testing.T) {
	for _, name := range []string{"qwen2-moe", "mixtral-stacked", "deepseek-v2"} {
		dir := filepath.Join("../testdata/checkpoints", name)
		for _, format := range []string{"f32", "int8-w8a8"} {
			plan, err := engine.Open(turnedPlan(t, compiler.Options{Model: dir, Quant: format, Rotation: passes.RotateInputs, Archs: []string{"native"}}))
			check(t, err)
			v := verifiedPlan(t, cpu.Device{}, plan, dir)
			turned := 0
			for i := range plan.Weights() {
				if w := &plan.Weights()[i]; w.Experts() > 1 && strings.Contains(w.Recipe, `"r32"`) {
					turned++
				}
			}
			plan.Close()
			if !v.OK || turned < 2 {
				t.Errorf("%s, %s: %d stacks read or add to what is turned: %+v", name, format, turned, *v)
			}
		}
	}
}

// A plan of other weights than the checkpoint's is found out, turned or not.
func TestTurnedWeightsAreCompared(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(demo, name))
		check(t, err)
		if name == "model.safetensors" {
			for i := len(data) - 400; i < len(data)-200; i++ {
				data[i] ^= 0x21
			}
		}
		check(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	plan, err := engine.Open(turnedPlan(t, compiler.Options{Quant: "int8-w8a8", Archs: []string{"native"}}))
	check(t, err)
	defer plan.Close()
	v := verifiedPlan(t, cpu.Device{}, plan, dir)
	if v.OK || v.FirstBadWeight == "" {
		t.Errorf("other weights pass: %+v", *v)
	}
}

// What a GPU has no kernel for is left out where the format asks, and refused where the command does.
func TestTurnedForGPUs(t *testing.T) {
	plan, err := engine.Open(turnedPlan(t, compiler.Options{Quant: "int8-w8a8", Archs: []string{"sm80", "x86-64-v3"}}))
	check(t, err)
	defer plan.Close()
	for target, inputs := range map[string]bool{"sm80": false, "x86-64-v3": true} {
		program, err := plan.Program("step", target)
		check(t, err)
		turns := 0
		for _, l := range program.Launches {
			if strings.HasSuffix(l.Kernel, ".hadamard") {
				turns++
			}
		}
		if inputs != (turns > 0) {
			t.Errorf("%s turns inputs %d times", target, turns)
		}
	}
}
