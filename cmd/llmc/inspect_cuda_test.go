//go:build cuda

package main

import (
	"testing"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/cuda/jit"
	"llmc/runtime/device/emu"
)

// TestInspectMemoryIsTaken holds what "inspect --memory" prints against what a driver counts when the plan is loaded with the same settings.
func TestInspectMemoryIsTaken(t *testing.T) {
	t.Setenv(jit.Environment, jit.Off)
	for _, c := range []struct{ model, target, format string }{
		{"checkpoints/llama-yarn", "sm80", "bf16"}, {"checkpoints/mistral-v5", "sm90", "int4"}, {"checkpoints/qwen3-v5", "sm89", "fp8"},
	} {
		plan := plantest.Build(t, c.model, compiler.Options{Quant: c.format, Archs: []string{c.target}, LoraRank: 8})
		program, err := plan.Program("step", c.target)
		if err != nil {
			t.Fatal(err)
		}
		card, err := emu.Impersonate(c.target, 13000)
		if err != nil {
			t.Fatal(err)
		}
		card.Memory = 64 << 20
		for _, s := range []dump.MemorySettings{
			{MaxBatch: 1, MaxContext: 100, StepTokens: 3}, {MaxBatch: 4, MaxContext: 1 << 16, StepTokens: 40, Utilization: 0.7}, {MaxBatch: 3, StepTokens: 1, KVMemory: 3 << 20},
			{MaxBatch: 3, StepTokens: 30, MaxContext: 100, MaxAdapters: 3}, {MaxBatch: 2, MaxContext: 100, MaxAdapters: 1, AdapterRank: 17},
		} {
			s.DeviceMemory = card.Memory
			want, err := newMemory(plan, program, s)
			if err != nil {
				t.Fatal(err)
			}
			d := emulated.New(card)
			if err := d.Install(); err != nil {
				t.Fatal(err)
			}
			model, err := cuda.Device{}.Load(plan, engine.Settings{MaxSequences: s.MaxBatch, MaxContext: s.MaxContext, MaxStepTokens: s.StepTokens, KVBytes: s.KVMemory, MemoryUtilization: s.Utilization,
				MaxAdapters: s.MaxAdapters, AdapterRank: s.AdapterRank})
			if err != nil {
				t.Fatal(err)
			}
			if _, pages := model.Limits(); d.Counts().Taken != want.TotalBytes || int64(pages) != want.Pages {
				t.Errorf("%s %s, %+v: %d bytes and %d pages were taken, inspect says %+v", c.target, c.format, s, d.Counts().Taken, pages, *want)
			}
			if err := model.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
