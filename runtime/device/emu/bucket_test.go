package emu_test

import (
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
	for i := range n {
		first, base := 0, 0
		if i >= 30 {
			first, base = 30, 3
		}
		position := int32(i - first)
		s.IDs, s.Positions, s.RopeLen = append(s.IDs, int32((3*i+1)%vocab)), append(s.Positions, position), append(s.RopeLen, position+1)
		s.Slots = append(s.Slots, int32(16*base)+position)
		s.Rows = append(s.Rows, engine.Row{Token: int32(i), Position: position + 1, Logits: make([]float32, vocab)})
	}
	s.SeqStart, s.Context, s.Pages, s.PageStart = append(s.SeqStart, int32(min(n, 30))), []int32{int32(min(n, 30))}, []int32{0, 1, 2}, []int32{0, 3}
	if n > 30 {
		s.SeqStart, s.Context = append(s.SeqStart, int32(n)), append(s.Context, int32(n-30))
		s.Pages, s.PageStart = append(s.Pages, 3, 4, 5), append(s.PageStart, 6)
	}
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
		plan := build(t, "checkpoints/llama-yarn", "sm90", "bf16")
		devicetest.Schedules(t, emu.Device{Pad: true}, plan, plan.Info().Vocab, 128, 1)
	})
}
