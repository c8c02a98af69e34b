package dump_test

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/engine"
)

func buildPlan(t *testing.T, name, model, quant string, archs ...string) *engine.Plan {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	_, err := compiler.Build(context.Background(), compiler.Options{Model: "../../testdata/checkpoints/" + model, Out: out, Archs: archs, Quant: quant})
	check(t, err)
	plan, err := engine.Open(out)
	check(t, err)
	t.Cleanup(func() { check(t, plan.Close()) })
	return plan
}

// whats lists the differences as "what name".
func whats(c *dump.Comparison) []string {
	var out []string
	for _, d := range c.Differences {
		out = append(out, d.What+" "+d.Name)
	}
	return out
}

func TestCompare(t *testing.T) {
	bf16 := buildPlan(t, "a.plan", "qwen3-v5", "bf16", "x86-64-v3")
	again := buildPlan(t, "b.plan", "qwen3-v5", "bf16", "x86-64-v3")
	same, err := dump.Compare(bf16, again)
	check(t, err)
	if !same.Same || len(same.Differences) != 0 || same.Weights != (dump.WeightCounts{Same: len(bf16.Weights())}) {
		t.Errorf("two builds of one checkpoint differ: %+v", same)
	}

	int8 := buildPlan(t, "c.plan", "qwen3-v5", "int8", "x86-64-v3", "x86-64-v4")
	c, err := dump.Compare(bf16, int8)
	check(t, err)
	got := whats(c)
	for _, want := range []string{"model quant", "option quant", "program step/x86-64-v4", "section accuracy", "weight model.embed_tokens.weight"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not among the differences %q", want, got)
		}
	}
	for _, not := range []string{"model layers", "source config.json", "source model.safetensors", "section ir import", "weight model.norm.weight"} {
		if slices.Contains(got, not) {
			t.Errorf("%q is among the differences", not)
		}
	}
	if c.Same || c.Weights.Form == 0 || c.Weights.Same == 0 || c.Weights.OnlyOld+c.Weights.OnlyNew+c.Weights.Numbers != 0 {
		t.Errorf("weights: %+v", c.Weights)
	}
	for _, d := range c.Differences {
		if d.What == "program" && d.Name == "step/x86-64-v4" && (d.Old != nil || d.New == nil) {
			t.Errorf("a program that only the second plan has: %v, %v", d.Old, d.New)
		}
	}
}

func TestComparisonText(t *testing.T) {
	a, b := buildPlan(t, "a.plan", "qwen3-v5", "bf16", "x86-64-v3"), buildPlan(t, "b.plan", "llama-yarn", "bf16", "x86-64-v3")
	for _, row := range []struct {
		other *engine.Plan
		want  string
	}{{a, "the same plan: " + a.Digest()}, {b, "model family"}} {
		c, err := dump.Compare(a, row.other)
		check(t, err)
		var text bytes.Buffer
		check(t, c.WriteText(&text))
		if !strings.Contains(text.String(), row.want) {
			t.Errorf("%q is not in\n%s", row.want, &text)
		}
	}
}
