package emu_test

import (
	"errors"
	"os"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
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
		{name: "llama", target: "sm90", format: "bf16", cards: 1, stages: 2},
		{name: "llama", target: "sm80", format: "int4", cards: 2, stages: 2, device: emu.Device{Pad: true}, long: true},
		{name: "three", target: "sm90", format: "fp8", cards: 1, stages: 3, changes: map[string]any{"num_hidden_layers": 3}, long: true},
		{name: "three of two", target: "sm80", format: "int8", cards: 2, stages: 3, changes: map[string]any{"num_hidden_layers": 5}, long: true},
		{name: "norms of heads", target: "sm80", format: "bf16", cards: 1, stages: 2, changes: kind("qwen3"), long: true},
		{name: "experts", target: "sm80", format: "bf16", cards: 2, stages: 2, changes: kind("mixtral", "num_hidden_layers", 2, "num_local_experts", 4, "num_experts_per_tok", 2), long: true},
		{name: "states", target: "sm80", format: "bf16", cards: 1, stages: 2, changes: kind("mamba", "head_dim", nil, "num_attention_heads", nil, "num_key_value_heads", nil, "max_position_embeddings", nil, "rope_theta", nil, "rms_norm_eps", nil, "intermediate_size", 64, "state_size", 5, "conv_kernel", 3, "time_step_rank", 3, "use_bias", true)},
	} {
		if c.long && os.Getenv("LLMC_LONG") == "" {
			continue
		}
		t.Run(c.target+"/"+c.format+"/"+c.name, func(t *testing.T) {
			plan := plantest.Shared(t, optionsOf(c.target, c.format, c.cards), c.changes)
			devicetest.Stages(t, c.device, plan, plan.Info().Vocab, 128, 1, c.cards, c.stages)
		})
	}
}

// TestStagesOfFamilies wants two stages of every family among the checkpoints to have the bits of one card, or the reason why there are none.
func TestStagesOfFamilies(t *testing.T) {
	if os.Getenv("LLMC_LONG") == "" {
		t.Skip("SKIPPED: LLMC_LONG is not set")
	}
	dirs, err := os.ReadDir("../../../testdata/checkpoints")
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for _, d := range dirs {
		t.Run(d.Name(), func(t *testing.T) {
			plan := plantest.Build(t, "checkpoints/"+d.Name(), optionsOf("sm80", "bf16", 1))
			programs, err := plan.Programs("sm80")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := gpu.Stages(plan, programs, 2); err != nil {
				if plan.Main() == engine.StepFunc && len(plan.Functions()) == 1 {
					t.Error(err)
				}
				return
			}
			cut++
			devicetest.Stages(t, emu.Device{}, plan, plan.Info().Vocab, 64, 1, 1, 2)
		})
	}
	if cut < len(dirs)/2 {
		t.Errorf("%d of %d checkpoints are cut into stages", cut, len(dirs))
	}
}

// optionsOf are those of a plan for so many cards of a stage.
func optionsOf(target, format string, cards int) compiler.Options {
	options := compiler.Options{Quant: format, Archs: []string{target}, NoFallback: true}
	if cards > 1 {
		options.Cards = []int{cards}
	}
	return options
}

// staged loads plans on two stages.
type staged struct{ engine.Device }

// Load implements engine.Device.
func (d staged) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	settings.Stages = 2
	return d.Device.Load(plan, settings)
}

// TestStagesServe runs what every device has to pass on two stages.
func TestStagesServe(t *testing.T) {
	device := staged{emu.Device{}}
	plan := plantest.Shared(t, optionsOf("sm80", "bf16", 1), nil)
	devicetest.Pages(t, device, plan)
	devicetest.Moves(t, device, plan)
	if os.Getenv("LLMC_LONG") != "" {
		devicetest.Sampling(t, device, plan, plan.Info().Vocab, 128)
	}
	devicetest.Ahead(t, device, plan, plan.Info().Vocab, 128, 1)
}

// TestStagesHaveTheirLayers wants each of two stages to have its weights and its layers of the cache, which together are those of one card.
func TestStagesHaveTheirLayers(t *testing.T) {
	plan := plantest.Shared(t, optionsOf("sm90", "bf16", 1), map[string]any{"num_hidden_layers": 4})
	programs, err := plan.Programs("sm90")
	if err != nil {
		t.Fatal(err)
	}
	settings := engine.Settings{MaxSequences: 8, MaxContext: 64}
	whole, err := gpu.PlanMemory(plan, programs, gpu.Card{Memory: 4 << 30}, settings)
	if err != nil {
		t.Fatal(err)
	}
	stages, err := gpu.Stages(plan, programs, 2)
	if err != nil {
		t.Fatal(err)
	}
	weights, page, layers := int64(0), int64(0), 0
	for _, s := range stages {
		use, err := gpu.PlanMemory(plan, []*engine.Program{s.Program}, gpu.Card{Memory: 4 << 30}, settings)
		if err != nil {
			t.Fatal(err)
		}
		own := s.Caches[0].Layers
		if use.PageBytes != whole.PageBytes/4*int64(own) || use.Weights > whole.Weights*2/3 || use.Limits.Pages != whole.Limits.Pages {
			t.Errorf("stage %d of %d layers has %d pages of %d bytes and %d bytes of weights, one card %d, %d and %d", s.Number, own, use.Limits.Pages, use.PageBytes, use.Weights,
				whole.Limits.Pages, whole.PageBytes, whole.Weights)
		}
		weights, page, layers = weights+use.Weights, page+use.PageBytes, layers+own
	}
	if weights != whole.Weights || page != whole.PageBytes || layers != 4 {
		t.Errorf("stages have %d bytes of weights, pages of %d and %d layers, one card %d, %d and 4", weights, page, layers, whole.Weights, whole.PageBytes)
	}
}

// careless is a card that leaves something out of what it hands on.
type careless struct {
	gpu.Driver
	deaf bool // it waits for no signal

}

func (d careless) linked() gpu.Linked { return d.Driver.(gpu.Linked) }

// Signal implements gpu.Linked.
func (d careless) Signal(n int) error { return d.linked().Signal(n) }

// WaitFor implements gpu.Linked.
func (d careless) WaitFor(other gpu.Driver, n int) error {
	if d.deaf {
		return nil
	}
	return d.linked().WaitFor(other.(careless).Driver, n)
}

// CopyFrom implements gpu.Linked.
func (d careless) CopyFrom(other gpu.Driver, list []gpu.Moved) error {
	return d.linked().CopyFrom(other.(careless).Driver, list)
}

// TestBrokenStagesAreFound wants a hand-over that nothing orders to be seen as a race, whichever side forgets to wait.
func TestBrokenStagesAreFound(t *testing.T) {
	plan := plantest.Shared(t, optionsOf("sm80", "bf16", 1), nil)
	serve := func(first, last careless) error {
		drivers := emu.OpenCards(emu.Options{Races: true}, 2)
		first.Driver, last.Driver = drivers[0], drivers[1]
		return serveOn(t, plan, []gpu.Driver{first, last}, 3, 2)
	}
	if err := serve(careless{}, careless{}); err != nil {
		t.Fatalf("as it was built: %v", err)
	}
	for _, c := range []struct {
		name        string
		first, last careless
	}{{"the taker does not wait", careless{}, careless{deaf: true}}, {"the giver does not wait", careless{deaf: true}, careless{}}} {
		var f *emu.Fault
		if err := serve(c.first, c.last); !errors.As(err, &f) || f.Kind != emu.Race {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}
