package emu_test

import (
	"testing"

	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// TestCopyPages runs what every device has to pass on the entry that copies pages, for small and for large ones.
func TestCopyPages(t *testing.T) {
	for target, checkpoint := range map[string]string{"sm80": "checkpoints/qwen3-v5", "sm90": "checkpoints/llama-yarn"} {
		plan := build(t, checkpoint, target, "bf16")
		program, err := plan.Program("step", target)
		if err != nil || program.FindAuxiliary(engine.CopyPages) == nil {
			t.Fatalf("%s has no %s (%v)", target, engine.CopyPages, err)
		}
		device := emu.Device{Options: emu.Options{Races: true, Seed: 3}}
		devicetest.Pages(t, device, plan)
		devicetest.Moves(t, device, plan)
	}
}
