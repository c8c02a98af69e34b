package emu_test

import (
	"os"
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// TestAdaptersDoNotDependOnTheSchedule serves requests without an adapter and with two of different ranks and modules in the same steps, and wants the bits
// that each gives alone.
func TestAdaptersDoNotDependOnTheSchedule(t *testing.T) {
	rounds := 1
	if os.Getenv("LLMC_LONG") != "" {
		rounds = 10
	}
	for _, c := range []struct {
		checkpoint, target, format string
		long                       bool
	}{
		{"llama-yarn", "sm80", "bf16", false},
		{"qwen3-v5", "sm89", "fp8", true},
		{"mistral-v5", "sm90", "int4", false},
		{"mistral-v5", "sm90", "int8-w8a8", true},
		{"llama-yarn", "sm80", "f16", true},
		{"llama-yarn", "sm90", "bf16", true},
	} {
		if c.long && rounds == 1 {
			continue
		}
		t.Run(c.target+"/"+c.format+"/"+c.checkpoint, func(t *testing.T) {
			dir := filepath.Join("../../../testdata/checkpoints", c.checkpoint)
			wide := plantest.AdapterDir(t, 1, plantest.LinearModules(t, dir, false, 40, plantest.AllLinear...), nil)
			narrow := plantest.AdapterDir(t, 2, plantest.LinearModules(t, dir, false, 3, "self_attn.v_proj", "mlp.down_proj", "mlp.up_proj"), nil)
			plan := plantest.Build(t, "checkpoints/"+c.checkpoint, compiler.Options{Quant: c.format, Archs: []string{c.target}, LoraRank: 40})
			devicetest.Schedules(t, emu.Device{}, plan, plan.Info().Vocab, 128, rounds, plantest.Adapter(t, plan, wide), plantest.Adapter(t, plan, narrow))
		})
	}
}
