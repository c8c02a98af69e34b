//go:build cuda

package cuda_test

import (
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/emu"
)

// TestAdapters wants steps with adapters to give the bits of the emulator, launched one by one beside steps that are replayed, on a card with no byte more
// than was planned.
func TestAdapters(t *testing.T) {
	dir := "../../../testdata/checkpoints/llama-yarn"
	plan := plantest.Build(t, "checkpoints/llama-yarn", compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, LoraRank: 4})
	adapter := plantest.Adapter(t, plan, plantest.AdapterDir(t, 1, plantest.LinearModules(t, dir, false, 4, plantest.AllLinear...), nil))
	vocab := plan.Info().Vocab
	run := func(device engine.Device) (logits [][]float32) {
		model, err := device.Load(plan, engine.Settings{MaxStepTokens: 8, MaxSequences: 2, MaxContext: 16, PageSize: 16, MaxAdapters: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer model.Close()
		if err := model.(engine.AdapterModel).LoadAdapter(2, adapter); err != nil {
			t.Fatal(err)
		}
		for position, places := range [][]int32{{0, 2}, nil, {2, 2}} {
			step := decoding(2, position, vocab)
			step.Adapters = places
			if err := model.Step(step, make([]engine.Sampled, 2)); err != nil {
				t.Fatal(err)
			}
			for _, r := range step.Rows {
				logits = append(logits, r.Logits)
			}
		}
		return logits
	}
	want := run(emu.Device{})
	d := install(t, "sm80", 12040)
	before := d.Counts()
	if got := run(full{t: t, driver: d}); !slices.EqualFunc(got, want, slices.Equal) {
		t.Error("logits are not those of the emulator")
	}
	returned(t, d)
	if c := d.Counts(); c.Replays != before.Replays+2+1 { // buckets at load, and the step without adapters
		t.Errorf("%d steps were replayed", c.Replays-before.Replays)
	}
}
