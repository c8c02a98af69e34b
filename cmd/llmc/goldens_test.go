package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime"
)

// recorded is a checkpoint's golden.json: greedy outputs of a run without a cache.
type recorded struct {
	Prompts []struct {
		IDs      []int32 `json:"ids"`
		Generate struct {
			IDs  []int32   `json:"ids"`
			Gaps []float64 `json:"gaps"`
		} `json:"generate"`
	} `json:"prompts"`
}

// TestGenerateGoldens serves checkpoints and wants the tokens of a run without a cache, also where outputs leave windows and change
// rotary frequencies.
func TestGenerateGoldens(t *testing.T) {
	for _, name := range []string{"llama-dynamic", "llama-longrope", "llama-yarn", "mistral-v5", "qwen2-windows", "qwen3-v5"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("../../testdata/checkpoints", name)
			text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			if err != nil {
				t.Fatal(err)
			}
			var golden recorded
			if err := json.Unmarshal(text, &golden); err != nil {
				t.Fatal(err)
			}
			e := serve(t, dir)
			for _, p := range golden.Prompts {
				want, sure := p.Generate.IDs, slices.IndexFunc(p.Generate.Gaps, func(gap float64) bool { return gap < 0.005 })
				if sure >= 0 {
					want = want[:sure]
				}
				if got := greedy(t, e, p.IDs, len(p.Generate.IDs)); len(got) != len(p.Generate.IDs) || !slices.Equal(got[:len(want)], want) {
					t.Errorf("prompt of %d: %v, want %v", len(p.IDs), got, want)
				}
			}
		})
	}
}

func serve(t *testing.T, dir string) *runtime.Engine {
	t.Helper()
	plan := filepath.Join(t.TempDir(), "x.plan")
	if _, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: plan, Quant: "f32"}); err != nil {
		t.Fatal(err)
	}
	loaded, err := runtime.Load(plan, "cpu", engine.Settings{Threads: 1, MaxSequences: 1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := runtime.New(loaded.Model, loaded.Info, nil, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(); loaded.Close() })
	return e
}

func greedy(t *testing.T, e *runtime.Engine, prompt []int32, tokens int) []int32 {
	t.Helper()
	g, err := e.Submit(t.Context(), runtime.Request{
		Prompt: prompt, MaxTokens: tokens, IgnoreEOS: true, PromptLogprobs: -1, Sampling: engine.Sampling{Logprobs: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []int32
	for {
		event, ok := g.Next(t.Context())
		if !ok {
			return got
		}
		if event.Err != nil {
			t.Fatal(event.Err)
		}
		if event.Token >= 0 {
			got = append(got, event.Token)
		}
	}
}
