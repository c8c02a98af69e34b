package emu_test

import (
	"errors"
	"os"
	"regexp"
	"testing"
	"time"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// TestCardsShareModels wants the bits of one card from several, of models whose products, heads and experts they share.
func TestCardsShareModels(t *testing.T) {
	for _, c := range []struct {
		name, target, format string
		cards                int
		device               emu.Device
		changes              map[string]any
		long                 bool
	}{
		{name: "llama", target: "sm80", format: "bf16", cards: 2},
		{name: "llama", target: "sm90", format: "bf16", cards: 4, device: emu.Device{Pad: true}, changes: map[string]any{"num_hidden_layers": 1}},
		{name: "llama", target: "sm80", format: "int4", cards: 2, long: true},
		{name: "llama", target: "sm89", format: "fp8", cards: 2, long: true},
		{name: "llama", target: "sm90", format: "fp8", cards: 2, changes: map[string]any{"num_hidden_layers": 1}, long: true},
		{name: "llama", target: "sm90", format: "int8-w8a8", cards: 2, long: true},
		{name: "llama", target: "sm80", format: "int8", cards: 4, long: true},
		{name: "table", target: "sm90", format: "bf16", cards: 2, changes: map[string]any{"num_hidden_layers": 1, "vocab_size": 4096}},
		{name: "tied table", target: "sm80", format: "int4", cards: 4, changes: map[string]any{"num_hidden_layers": 1, "vocab_size": 2048, "hidden_size": 256, "tie_word_embeddings": true}, long: true},
		{name: "tied", target: "sm80", format: "bf16", cards: 4, changes: map[string]any{"tie_word_embeddings": true}, long: true},
		{name: "norms of heads", target: "sm80", format: "bf16", cards: 2, changes: kind("qwen3"), long: true},
		{name: "biases", target: "sm90", format: "int4", cards: 2, changes: kind("qwen2"), long: true},
		{name: "experts", target: "sm80", format: "bf16", cards: 2, changes: kind("mixtral", "num_hidden_layers", 1, "num_local_experts", 4, "num_experts_per_tok", 2)},
		{name: "experts", target: "sm90", format: "fp8", cards: 4, changes: kind("mixtral", "num_local_experts", 4, "num_experts_per_tok", 2), long: true},
		{name: "states", target: "sm80", format: "bf16", cards: 2, changes: kind("mamba", "head_dim", nil, "num_attention_heads", nil, "num_key_value_heads", nil, "max_position_embeddings", nil, "rope_theta", nil, "rms_norm_eps", nil, "intermediate_size", 64, "state_size", 5, "conv_kernel", 3, "time_step_rank", 3, "use_bias", true), long: true},
	} {
		if c.long && os.Getenv("LLMC_LONG") == "" {
			continue
		}
		t.Run(c.target+"/"+c.format+"/"+c.name, func(t *testing.T) {
			plan := plantest.Shared(t, compiler.Options{Quant: c.format, Archs: []string{c.target}, NoFallback: true, Cards: []int{c.cards}}, c.changes)
			devicetest.Cards(t, c.device, plan, plan.Info().Vocab, 128, 1, c.cards)
		})
	}
}

// sharing loads plans on several cards.
type sharing struct {
	engine.Device
	cards int
}

// Load implements engine.Device.
func (d sharing) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	settings.Cards = d.cards
	return d.Device.Load(plan, settings)
}

// TestCardsServe runs what every device has to pass on two cards.
func TestCardsServe(t *testing.T) {
	device := sharing{emu.Device{}, 2}
	plan := plantest.Shared(t, compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, Cards: []int{2}}, map[string]any{"num_hidden_layers": 1})
	t.Run("pages", func(t *testing.T) {
		devicetest.Pages(t, device, plan)
		devicetest.Moves(t, device, plan)
	})
	t.Run("sampling", func(t *testing.T) {
		if os.Getenv("LLMC_LONG") != "" {
			devicetest.Sampling(t, device, plan, plan.Info().Vocab, 128)
		}
		devicetest.Ahead(t, device, plan, plan.Info().Vocab, 128, 1)
	})
	t.Run("functions", func(t *testing.T) {
		devicetest.Functions(t, device, plantest.Build(t, "checkpoints/llava-clip", compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, Cards: []int{2}}))
	})
}

