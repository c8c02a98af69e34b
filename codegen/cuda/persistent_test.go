package cuda_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"llmc/codegen"
	"llmc/codegen/cuda"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/passes"
	"llmc/runtime/device/emu"
)

// persists writes programs that end with their logits, and have persistent entries.
type persists struct{ *cuda.Coder }

func (c persists) Finish(p *engine.Program) error { return c.Persist(p) }

// persistentPlan is compile with persistent entries; change is applied to the text of the first of them.
func persistentPlan(t *testing.T, m *ir.Module, weights interp.Weights, gpu cuda.Target, format string, vocab int, change func(text string) string) *engine.Plan {
	t.Helper()
	spec, packed := lowerWith(t, m, weights, gpu, passes.Policy{Linear: format, Embed: "bf16"}, vocab, func(c *cuda.Coder) codegen.Coder { return persists{c} })
	for i := range spec.Sections {
		s := &spec.Sections[i]
		if s.Kind == engine.KindPTX && change != nil {
			launches, persistent, ok := strings.Cut(string(s.Data), ".entry step_to_")
			if !ok {
				t.Fatal("no persistent entry")
			}
			s.Data = []byte(launches + ".entry step_to_" + change(persistent))
		}
	}
	plan, err := write(t, spec, packed)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan
}

// runPersistent is run in one step on so many CTAs; 0: by launches.
func runPersistent(t *testing.T, plan *engine.Plan, vocab int, tokens []int32, ctas int) (rows [][]float32, err error) {
	t.Helper()
	device := emu.Device{Options: emu.Options{Races: true}, CTAs: ctas}
	settings := engine.Settings{MaxStepTokens: len(tokens), MaxSequences: 1, MaxRows: len(tokens), MaxContext: max(16, len(tokens)), Persistent: engine.PersistentOff}
	if ctas > 0 {
		settings.Persistent = engine.PersistentOn
	}
	model, err := device.Load(plan, settings)
	check(t, err)
	defer model.Close()
	err = engine.Forward(model, vocab, tokens, func(int) bool { return true }, func(_ int, logits []float32) error {
		rows = append(rows, slices.Clone(logits))
		return nil
	})
	return rows, err
}

// samePersistent wants the launches' bits on some numbers of CTAs.
func samePersistent(t *testing.T, plan *engine.Plan, vocab int, tokens []int32, numbers ...int) {
	t.Helper()
	want, err := runPersistent(t, plan, vocab, tokens, 0)
	check(t, err)
	for _, ctas := range numbers {
		got, err := runPersistent(t, plan, vocab, tokens, ctas)
		check(t, err)
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%d CTAs give other bits than launches", ctas)
		}
	}
}

// TestPersistentStreams wants bodies to share tiles in pieces as launches do, some CTAs to have none at first.
func TestPersistentStreams(t *testing.T) {
	for _, c := range []struct {
		format            string
		n, cores, k, ctas int
	}{{"bf16", 130, 132, 2048, 2}, {"fp8", 130, 132, 2048, 5}, {"bf16", 390, 4, 2944, 8}, {"bf16", 390, 4, 2944, 11}} {
		n, k := c.n, c.k
		weights := fractions{map[string]int{"x": n * k, "w": n * k, "up": n * k, "bias": n, "bias_up": n}}
		plan := persistentPlan(t, wideProduct(t, n, k, true), weights, ofCores(t, "sm90", c.cores), c.format, n, nil)
		if tickets(t, plan) == 0 {
			t.Fatal("no tile is cut")
		}
		samePersistent(t, plan, n, sequence(5, n), c.ctas)
	}
}

// TestPersistentMixtures wants mixtures of experts to take part.
func TestPersistentMixtures(t *testing.T) {
	for i, target := range []string{"sm90", "sm80"} {
		c := mixtures[2*i]
		m := c.build(t)
		weights, err := interp.NewRandomWeights(m, 5)
		check(t, err)
		plan := persistentPlan(t, m, weights, gpuTarget(t, target), "bf16", c.vocab, nil)
		samePersistent(t, plan, c.vocab, sequence(7, c.vocab), 2, 5)
	}
}

// TestPersistentTurnedCaches wants warps of a body to find the numbers of rows that turn, and of results that several of them have, in memory of its own.
func TestPersistentTurnedCaches(t *testing.T) {
	const vocab = 48
	for i, target := range []string{"sm90", "sm80"} {
		m := importConfig(t, []string{turnedHeads + `"head_dim":128`, turnedHeads + `"head_dim":64`}[i], dtype.U4)
		weights, err := interp.NewRandomWeights(m, 5)
		check(t, err)
		plan := persistentPlan(t, m, weights, gpuTarget(t, target), "bf16", vocab, nil)
		samePersistent(t, plan, vocab, sequence(4, vocab), 2, 5)
	}
}

// turnedHeads are the other sizes of a model of few heads.
const turnedHeads = `{"model_type":"llama","hidden_size":64,"intermediate_size":64,"num_attention_heads":4,"num_key_value_heads":1,"vocab_size":48,`

// TestPersistentMistakesAreFound breaks what keeps CTAs of a persistent entry apart, which most runs would survive.
func TestPersistentMistakesAreFound(t *testing.T) {
	const n, k = 130, 512
	weights := fractions{map[string]int{"x": n * k, "w": n * k, "up": n * k, "bias": n, "bias_up": n}}
	for _, c := range []struct {
		target, from, to string
		kinds            []emu.Kind
	}{
		{"sm80", "ld.acquire.gpu", "ld.relaxed.gpu", []emu.Kind{emu.Race}},
		{"sm80", "red.release.gpu", "red.relaxed.gpu", []emu.Kind{emu.Race}},
		{"sm80", "atom.acq_rel.gpu", "atom.relaxed.gpu", []emu.Kind{emu.Race}},
		{"sm90", "ld.acquire.gpu", "ld.relaxed.gpu", []emu.Kind{emu.Race}},
		{"sm90", "mbarrier.inval", "// ", []emu.Kind{emu.BadOperand}},
	} {
		plan := persistentPlan(t, wideProduct(t, n, k, true), weights, gpuTarget(t, c.target), "bf16", n, func(text string) string {
			if !strings.Contains(text, c.from) {
				t.Fatalf("%s: there is no %s", c.target, c.from)
			}
			return strings.ReplaceAll(text, c.from, c.to)
		})
		_, err := runPersistent(t, plan, n, sequence(3, n), 2)
		var f *emu.Fault
		if !errors.As(err, &f) || !slices.Contains(c.kinds, f.Kind) {
			t.Errorf("%s with %s for %s: %v", c.target, c.to, c.from, err)
		}
	}
}
