package compiler

import (
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/ir"
)

// TestPassesJudged wants every small thing that a pass could get wrong to be seen, whatever the format rounds, and right passes to agree to f32.
func TestPassesJudged(t *testing.T) {
	const dir = "../testdata/checkpoints/qwen3-v5"
	path := filepath.Join(t.TempDir(), "engine.plan")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := Build(t.Context(), Options{Model: dir, Out: path, Quant: "fp8", Archs: []string{"sm89"}})
	check(err)
	plan, err := engine.Open(path)
	check(err)
	defer plan.Close()
	checkpoint, err := hf.Open(dir)
	check(err)
	defer checkpoint.Close()
	program, err := plan.Program("step", "sm89")
	check(err)
	programs := []*engine.Program{program}
	final, err := finalModule(plan, programs)
	check(err)
	imported, err := models.Import(checkpoint, models.Options{KV: cacheType(programs)})
	check(err)
	stored, err := newStoredWeights(checkpoint, plan, programs)
	check(err)
	r := reference{imported: imported.Module, final: final, weights: stored, function: "step", verifyInput: verifyInput{tokens: []int32{1, 2, 3, 5, 8, 13, 21, 34, 7, 41, 1, 42, 43, 38, 34, 25}}}
	right, err := r.passes()
	check(err)
	if len(right.wrong) != 0 || !(right.MaxErr < 1e-6) || right.Compared < imported.Info.Layers {
		t.Errorf("%d values compared, the largest error is %.2g; wrong are %v", right.Compared, right.MaxErr, right.wrong)
	}
	text := ir.Print(final)
	for _, c := range []struct{ old, new string }{
		{"scale=0.25", "scale=0.26"}, {"window=9", "window=10"}, {"eps=1e-06", "eps=1e-05"}, {"interleave(8, ", "interleave(4, "}, {"q_norm.weight, %", "k_norm.weight, %"},
		{`tensor("model.layers.0.self_attn.k_proj.weight"`, `tensor("model.layers.0.self_attn.v_proj.weight"`},
		{"%embed, %model.layers.0.post_attention_layernorm.weight", "%embed, %model.layers.0.input_layernorm.weight"},
	} {
		if !strings.Contains(text, c.old) {
			t.Fatalf("no %s in the IR after the passes", c.old)
		}
		if r.final, err = ir.Parse(strings.Replace(text, c.old, c.new, 1)); err != nil {
			t.Fatal(err)
		}
		wrong, err := r.passes()
		check(err)
		if len(wrong.wrong) == 0 {
			t.Errorf("%s in place of %s is not seen", c.new, c.old)
		}
	}
}
