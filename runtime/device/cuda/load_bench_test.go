//go:build cuda

package cuda_test

import (
	"os"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/cuda/jit"
	"llmc/runtime/device/emu"
)

// BenchmarkLoad takes what the host does to load the plan that LLMC_PLAN names, on a driver for which copies are copies in memory and kernels nothing.
// It reads PTX more slowly than a driver finds it in its cache: the profile says how much of the time that is.
func BenchmarkLoad(b *testing.B) {
	path := os.Getenv("LLMC_PLAN")
	if path == "" {
		b.Skip("SKIPPED: LLMC_PLAN names no plan")
	}
	b.Setenv(jit.Environment, jit.Off)
	card, err := emu.Impersonate("sm90", 12080)
	if err != nil {
		b.Fatal(err)
	}
	d := emulated.New(card)
	d.Idle = true
	if err := d.Install(); err != nil {
		b.Fatal(err)
	}
	load := func() {
		plan, err := engine.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		model, err := cuda.Device{}.Load(plan, engine.Settings{})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(model.(engine.MemoryReporter).Memory().Weights)
		if err := model.Close(); err != nil {
			b.Fatal(err)
		}
		plan.Close()
	}
	load()
	for b.Loop() {
		load()
	}
}
