package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
)

// TestGenerateTokens wants of `llmrun generate` the JSON that the documentation promises, with a tokenizer in the plan and without one.
func TestGenerateTokens(t *testing.T) {
	generate := llmrunGenerate(t)
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
func llmrunGenerate(t *testing.T) func(plan string, args ...string) (out []byte, failure string) {
	t.Helper()
	if _, err := os.Stat("../llmrun/generate.go"); err != nil { // so that a cached result of the test does not outlive the command
		t.Fatal(err)
	}
	llmrun := filepath.Join(t.TempDir(), "llmrun")
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", llmrun, "../llmrun").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return func(plan string, args ...string) ([]byte, string) {
		args = append([]string{"generate", plan, "--max-tokens", "4", "--ignore-eos", "--json", "--threads", "1"}, args...)
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
