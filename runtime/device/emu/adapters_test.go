package emu_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// adaptedCase is a checkpoint of the repository with two adapters beside it, of different ranks and modules.
type adaptedCase struct {
	checkpoint, target, format string
	long                       bool
}

var adaptedCases = []adaptedCase{
	{"llama-yarn", "sm80", "bf16", false},
	{"qwen3-v5", "sm89", "fp8", false},
	{"mistral-v5", "sm90", "int4", false},
	{"mistral-v5", "sm90", "int8-w8a8", true},
	{"llama-yarn", "sm80", "f16", true},
	{"llama-yarn", "sm90", "bf16", true},
}

func (c *adaptedCase) build(t *testing.T) (plan *engine.Plan, adapters []*engine.Plan) {
	t.Helper()
	if c.long && os.Getenv("LLMC_LONG") == "" {
		t.Skip("LLMC_LONG=1 takes it")
	}
	dir := filepath.Join("../../../testdata/checkpoints", c.checkpoint)
	plan = plantest.Build(t, "checkpoints/"+c.checkpoint, compiler.Options{Quant: c.format, Archs: []string{c.target}, LoraRank: 20})
	for i, modules := range [][]plantest.Module{
		plantest.LinearModules(t, dir, false, 20, plantest.AllLinear...), plantest.LinearModules(t, dir, false, 3, "self_attn.v_proj", "mlp.down_proj", "mlp.up_proj"),
	} {
		adapters = append(adapters, plantest.Adapter(t, plan, plantest.AdapterDir(t, uint64(i+1), modules, nil)))
	}
	return plan, adapters
}

// TestAdaptersShareSteps wants sequences without an adapter and with different ones to get the bits in one step that each gets alone, by other entries of
// products; those without one get what a model that takes none gives, and an adapter changes what there is. Then adapters change places.
func TestAdaptersShareSteps(t *testing.T) {
	for _, c := range adaptedCases {
		t.Run(c.target+"/"+c.format+"/"+c.checkpoint, func(t *testing.T) {
			plan, adapters := c.build(t)
			load := func(most int) engine.Model {
				model, err := (emu.Device{Pad: true}).Load(plan, engine.Settings{MaxStepTokens: 64, MaxSequences: 4, MaxContext: 32, PageSize: 16, MaxAdapters: most})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { model.Close() })
				return model
			}
			host := load(2).(engine.AdapterModel)
			for i, a := range adapters {
				if err := host.LoadAdapter(i+1, a); err != nil {
					t.Fatal(err)
				}
			}
			prompts, places := []int{3, 21, 1, 12}, []int32{1, 2, 0, 1}
			together := promptLogits(t, host, plan.Info().Vocab, prompts, places)
			for i, n := range prompts {
				if alone := promptLogits(t, host, plan.Info().Vocab, []int{n}, places[i:i+1]); !slices.Equal(alone[0], together[i]) {
					t.Errorf("sequence %d with the adapter in place %d has other logits alone", i, places[i])
				}
			}
			plain := promptLogits(t, load(0), plan.Info().Vocab, prompts, nil)
			for i := range prompts {
				if same := slices.Equal(plain[i], together[i]); same != (places[i] == 0) {
					t.Errorf("sequence %d, place %d: its logits are those without adapters: %v", i, places[i], same)
				}
			}
			host.UnloadAdapter(1)
			host.UnloadAdapter(2)
			if err := host.LoadAdapter(1, adapters[1]); err != nil {
				t.Fatal(err)
			}
			if got := promptLogits(t, host, plan.Info().Vocab, prompts[1:2], []int32{1}); !slices.Equal(got[0], together[1]) {
				t.Error("an adapter gives other logits in another place, where one of a larger rank was before")
			}
			if err := host.Step(promptStep([]int{1}, []int32{2}), make([]engine.Sampled, 1)); err == nil {
				t.Error("a step names a place in which no adapter is")
			}
		})
	}
}

// promptStep is a step of whole prompts of so many tokens, the last of each of which is sampled.
func promptStep(prompts []int, places []int32) *engine.Step {
	s := &engine.Step{}
	s.Reset()
	for i, n := range prompts {
		for k := range n {
			s.IDs = append(s.IDs, int32((5*n+7*k)%40+1))
		}
		s.Pages = append(s.Pages, int32(2*i), int32(2*i+1))
		s.EndSequence(0, n, 16)
		s.Rows = append(s.Rows, s.NextRow())
	}
	s.Adapters = append(s.Adapters, places...)
	return s
}

func promptLogits(t *testing.T, model engine.Model, vocab int, prompts []int, places []int32) (logits [][]float32) {
	t.Helper()
	step := promptStep(prompts, places)
	for i := range step.Rows {
		logits = append(logits, make([]float32, vocab))
		step.Rows[i].Logits = logits[i]
	}
	if err := model.Step(step, make([]engine.Sampled, len(step.Rows))); err != nil {
		t.Fatal(err)
	}
	return logits
}

// TestAdaptersDoNotDependOnTheSchedule serves requests without an adapter and with two in the same steps, and wants the bits that each gives alone.
func TestAdaptersDoNotDependOnTheSchedule(t *testing.T) {
	for _, c := range adaptedCases {
		c.long = true
		t.Run(c.target+"/"+c.format+"/"+c.checkpoint, func(t *testing.T) {
			plan, adapters := c.build(t)
			devicetest.Schedules(t, emu.Device{}, plan, plan.Info().Vocab, 128, 2, adapters...)
		})
	}
}
