package emu_test

import (
	"os"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// twoSequences is a step of n tokens, the first of a sequence of up to 30 and the others of a second one, every one sampled.
func twoSequences(n, vocab int) *engine.Step {
	s := &engine.Step{}
	s.Reset()
	s.Pages = append(s.Pages, 0, 1, 2)
	for i := range n {
		if i == 30 {
			s.EndSequence(0, 0, 16)
			s.Pages = append(s.Pages, 3, 4, 5)
		}
		s.IDs = append(s.IDs, int32((3*i+1)%vocab))
		s.Rows = append(s.Rows, engine.Row{Token: int32(i), Position: int32(i) - s.SeqStart[s.B()] + 1, Logits: make([]float32, vocab)})
	}
	s.EndSequence(0, 0, 16)
	return s
}

// TestPaddingChangesNoBit wants a step to give the same logits whether or not it is padded to its bucket, on both sides of every limit.
func TestPaddingChangesNoBit(t *testing.T) {
	for _, c := range []struct{ checkpoint, target, format string }{
		{"checkpoints/llama-yarn", "sm80", "int8"}, {"checkpoints/qwen3-v5", "sm89", "fp8"}, {"checkpoints/mistral-v5", "sm90", "int4"},
		{"checkpoints/llama-dynamic", "sm90", "bf16"},
	} {
		t.Run(c.target+"/"+c.format, func(t *testing.T) {
			plan := build(t, c.checkpoint, c.target, c.format)
			settings := compiler.VerifySettings()
			settings.MaxStepTokens, settings.MaxRows, settings.MaxSequences, settings.MaxContext = 70, 70, 3, 48
			vocab := plan.Info().Vocab
			var logits [2][][]float32
			for i, device := range []emu.Device{{Options: emu.Options{Races: true}}, {Options: emu.Options{Races: true}, Pad: true}} {
				model, err := device.Load(plan, settings)
				if err != nil {
					t.Fatal(err)
				}
				defer model.Close()
				for _, n := range []int{1, 3, 9, 17, 33, 65, 8} {
					step := twoSequences(n, vocab)
					if err := model.Step(step, make([]engine.Sampled, n)); err != nil {
						t.Fatal(err)
					}
					if step.T() != n || len(step.Rows) != n {
						t.Fatalf("the step itself was padded")
					}
					for _, r := range step.Rows {
						logits[i] = append(logits[i], r.Logits)
					}
				}
			}
			for row := range logits[0] {
				if !slices.Equal(logits[0][row], logits[1][row]) {
					t.Fatalf("row %d has other logits in a padded step", row)
				}
			}
		})
	}
	t.Run("schedules", func(t *testing.T) {
		if os.Getenv("LLMC_LONG") == "" {
			t.Skip("SKIPPED: LLMC_LONG=1 runs it")
		}
		plan := build(t, "checkpoints/llama-yarn", "sm90", "bf16")
		devicetest.Schedules(t, emu.Device{Pad: true}, plan, plan.Info().Vocab, 128, 1)
	})
}
