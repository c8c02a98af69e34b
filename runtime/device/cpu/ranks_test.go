package cpu_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"llmc/compiler"
	"llmc/engine"
	"llmc/engine/partition"
	"llmc/internal/golden"
	"llmc/runtime/comm"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/devicetest"
)

// ranked is a device whose models are several ranks in this process.
type ranked struct {
	t     *testing.T
	ranks partition.Ranks
}

func (ranked) Name() string { return "cpu" }

func (d ranked) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	groups := comm.Local(d.ranks.Size(), time.Minute)
	var others sync.WaitGroup
	errs := make([]error, len(groups))
	for r := 1; r < len(groups); r++ {
		others.Go(func() {
			errs[r] = cpu.Follow(context.Background(), plan, &cpu.Split{Ranks: d.ranks, Group: groups[r]}, 1)
		})
	}
	model, err := cpu.Device{Split: &cpu.Split{Ranks: d.ranks, Group: groups[0]}}.Load(plan, settings)
	if err != nil {
		_ = groups[0].Fail(err)
		others.Wait()
		return nil, err
	}
	d.t.Cleanup(func() {
		others.Wait()
		for r, err := range errs {
			if err != nil {
				d.t.Errorf("rank %d: %v", r, err)
			}
		}
	})
	return model, nil
}

// rankShapes are how many ranks models are split into. Four ranks are more than the KV heads of most small models, and than there are processors here.
var rankShapes = []partition.Ranks{{TP: 2, PP: 1}, {TP: 4, PP: 1}, {TP: 1, PP: 2}, {TP: 2, PP: 2}, {TP: 3, PP: 1}}

// rankModels are checkpoints that differ in what lies between products: heads, norms of heads, caches, mixtures, what is added to scores; each has a format in a plain run.
var rankModels = []struct{ dir, format string }{
	{"llama-gqa", "bf16"}, {"mixtral", "int4"}, {"qwen3-moe", "bf16"}, {"gpt-oss", "int8"}, {"deepseek-v3", "bf16"}, {"falcon-7b-style", "int8"},
	{"phi3-longrope", "f32"}, {"gemma2", "bf16"}, {"bloom", "bf16"}, {"mamba", "f32"}, {"gpt2", "int4"},
}

// TestRanksGiveTheSameLogits wants the bits of one device from two, three and four, split by columns, by heads, by experts and by layers. In a plain run models take turns with numbers
// of ranks; with LLMC_LONG all checkpoints have all, in all formats.
func TestRanksGiveTheSameLogits(t *testing.T) {
	root := filepath.Join(golden.Shared(t), "checkpoints")
	models := rankModels
	if os.Getenv("LLMC_LONG") != "" {
		models = nil
		paths, _ := filepath.Glob(filepath.Join(root, "*", "golden.safetensors"))
		for _, path := range paths {
			for _, format := range []string{"bf16", "int8", "int4", "f32"} {
				models = append(models, struct{ dir, format string }{filepath.Base(filepath.Dir(path)), format})
			}
		}
	}
	for n, m := range models {
		t.Run(m.dir+"/"+m.format, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ranks.plan")
			if _, err := compiler.Build(t.Context(), compiler.Options{Model: filepath.Join(root, m.dir), Out: path, Quant: m.format}); err != nil {
				if os.Getenv("LLMC_LONG") != "" {
					t.Skip(err)
				}
				t.Fatal(err)
			}
			plan, err := engine.Open(path)
			check(t, err)
			t.Cleanup(func() { plan.Close() })
			if plan.Main() != engine.StepFunc || plan.Info().Vocab == 0 {
				t.Skip("makes no logits")
			}
			want := forwardBits(t, cpu.Device{}, plan)
			for i, ranks := range rankShapes {
				if os.Getenv("LLMC_LONG") == "" && (n+i)%len(rankShapes) > 1 {
					continue
				}
				if os.Getenv("LLMC_LONG") != "" && refusesRanks(t, plan, ranks) {
					continue
				}
				if got := forwardBits(t, ranked{t, ranks}, plan); got != want {
					t.Errorf("tp %d, pp %d: logits differ", ranks.TP, ranks.PP)
				}
			}
		})
	}
}

// refusesRanks tells whether a plan has too few heads, or functions that are no pipeline.
func refusesRanks(t *testing.T, plan *engine.Plan, ranks partition.Ranks) bool {
	model, err := ranked{t, ranks}.Load(plan, engine.Settings{})
	if err == nil {
		model.Close()
		return false
	}
	return strings.Contains(err.Error(), "share them at most") || strings.Contains(err.Error(), "only one can be a pipeline")
}

