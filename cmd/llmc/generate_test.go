package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"llmc/compiler"
)

// TestGenerateTokens wants of `llmrun generate` the JSON that the documentation promises, with a tokenizer in the plan and without one.
func TestGenerateTokens(t *testing.T) {
	generate := llmrunGenerate(t, 4)
	const demo = "../../testdata/demo"
	bare := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(demo, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bare, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type answer struct {
		Tokens []int32 `json:"tokens"`
		Prompt []int32 `json:"prompt_tokens"`
		Text   *string `json:"text"`
	}
	answers := map[string]answer{}
	for _, dir := range []string{demo, bare} {
		plan := filepath.Join(t.TempDir(), "x.plan")
		if _, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: plan, Quant: "f32"}); err != nil {
			t.Fatal(err)
		}
		text, failure := generate(plan, "--tokens", "5,6,7")
		if failure != "" {
			t.Fatal(failure)
		}
		var a answer
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if len(a.Tokens) != 4 || a.Text == nil || !slices.Equal(a.Prompt, []int32{5, 6, 7}) {
			t.Errorf("%s", text)
		}
		answers[dir] = a
		if _, failure := generate(plan, "--prompt", "x"); dir == bare && !strings.Contains(failure, "no tokenizer") {
			t.Errorf("a text without a tokenizer: %q", failure)
		}
	}
	if !slices.Equal(answers[demo].Tokens, answers[bare].Tokens) || *answers[demo].Text == "" || *answers[bare].Text != "" {
		t.Errorf("%+v", answers)
	}
}

// llmrunGenerate builds llmrun and returns a function that runs its generate command: what it prints, or what it says on failure.
func llmrunGenerate(t *testing.T, tokens int) func(plan string, args ...string) (out []byte, failure string) {
	t.Helper()
	llmrun := filepath.Join(t.TempDir(), "llmrun")
	if out, err := exec.Command("go", "build", "-o", llmrun, "../llmrun").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return func(plan string, args ...string) ([]byte, string) {
		args = append([]string{"generate", plan, "--max-tokens", strconv.Itoa(tokens), "--ignore-eos", "--json", "--threads", "1"}, args...)
		cmd := exec.Command(llmrun, args...)
		var failure strings.Builder
		cmd.Stderr = &failure
		out, err := cmd.Output()
		if err == nil {
			return out, ""
		}
		return nil, failure.String()
	}
}

// TestGenerateGoldens wants the tokens of a run without a cache, also where outputs leave windows and change rotary frequencies.
func TestGenerateGoldens(t *testing.T) {
	generate := llmrunGenerate(t, 16)
	for _, name := range []string{"llama-longrope", "llama-yarn", "mistral-v5", "qwen2-windows", "qwen3-v5"} {
		dir := filepath.Join("../../testdata/checkpoints", name)
		plan := filepath.Join(t.TempDir(), "x.plan")
		if _, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: plan, Quant: "f32"}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
		if err != nil {
			t.Fatal(err)
		}
		var golden struct {
			Prompts []struct {
				IDs      []int32
				Generate struct {
					IDs  []int32
					Gaps []float64
				}
			}
		}
		if err := json.Unmarshal(text, &golden); err != nil {
			t.Fatal(err)
		}
		for _, p := range golden.Prompts {
			list := strings.Trim(strings.ReplaceAll(fmt.Sprint(p.IDs), " ", ","), "[]")
			out, failure := generate(plan, "--tokens", list)
			var got struct{ Tokens []int32 }
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%v, %s", err, failure)
			}
			certain := slices.IndexFunc(p.Generate.Gaps, func(gap float64) bool { return gap < 0.005 })
			if certain < 0 {
				certain = len(p.Generate.IDs)
			}
			if len(got.Tokens) != len(p.Generate.IDs) || !slices.Equal(got.Tokens[:certain], p.Generate.IDs[:certain]) {
				t.Errorf("%s, prompt of %d: %v, want %v", name, len(p.IDs), got.Tokens, p.Generate.IDs)
			}
		}
	}
}
