package emu_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// stateConfig is a model that keeps states, of sizes that fill neither lanes nor vectors.
const stateConfig = `{"model_type": "mamba", "architectures": ["MambaForCausalLM"], "vocab_size": 47, "hidden_size": 32, "intermediate_size": 48,
	"num_hidden_layers": 2, "state_size": 5, "conv_kernel": 3, "time_step_rank": 3, "use_bias": true}`

// statePlan builds a plan of it with made-up weights.
func statePlan(t *testing.T, target, format string) *engine.Plan {
	t.Helper()
	dir, seed := t.TempDir(), uint64(4)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(stateConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state.plan")
	if _, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: path, Quant: format, Archs: []string{target}, Random: &seed, Check: true}); err != nil {
		t.Fatal(err)
	}
	plan, err := engine.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plan.Close() })
	return plan
}

// TestStatesDoNotDependOnTheSchedule runs a model that keeps states under random schedules, launch by launch, padded, and as one persistent entry, and wants
// the same bits each time; and the tokens of steps that are started ahead to be those of steps one after the other.
func TestStatesDoNotDependOnTheSchedule(t *testing.T) {
	rounds := 2
	if os.Getenv("LLMC_LONG") != "" {
		rounds = 20
	}
	for _, c := range []struct {
		target, format string
		device         engine.Device
	}{
		{"sm80", "bf16", emu.Device{Options: emu.Options{Races: true}}},
		{"sm89", "int8", emu.Device{Pad: true}},
		{"sm90", "bf16", inOne{emu.Device{CTAs: 3}, engine.PersistentOn}},
	} {
		t.Run(c.target, func(t *testing.T) {
			plan := statePlan(t, c.target, c.format)
			devicetest.Schedules(t, c.device, plan, plan.Info().Vocab, 128, rounds)
			if c.target == "sm80" {
				devicetest.Ahead(t, c.device, plan, plan.Info().Vocab, 128, 1)
			}
		})
	}
}

// Guesses that were wrong would stay in a state: whoever asks for them is told so. A page is as large however many tokens it is for.
func TestStatesTakeNoGuesses(t *testing.T) {
	plan := statePlan(t, "sm80", "bf16")
	if _, err := (emu.Device{}).Load(plan, engine.Settings{Drafts: 1}); !errors.Is(err, engine.ErrNoDrafts) {
		t.Errorf("loaded for guesses: %v", err)
	}
	model, err := (emu.Device{}).Load(plan, engine.Settings{MaxSequences: 2, MaxStepTokens: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	if settings, _ := model.Limits(); settings.PageSize != 256 {
		t.Errorf("pages of %d positions", settings.PageSize)
	}
}