// forwardBits runs some tokens, in a chunk and one by one, and returns the bits of all logits.
func forwardBits(t *testing.T, device engine.Device, plan *engine.Plan) string {
	t.Helper()
	model, err := device.Load(plan, engine.Settings{MaxStepTokens: 24, MaxSequences: 4, MaxContext: 96, Threads: 1})
	check(t, err)
	defer model.Close()
	vocab := plan.Info().Vocab
	tokens := make([]int32, 70)
	for i := range tokens {
		tokens[i] = int32((i*i*7 + 3) % vocab)
	}
	bits := ""
	visit := func(_ int, logits []float32) error {
		sum := uint64(14695981039346656037)
		for _, l := range logits {
			sum = (sum ^ uint64(math.Float32bits(l))) * 1099511628211
		}
		bits += fmt.Sprintf("%x ", sum)
		return nil
	}
	text := tokens[:9]
	if plan.Info().Encoder == nil && !encodes(plan) {
		text = nil
	}
	for _, n := range []int{1, 70} {
		check(t, engine.ForwardText(model, vocab, text, tokens[:n], func(int) bool { return true }, visit))
	}
	return bits
}

func encodes(plan *engine.Plan) bool {
	programs, err := plan.Programs(plan.Targets(plan.Main())[0])
	return err == nil && programs[0].Encodes()
}

// TestRanksDoNotDependOnTheSchedule runs the schedules of one device on several.
func TestRanksDoNotDependOnTheSchedule(t *testing.T) {
	dir, seed := t.TempDir(), uint64(4)
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(mixture), 0o644))
	path := filepath.Join(t.TempDir(), "mixture.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: path, Quant: "bf16", Random: &seed, Archs: []string{"x86-64-v3"}})
	check(t, err)
	plan, err := engine.Open(path)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	devicetest.Schedules(t, ranked{t, partition.Ranks{TP: 2, PP: 1}}, plan, 96, 256, 2)
	for _, ranks := range []partition.Ranks{{TP: 1, PP: 1}, {TP: 2, PP: 1}, {TP: 2, PP: 2}} {
		devicetest.Moves(t, ranked{t, ranks}, plan)
	}
}

// TestRanksEncodeTheSame does the same with functions over whole sequences.
func TestRanksEncodeTheSame(t *testing.T) {
	for _, dir := range []string{"bert-minilm", "modernbert-embed"} {
		path := filepath.Join(t.TempDir(), "encoder.plan")
		_, err := compiler.Build(t.Context(), compiler.Options{Model: filepath.Join(golden.Shared(t), "checkpoints", dir), Out: path, Quant: "int8"})
		check(t, err)
		plan, err := engine.Open(path)
		check(t, err)
		t.Cleanup(func() { plan.Close() })
		want := embeddings(t, cpu.Device{}, plan)
		if got := embeddings(t, ranked{t, partition.Ranks{TP: 2, PP: 1}}, plan); !slices.Equal(got, want) {
			t.Errorf("%s: two ranks give other embeddings", dir)
		}
		if err := cpu.Divides(plan, partition.Ranks{TP: 1, PP: 2}); err == nil || !strings.Contains(err.Error(), "take tp") { // all layers use one layer's pages
			t.Errorf("%s: two stages: %v", dir, err)
		}
	}
}

// embeddings runs the function of a plan over two texts.
func embeddings(t *testing.T, device engine.Device, plan *engine.Plan) []float32 {
	t.Helper()
	model, err := device.Load(plan, engine.Settings{MaxStepTokens: 64, MaxSequences: 4, MaxContext: 32, Threads: 1})
	check(t, err)
	defer model.Close()
	runner := model.(engine.Runner)
	var step engine.Step
	step.Reset()
	settings, _ := model.Limits()
	for b, length := range []int{7, 19} {
		for i := range length {
			step.IDs = append(step.IDs, int32(5+3*i+b))
		}
		for p := range (length + settings.PageSize - 1) / settings.PageSize {
			step.Pages = append(step.Pages, int32(2*b+p))
		}
		step.EndSequence(0, length, settings.PageSize)
	}
	name := runner.Functions()[0]
	b := runner.Results(name)[0]
	rows, err := b.Rows.Eval(step.Sizes())
	check(t, err)
	out := make([]float32, rows*b.Cols)
	check(t, runner.Run(name, &step, [][]float32{out}))
	if !slices.ContainsFunc(out, func(v float32) bool { return v != 0 }) {
		t.Fatal("nothing is computed")
	}
	return out
}
