package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/internal/clitest"
	"llmc/internal/golden"
)

// onCPUs skips a test of what GPUs have no code for where plans are built for one.
func onCPUs(t *testing.T, what string) {
	t.Helper()
	if arch := os.Getenv(buildArch); arch != "" {
		t.Skipf("SKIPPED: %s has no code for %s", arch, what)
	}
}

// buildShared compiles a checkpoint. GPUs have no code for encoder-decoders.
func buildShared(t *testing.T, name string) string {
	t.Helper()
	if name == "bart" {
		onCPUs(t, "encoder-decoders")
	}
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Rel(testdata, golden.Shared(t, "checkpoints", name))
	if err != nil {
		t.Fatal(err)
	}
	return buildDemo(t, dir)
}

func TestLogitsOfEncoders(t *testing.T) {
	plan := buildShared(t, "qwen3-embedding")
	var text, ids, query struct{ Embedding []float32 }
	clitest.Run(t, "", "logits", plan, "--text", "Hello", "--json").JSON(t, &text)
	clitest.Run(t, "", "logits", plan, "--tokens", "39,68,322,78,509", "--json").JSON(t, &ids)
	clitest.Run(t, "", "logits", plan, "--text", "Hello", "--prompt-name", "query", "--json").JSON(t, &query)
	if len(text.Embedding) != 64 || !slices.Equal(text.Embedding, ids.Embedding) || slices.Equal(text.Embedding, query.Embedding) {
		t.Errorf("of a text %v, of its ids %v, behind a prompt %v", text.Embedding[:1], ids.Embedding[:1], query.Embedding[:1])
	}
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"logits", plan, "--text", "x", "--prompt-name", "other"}, 1, `no such prompt: "other"; the plan has query, document`},
		{[]string{"logits", plan, "--tokens", "1", "--text-pair", "x"}, 2, "--text-pair and --prompt-name go with --text"},
		{[]string{"generate", plan, "--prompt", "x"}, 1, "the plan has no function step, it has embed"},
		{[]string{"serve", plan, "--draft", plan, "--port", "0"}, 2, "guesses tokens"},
	} {
		clitest.Run(t, "", c.args...).Refused(t, c.code, c.text)
	}
}

func TestLogitsOfRerankers(t *testing.T) {
	plan := buildShared(t, "xlm-roberta-reranker")
	var score struct{ Score float64 }
	clitest.Run(t, "", "logits", plan, "--text", "a question", "--text-pair", "an answer", "--json").JSON(t, &score)
	if score.Score <= 0 || score.Score >= 1 {
		t.Errorf("score %v", score.Score)
	}
}
