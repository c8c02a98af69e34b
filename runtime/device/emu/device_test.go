package emu_test

import (
	"os"
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// build compiles a checkpoint of the repository.
func build(t *testing.T, name, target, format string) *engine.Plan {
	t.Helper()
	return buildCache(t, name, target, format, compiler.Auto)
}

// buildCache is build with a format of the KV cache.
func buildCache(t *testing.T, name, target, format, cache string) *engine.Plan {
	t.Helper()
	return plantest.Build(t, name, compiler.Options{Quant: format, KVDType: cache, Archs: []string{target}, Check: true})
}

// TestLogitsDoNotDependOnTheSchedule runs GPU programs under random schedules and wants the same bits each time.
func TestLogitsDoNotDependOnTheSchedule(t *testing.T) {
	rounds := 1
	if os.Getenv("LLMC_LONG") != "" {
		rounds = 20
	}
	for _, c := range []struct {
		checkpoint, target, format string
		long                       bool
	}{
		{"checkpoints/llama-yarn", "sm80", "bf16", true},
		{"checkpoints/qwen3-v5", "sm89", "fp8", false},
		{"checkpoints/mistral-v5", "sm90", "int4", false},
		{"checkpoints/mistral-v5", "sm90", "fp8", true},
		{"checkpoints/olmo3", "sm80", "bf16", true},          // norms of whole rows of queries and keys
		{"checkpoints/deepseek-v3-v5", "sm80", "bf16", true}, // latent rows
		{"checkpoints/deepseek-v2", "sm89", "int8", true},
		{"checkpoints/deepseek-v3-v5", "sm90", "fp8", true},
	} {
		if c.long && rounds == 1 {
			continue
		}
		t.Run(c.target+"/"+c.format+"/"+filepath.Base(c.checkpoint), func(t *testing.T) {
			plan := build(t, c.checkpoint, c.target, c.format)
			devicetest.Schedules(t, emu.Device{}, plan, plan.Info().Vocab, 128, rounds)
		})
	}
}

// TestSamplesAsTheHost serves requests with all ways to sample.
func TestSamplesAsTheHost(t *testing.T) {
	plan := build(t, "checkpoints/llama-yarn", "sm80", "bf16")
	devicetest.Sampling(t, emu.Device{}, plan, plan.Info().Vocab, 128)
	devicetest.Ahead(t, emu.Device{}, plan, plan.Info().Vocab, 128, 1)
}
