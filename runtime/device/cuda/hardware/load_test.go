//go:build cuda

package hardware_test

import (
	"errors"
	"os"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/cuda"
)

// free is the GPU's free memory.
func free(t *testing.T) int64 {
	t.Helper()
	card, err := cuda.Device{}.Card()
	if err != nil {
		t.Fatal(err)
	}
	return card.Memory
}

// BenchmarkLoad takes from opening the plan that LLMC_PLAN names until a step could run. The second load finds the file in memory and code in the
// driver's cache; the first, which is not counted, shows what they cost.
func BenchmarkLoad(b *testing.B) {
	path := os.Getenv("LLMC_PLAN")
	if path == "" {
		b.Skip("SKIPPED: LLMC_PLAN names no plan")
	}
	load := func() {
		plan, err := engine.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer plan.Close()
		model, err := cuda.Device{}.Load(plan, engine.Settings{})
		if errors.Is(err, engine.ErrNoDevice) {
			b.Skip("SKIPPED: ", err)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(model.(engine.MemoryReporter).Memory().Weights)
		if err := model.Close(); err != nil {
			b.Fatal(err)
		}
	}
	load()
	for b.Loop() {
		load()
	}
}
