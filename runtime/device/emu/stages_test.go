package emu_test

import (
	"os"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// TestStagesShareModels wants the bits of one card from pipelines, of models with what there is to hand on.
func TestStagesShareModels(t *testing.T) {
	for _, c := range []struct {
		name, target, format string
		cards, stages        int
		device               emu.Device
		changes              map[string]any
		long                 bool
	}{
		{name: "llama", target: "sm90", format: "bf16", cards: 1, stages: 2, changes: map[string]any{"num_hidden_layers": 2}},
	} {
		if c.long && os.Getenv("LLMC_LONG") == "" {
			continue
		}
		t.Run(c.target+"/"+c.format+"/"+c.name, func(t *testing.T) {
			options := compiler.Options{Quant: c.format, Archs: []string{c.target}, NoFallback: true}
			if c.cards > 1 {
				options.Cards = []int{c.cards}
			}
			plan := plantest.Shared(t, options, c.changes)
			devicetest.Stages(t, c.device, plan, plan.Info().Vocab, 128, 1, c.cards, c.stages)
		})
	}
}
