package emu_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// together runs steps of few tokens by persistent entries on so many CTAs; by launches where there are none.
func together(ctas int) engine.Device {
	d := emu.Device{Options: emu.Options{Races: true}, CTAs: ctas}
	if ctas == 0 {
		return inOne{d, engine.PersistentOff}
	}
	return inOne{d, engine.PersistentOn}
}

// inOne is a device whose settings say whether it runs persistent entries.
type inOne struct {
	engine.Device
	wanted string
}

func (d inOne) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	settings.Persistent = d.wanted
	return d.Device.Load(plan, settings)
}

// decodeStep is a step of n sequences of one token each, sampled.
func decodeStep(n, vocab int) *engine.Step {
	s := &engine.Step{}
	s.Reset()
	for i := range n {
		s.IDs, s.Pages = append(s.IDs, int32((5*i+2)%vocab)), append(s.Pages, int32(i))
		s.EndSequence(0, 1, 16)
		row := s.NextRow()
		row.Logits = make([]float32, vocab)
		s.Rows = append(s.Rows, row)
	}
	return s
}

// logitsOf runs steps on a device and returns the logits of all of their rows.
func logitsOf(t *testing.T, device engine.Device, plan *engine.Plan, settings engine.Settings, steps []*engine.Step) (logits [][]float32) {
	t.Helper()
	model, err := device.Load(plan, settings)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	for _, step := range steps {
		if err := model.Step(step, make([]engine.Sampled, len(step.Rows))); err != nil {
			t.Fatalf("%d tokens: %v", step.T(), err)
		}
		for _, r := range step.Rows {
			logits = append(logits, slices.Clone(r.Logits))
		}
	}
	return logits
}

// TestPersistent wants a persistent entry to give the logits of the launches that it stands for, bit for bit, on any number of CTAs.
func TestPersistent(t *testing.T) {
	long := os.Getenv("LLMC_LONG") != ""
	for i, c := range []struct{ checkpoint, target, format, cache string }{
		{"checkpoints/mistral-v5", "sm80", "bf16", ""}, {"checkpoints/mistral-v5", "sm80", "int4", ""}, {"checkpoints/qwen3-v5", "sm89", "fp8", ""},
		{"checkpoints/llama-yarn", "sm90", "bf16", ""}, {"checkpoints/mistral-v5", "sm90", "int4", ""}, {"checkpoints/mistral-v5", "sm90", "fp8", ""},
		{"checkpoints/deepseek-v3-v5", "sm80", "bf16", ""}, {"checkpoints/deepseek-v3-v5", "sm90", "bf16", "int4"}, {"checkpoints/olmo3", "sm80", "bf16", "int4"},
	} {
		t.Run(c.target+"/"+c.format+"/"+filepath.Base(c.checkpoint)+c.cache, func(t *testing.T) {
			plan := buildCache(t, c.checkpoint, c.target, c.format, c.cache)
			settings := compiler.VerifySettings()
			settings.MaxStepTokens, settings.MaxRows, settings.MaxSequences, settings.MaxContext = 32, 32, 32, 48
			vocab := plan.Info().Vocab
			sizes, ctas := []int{1, 9}, []int{1, 3, 7}
			if long {
				sizes = nil
				for n := range 32 {
					sizes = append(sizes, n+1)
				}
			} else {
				ctas = ctas[i%3:][:1]
			}
			var steps []*engine.Step
			for _, n := range sizes {
				steps = append(steps, decodeStep(n, vocab))
			}
			want := logitsOf(t, together(0), plan, settings, steps)
			for _, n := range ctas {
				if !slices.EqualFunc(logitsOf(t, together(n), plan, settings, steps), want, slices.Equal) {
					t.Fatalf("%d CTAs give other logits than launches", n)
				}
			}
		})
	}
}

// TestPersistentPieces wants the same of a sequence so long that CTAs share its attention.
func TestPersistentPieces(t *testing.T) {
	const prompt, chunk = 540, 60
	plan := build(t, "checkpoints/mistral-v5", "sm80", "bf16")
	vocab := plan.Info().Vocab
	settings := engine.Settings{MaxStepTokens: chunk, MaxSequences: 1, MaxRows: 1, MaxContext: 600, PageSize: 16}
	var steps []*engine.Step
	for first := 0; first < prompt+2; {
		n := min(chunk, max(prompt-first, 1))
		s := &engine.Step{}
		s.Reset()
		for i := first; i < first+n; i++ {
			s.IDs = append(s.IDs, int32((7*i+1)%vocab))
		}
		for page := range (first + n + 15) / 16 {
			s.Pages = append(s.Pages, int32(page))
		}
		s.EndSequence(first, prompt, 16)
		s.Rows = []engine.Row{s.NextRow()}
		s.Rows[0].Logits = make([]float32, vocab)
		steps = append(steps, s)
		first += n
	}
	want := logitsOf(t, together(0), plan, settings, steps)
	if !slices.EqualFunc(logitsOf(t, together(5), plan, settings, steps), want, slices.Equal) {
		t.Fatal("CTAs that share attention give other logits than launches")
	}
}

// TestPersistentSchedules serves requests with and without padding.
func TestPersistentSchedules(t *testing.T) {
	if os.Getenv("LLMC_LONG") == "" {
		t.Skip("SKIPPED: LLMC_LONG=1 runs it")
	}
	for _, pad := range []bool{false, true} {
		plan := build(t, "checkpoints/llama-yarn", "sm90", "bf16")
		devicetest.Schedules(t, inOne{emu.Device{Pad: pad, CTAs: 3}, engine.PersistentOn}, plan, plan.Info().Vocab, 128, 5)
		devicetest.Sampling(t, inOne{emu.Device{Pad: pad, CTAs: 3}, engine.PersistentOn}, plan, plan.Info().Vocab, 128)
	}
}
