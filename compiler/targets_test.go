package compiler_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/emu"
)

const demo = "../testdata/demo"

// buildFor builds a plan of the demo checkpoint for several targets.
func buildFor(t *testing.T, threads int, format string, archs ...string) (*engine.Plan, *compiler.Report) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.plan")
	report, err := compiler.Build(t.Context(), compiler.Options{Model: demo, Out: path, Quant: format, Archs: archs, Threads: threads})
	check(t, err)
	plan, err := engine.Open(path)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan, report
}

// read returns what the program of a target reads: the weights' hashes in order, and their bytes together.
func read(t *testing.T, plan *engine.Plan, target string) (hashes []string, bytes int64) {
	t.Helper()
	program, err := plan.Program("step", target)
	check(t, err)
	for _, name := range program.Weights {
		w, _, err := plan.Weight(name)
		check(t, err)
		hashes, bytes = append(hashes, string(w.SHA256)), bytes+w.Bytes
	}
	return hashes, bytes
}

// TestTargetsOfSeveralDevices wants each program of a plan to read the very bytes that a plan of its target alone holds, weights that
// several programs read the same way to be stored once, and figures of the model not to depend on how many targets there are. In a plain run each target has a
// plan of its own in one format.
func TestTargetsOfSeveralDevices(t *testing.T) {
	formats := []string{"bf16", "int4-g64-zp"} // those with the least and the most beside the numbers themselves
	if thorough() {
		formats = append(formats, "int8", "int4-g32")
	}
	for i, format := range formats {
		t.Run(format, func(t *testing.T) {
			archs := []string{"x86-64-v3", "sm80", "x86-64-v4-bf16", "sm90"}
			plan, report := buildFor(t, 3, format, archs...)
			again, _ := buildFor(t, 1, format, archs...)
			if plan.Digest() != again.Digest() {
				t.Error("the bytes depend on the number of threads")
			}
			cpuBytes, gpuBytes := int64(0), int64(0)
			for j, arch := range archs {
				got, bytes := read(t, plan, arch)
				if (i+j)%2 == 0 || thorough() {
					compareAlone(t, report, format, arch, got)
				}
				program, err := plan.Program("step", arch)
				check(t, err)
				memory, err := dump.NewMemory(plan, program, dump.MemorySettings{})
				check(t, err)
				if memory.WeightBytes != bytes {
					t.Errorf("%s: memory for %d bytes of weights, it reads %d", arch, memory.WeightBytes, bytes)
				}
				if strings.HasPrefix(arch, "sm") {
					gpuBytes = bytes
				} else {
					cpuBytes = bytes
				}
			}
			checkStored(t, plan, cpuBytes+gpuBytes)
		})
	}
}

// compareAlone builds a plan of one target alone, and wants the weights that its program reads, and what the report of a plan of several says.
func compareAlone(t *testing.T, report *compiler.Report, format, arch string, got []string) {
	t.Helper()
	alone, single := buildFor(t, 2, format, arch)
	if want, _ := read(t, alone, arch); !slices.Equal(got, want) {
		t.Errorf("%s reads other weights than in a plan of its own", arch)
	}
	if diff := cmp.Diff(single.Accuracy, report.Accuracy, cmpopts.EquateApprox(1e-12, 0)); diff != "" || single.Parameters != report.Parameters || single.BitsPerWeight != report.BitsPerWeight {
		t.Errorf("%s alone: %d parameters of %v bits, together %d of %v; accuracy\n%s", arch, single.Parameters, single.BitsPerWeight,
			report.Parameters, report.BitsPerWeight, diff)
	}
}

// checkStored wants no weight twice, and all of them together to be at most limit, which vectors that devices share keep it below.
func checkStored(t *testing.T, plan *engine.Plan, limit int64) {
	t.Helper()
	seen, total := map[string]string{}, int64(0)
	for _, w := range plan.Weights() {
		key := w.Recipe + " " + w.Layout + " " + w.Format
		if seen[key] != "" {
			t.Errorf("%s and %s are the same", seen[key], w.Name)
		}
		seen[key], total = w.Name, total+w.Bytes
	}
	if total >= limit {
		t.Errorf("%d bytes of weights, all programs read %d", total, limit)
	}
	data, err := plan.Section(engine.KindAccuracy, "")
	check(t, err)
	var accuracy compiler.Accuracy
	check(t, json.Unmarshal(data, &accuracy))
	for _, w := range accuracy.Weights {
		if strings.Contains(w.Name, "/") {
			t.Errorf("the accuracy report has %s beside the weight that it repeats", w.Name)
		}
	}
	if want := []string{"import", "final", "final/sm80", "final/x86-64-v4-bf16", "final/sm90"}; !slices.Equal(plan.Names(engine.KindIR), want) {
		t.Errorf("IR sections %v, want %v", plan.Names(engine.KindIR), want)
	}
}

// TestVerifySeveralDevices compares each device's program with the checkpoint where the plan also holds weights in another order.
func TestVerifySeveralDevices(t *testing.T) {
	plan, _ := buildFor(t, 2, "int4", "sm80", "x86-64-v3")
	for _, device := range []engine.Device{cpu.Device{}, emu.Device{}} {
		model, err := device.Load(plan, compiler.VerifySettings())
		check(t, err)
		defer model.Close()
		v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: demo})
		check(t, err)
		if !v.OK || v.FirstBadWeight != "" || v.Compared < 10 {
			t.Errorf("%s: %+v", device.Name(), *v)
		}
	}
}
