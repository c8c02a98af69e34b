//go:build cuda

package cuda_test

import (
	"errors"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/gpu"
)

// planned is what a plan takes on a driver's card, from the plan alone.
func planned(t *testing.T, d *emulated.Driver, plan *engine.Plan, settings engine.Settings) *gpu.MemoryPlan {
	t.Helper()
	programs, err := gpu.Choose(plan, d.Card, settings)
	if err != nil {
		t.Fatal(err)
	}
	m, err := gpu.PlanMemory(plan, programs, d.Card, settings)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// full is a GPU with exactly the memory that is planned for, on which no step takes more.
type full struct {
	cuda.Device
	t      *testing.T
	driver *emulated.Driver
}

// Load implements engine.Device.
func (f full) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	f.driver.Card.Memory = 4 << 30
	plans := planned(f.t, f.driver, plan, settings)
	f.driver.Card.Memory, settings.KVBytes = plans.Total(), plans.KV
	model, err := f.Device.Load(plan, settings)
	if err != nil {
		return nil, err
	}
	if c := f.driver.Counts(); c.Taken != f.driver.Card.Memory {
		f.t.Errorf("%d bytes of device memory are taken, %d were planned", c.Taken, f.driver.Card.Memory)
	}
	return &frugal{model.(*gpu.Model), f, f.driver.Counts()}, nil
}

// frugal looks after each step at what was taken of the driver.
type frugal struct {
	*gpu.Model
	device full
	loaded emulated.Counts
}

// Step implements engine.Model.
func (f *frugal) Step(step *engine.Step, out []engine.Sampled) error {
	defer f.look()
	return f.Model.Step(step, out)
}

// Wait implements engine.Starter.
func (f *frugal) Wait() error {
	defer f.look()
	return f.Model.Wait()
}

func (f *frugal) look() {
	if c, l := f.device.driver.Counts(), f.loaded; c.Allocations != l.Allocations || c.PinnedAllocations != l.PinnedAllocations || c.Captures != l.Captures || c.Taken != l.Taken {
		f.device.t.Errorf("a step took memory: %+v, at load %+v", c, l)
	}
}

// TestMemoryIsPlanned holds what models take against what is planned, for plans and settings of all kinds.
func TestMemoryIsPlanned(t *testing.T) {
	for _, c := range []struct {
		model, target, format string
		rank                  int // of adapters; 0: there are none beside models of several functions
	}{{"checkpoints/mistral-v5", "sm90", "int4", 8}, {"checkpoints/qwen3-v5", "sm89", "fp8", 8}, {"demo", "sm80", "int8", 8}, {"checkpoints/llava-clip", "sm90", "int8", 0}} {
		d, plan := install(t, c.target, 13000), plantest.Build(t, c.model, compiler.Options{Quant: c.format, Archs: []string{c.target}, LoraRank: c.rank})
		for _, s := range []engine.Settings{
			{MaxSequences: 1, MaxStepTokens: 1, MaxContext: 16},
			{MaxSequences: 3, MaxStepTokens: 70, MaxContext: 100, MaxAdapters: 2},
			{MaxSequences: 3, MaxStepTokens: 70, MaxContext: 100, PageSize: 32},
			{MaxSequences: 2, MaxRows: 2, MaxStepTokens: 16, MaxContext: 64, KVBytes: 1 << 20},
			{MaxSequences: 5, MaxContext: 1 << 17, MemoryUtilization: 0.5},
		} {
			if c.rank == 0 {
				s.MaxAdapters = 0
			}
			d.Card.Memory = 100 << 20
			want := planned(t, d, plan, s)
			model, err := cuda.Device{}.Load(plan, s)
			if err != nil {
				t.Fatal(err)
			}
			got, taken := model.(engine.MemoryReporter).Memory(), d.Counts().Taken
			_, pages := model.Limits()
			if got != want.MemoryUse || taken != want.Total() || int64(pages)*want.PageBytes != want.KV {
				t.Errorf("%s, %+v: planned %+v, reported %+v, %d pages of %d, taken %d", c.format, s, want.MemoryUse, got, pages, want.PageBytes, taken)
			}
			usable := int64(0.9 * (100 << 20))
			if s.MemoryUtilization > 0 {
				usable = int64(s.MemoryUtilization * (100 << 20))
			}
			need := want.PageBytes * int64((want.Limits.MaxContext+want.Limits.PageSize-1)/want.Limits.PageSize) * int64(want.Limits.MaxSequences)
			switch left := usable - want.Total(); {
			case s.KVBytes > 0:
				if want.KV != s.KVBytes/want.PageBytes*want.PageBytes {
					t.Errorf("%s, %+v: %d bytes of KV", c.format, s, want.KV)
				}
			case left < 0 || want.KV > need || want.KV < need && left >= want.PageBytes:
				t.Errorf("%s, %+v: %d bytes of KV, %d are needed, %d are left", c.format, s, want.KV, need, left)
			}
			if err := model.Close(); err != nil {
				t.Error(err)
			}
		}
		returned(t, d)
	}
}

// TestWhatDoesNotFit refuses settings by one byte, in one line, before anything is taken.
func TestWhatDoesNotFit(t *testing.T) {
	d, plan := install(t, "sm80", 12040), build(t, "demo", "sm80", "int8")
	given := engine.Settings{MaxSequences: 2, MaxStepTokens: 16, MaxContext: 64, KVBytes: 1 << 20}
	open := given
	open.KVBytes, open.MemoryUtilization = 0, 0.5
	for _, s := range []engine.Settings{given, open} {
		d.Card.Memory = 4 << 30
		least := planned(t, d, plan, s)
		d.Card.Memory = least.Total() - 1
		if s.KVBytes == 0 {
			d.Card.Memory = 2 * (least.Total() - least.KV + least.PageBytes - 1)
		}
		model, err := cuda.Device{}.Load(plan, s)
		if err == nil {
			model.Close()
			t.Fatalf("%+v: loaded", s)
		}
		if text := err.Error(); !errors.Is(err, engine.ErrDeviceMemory) || strings.Contains(text, "\n") || !strings.Contains(text, "GiB for weights, ") || !strings.Contains(text, "--kv-memory") {
			t.Errorf("%+v: %v", s, err)
		}
		if n := d.Counts().Allocations; n != 0 {
			t.Errorf("%+v: %d allocations", s, n)
		}
	}
	for _, part := range []float64{-0.1, 1.01} {
		s := given
		s.MemoryUtilization = part
		if _, err := (cuda.Device{}).Load(plan, s); err == nil || !strings.Contains(err.Error(), "gpu-memory-utilization is") {
			t.Errorf("a utilization of %v: %v", part, err)
		}
	}
	returned(t, d)
}
