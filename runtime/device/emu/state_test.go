package emu_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// stateConfig is a model that keeps states, of sizes that fill neither lanes nor vectors; it wants a number of layers.
const stateConfig = `{"model_type": "mamba", "architectures": ["MambaForCausalLM"], "vocab_size": 47, "hidden_size": 32, "intermediate_size": 48,
	"num_hidden_layers": %d, "state_size": 5, "conv_kernel": 3, "time_step_rank": 3, "use_bias": true}`

// statePlan builds a plan of it with made-up weights.
func statePlan(t *testing.T, target, format string, layers int) *engine.Plan {
	t.Helper()
	dir, seed := t.TempDir(), uint64(4)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, stateConfig, layers), 0o644); err != nil {
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

// TestStatesDoNotDependOnTheSchedule runs a model that keeps states under random schedules, as launches, padded, and with persistent entries, and wants the
// same bits each time; and the tokens of steps that are started ahead to be those of steps one after the other.
func TestStatesDoNotDependOnTheSchedule(t *testing.T) {
	rounds, layers, long := 1, 1, os.Getenv("LLMC_LONG") != ""
	if long {
		rounds, layers = 3, 2
	}
	for _, c := range []struct {
		target, format string
		device         engine.Device
		long           bool
	}{
		{"sm80", "int8", emu.Device{Options: emu.Options{Races: true}}, true},
		{"sm89", "bf16", emu.Device{Pad: true}, false},
		{"sm90", "bf16", inOne{emu.Device{CTAs: 3}, engine.PersistentOn}, true},
	} {
		t.Run(c.target, func(t *testing.T) {
			if c.long && !long {
				t.Skip("SKIPPED: LLMC_LONG=1 runs it")
			}
			plan := statePlan(t, c.target, c.format, layers)
			devicetest.Schedules(t, c.device, plan, plan.Info().Vocab, 128, rounds)
			if c.target == "sm80" {
				devicetest.Ahead(t, c.device, plan, plan.Info().Vocab, 128, 1)
			}
		})
	}
}

// A persistent entry moves states on as launches do, where several sequences begin and go on.
func TestStatesPersistent(t *testing.T) {
	plan := statePlan(t, "sm90", "bf16", 1)
	settings, vocab := compiler.VerifySettings(), plan.Info().Vocab
	settings.PageSize, settings.MaxStepTokens, settings.MaxRows, settings.MaxSequences, settings.MaxContext = 16, 8, 8, 8, 48
	steps := []*engine.Step{decodeStep(3, vocab), decodeStep(5, vocab)}
	for position := 1; position < 4; position++ {
		s := &engine.Step{}
		s.Reset()
		for i := range 2 {
			s.IDs, s.Pages = append(s.IDs, int32(11*position+i)), append(s.Pages, int32(i))
			s.EndSequence(position, 1, 16)
			s.Rows = append(s.Rows, s.NextRow())
			s.Rows[i].Logits = make([]float32, vocab)
		}
		steps = append(steps, s)
	}
	want := logitsOf(t, together(0), plan, settings, steps)
	if slices.Equal(want[0], want[len(want)-2]) {
		t.Fatal("what a sequence has seen makes no difference")
	}
	if !slices.EqualFunc(logitsOf(t, together(3), plan, settings, steps), want, slices.Equal) {
		t.Fatal("a persistent entry gives other logits than launches")
	}
}

// Guesses that were wrong would stay in a state: whoever asks for them is told so. A page is as large however many tokens it is for.
func TestStatesTakeNoGuesses(t *testing.T) {
	plan := statePlan(t, "sm80", "bf16", 1)
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