// TestCardsHaveTheirParts wants each of two cards to have about half of the weights, and half of the cache.
func TestCardsHaveTheirParts(t *testing.T) {
	plan := plantest.Shared(t, compiler.Options{Quant: "bf16", Archs: []string{"sm90"}, NoFallback: true, Cards: []int{2, 4}}, nil)
	use := map[int]*gpu.MemoryPlan{}
	for _, cards := range []int{1, 2, 4} {
		programs, err := plan.CardsPrograms("sm90", cards)
		if err != nil {
			t.Fatal(err)
		}
		if use[cards], err = gpu.PlanMemory(plan, programs, gpu.Card{Memory: 4 << 30}, engine.Settings{MaxSequences: 8, MaxContext: 64, Cards: cards}); err != nil {
			t.Fatal(err)
		}
	}
	table := int64(128 * 128 * 2) // of embeddings, which all have
	for _, cards := range []int64{2, 4} {
		u := use[int(cards)]
		if part := (use[1].Weights - table) / cards; u.Weights-table > part+part/20 {
			t.Errorf("one of %d cards has %d bytes of weights, one alone %d", cards, u.Weights, use[1].Weights)
		}
		if u.PageBytes*cards != use[1].PageBytes || u.Limits.Pages != use[1].Limits.Pages {
			t.Errorf("one of %d cards has %d pages of %d bytes, one alone %d of %d", cards, u.Limits.Pages, u.PageBytes, use[1].Limits.Pages, use[1].PageBytes)
		}
	}
}

// kind changes a model to one of another kind, with settings of its own.
func kind(name string, settings ...any) map[string]any {
	architecture := map[string]string{"qwen3": "Qwen3ForCausalLM", "qwen2": "Qwen2ForCausalLM", "mixtral": "MixtralForCausalLM", "mamba": "MambaForCausalLM"}[name]
	changes := map[string]any{"model_type": name, "architectures": []string{architecture}}
	for i := 0; i < len(settings); i += 2 {
		changes[settings[i].(string)] = settings[i+1] // nil: it has none
	}
	return changes
}

// edited is a card whose code somebody has changed.
type edited struct {
	gpu.Driver
	t        *testing.T
	from, to string
}

// Load implements gpu.Driver.
func (e edited) Load(ptx string) (gpu.Code, error) {
	from := regexp.MustCompile(e.from)
	if !from.MatchString(ptx) {
		e.t.Errorf("%s is not in the code", e.from)
	}
	return e.Driver.Load(from.ReplaceAllString(ptx, e.to))
}

// serveOn runs steps of a plan on cards, in which one sequence grows by a prompt and then token by token.
func serveOn(t *testing.T, plan *engine.Plan, drivers []gpu.Driver, steps, stages int) error {
	t.Helper()
	model, err := gpu.LoadCards(plan, drivers, engine.Settings{Stages: stages, MaxStepTokens: 8, MaxSequences: 2, MaxContext: 64, KVBytes: 1 << 20}, nil)
	if err != nil {
		return err
	}
	defer model.Close()
	out := make([]engine.Sampled, 1)
	for i := range steps {
		step := &engine.Step{}
		step.Reset()
		first, tokens := 4+i, 1
		if i == 0 {
			first, tokens = 0, 5
		}
		for j := range tokens {
			step.IDs = append(step.IDs, int32(7*(first+j)%100))
		}
		step.Pages = append(step.Pages, 0, 1, 2, 3)
		settings, _ := model.Limits()
		step.EndSequence(first, tokens, settings.PageSize)
		step.Rows = append(step.Rows, step.NextRow())
		if err := model.Step(step, out); err != nil {
			return err
		}
	}
	return nil
}

// TestBrokenExchangesAreFound wants mistakes in the exchange of rows to be seen as what they are, though most would give right results most of the time.
func TestBrokenExchangesAreFound(t *testing.T) {
	plan := plantest.Shared(t, compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, Cards: []int{2}}, nil)
	options := emu.Options{Races: true, Patience: 2 * time.Second}
	if err := serveOn(t, plan, emu.OpenCards(options, 2), 3, 1); err != nil {
		t.Fatalf("as it was built: %v", err)
	}
	for _, c := range []struct {
		name, from, to string
		kind           emu.Kind
	}{
		{"flags without release", "st.release.sys", "st.relaxed.sys", emu.Race},
		{"one half of areas for all exchanges", `(and\.b32 %r\d+, %r\d+), 1;(\s+mul\.lo\.u32 %r\d+, %r\d+, 2;\s+cvt)`, "$1, 0;$2", emu.Race},
		{"nobody waits", `@%p\d+ bra \$exchange_(pair_)?\d+_wait_\d+;`, "", emu.Race},
		{"nobody tells", `st\.release\.sys.*;`, "", emu.Deadlock},
		{"flags without acquire", "ld.acquire.sys", "ld.relaxed.sys", emu.Race},
	} {
		t.Run(c.name, func(t *testing.T) {
			drivers := emu.OpenCards(options, 2)
			for i := range drivers {
				drivers[i] = edited{drivers[i], t, c.from, c.to}
			}
			var f *emu.Fault
			if err := serveOn(t, plan, drivers, 3, 1); !errors.As(err, &f) || f.Kind != c.kind {
				t.Errorf("got %v", err)
			}
		})
	}
}
