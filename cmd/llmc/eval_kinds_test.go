package main

import (
	"os"
	"path/filepath"
	"testing"

	"llmc/internal/clitest"
	"llmc/internal/golden"
)

type evaluatedJSON struct {
	PPL    float64
	PPLRef *float64 `json:"ppl_ref"`
	KL     *float64
	Tokens int

	Gives     string
	Lines     int
	Cosine    *float64
	CosineMin *float64 `json:"cosine_min"`
	Top1      *float64
	Diff      *float64
}

// evaluate builds a checkpoint and evaluates the plan on a text, beside the checkpoint if against is set.
func evaluate(t *testing.T, checkpoint, quant, text string, against bool) (clitest.Result, []string) {
	t.Helper()
	dir := t.TempDir()
	plan, file, model := filepath.Join(dir, "x.plan"), filepath.Join(dir, "text"), golden.Shared(t, "checkpoints", checkpoint)
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	clitest.Run(t, "", "build", model, "-o", plan, "--quant", quant).Done(t)
	args := []string{"eval", plan, "--text", file, "--json"}
	if against {
		args = append(args, "--against", model)
	}
	return clitest.Run(t, "", args...), args
}

// TestEvalOfEncoderDecoders scores the targets of pairs with their end, whatever lines without anything stand between them.
func TestEvalOfEncoderDecoders(t *testing.T) {
	var q, fewer evaluatedJSON
	r, args := evaluate(t, "t5", "int8", "a house\tein Haus\n\nthe end\tdas Ende\r\n", true)
	r.JSON(t, &q)
	if !(q.PPL > 1) || q.PPLRef == nil || q.KL == nil || *q.KL <= 0 || q.Tokens < 6 {
		t.Errorf("%+v", q)
	}
	clitest.Run(t, "", append(args[:5:5], "--windows", "1")...).JSON(t, &fewer)
	if fewer.Tokens >= q.Tokens || fewer.PPLRef != nil {
		t.Errorf("%+v of one pair, %+v of two", fewer, q)
	}
	r, _ = evaluate(t, "t5", "int8", "no tab\n", false)
	r.Refused(t, 1, "line 1 is not a source, a tab and a target")
}

func TestEvalOfEncoders(t *testing.T) {
	text := "one\nanother one\nsomething else\n"
	var q evaluatedJSON
	r, args := evaluate(t, "bert-minilm", "int8", text, true)
	r.JSON(t, &q)
	if q.Gives != "embedding" || q.Lines != 3 || q.Cosine == nil || *q.Cosine < 0.99 || *q.Cosine > 1-1e-9 || *q.CosineMin > *q.Cosine || q.Top1 == nil {
		t.Errorf("%+v", q)
	}
	clitest.Run(t, "", args[:5]...).Refused(t, 1, "has no perplexity: --against MODEL compares")
	var score evaluatedJSON
	r, _ = evaluate(t, "xlm-roberta-reranker", "int8", "a question\tan answer\nanother\tno answer\n", true)
	r.JSON(t, &score)
	if score.Gives != "score" || score.Lines != 2 || score.Diff == nil || *score.Diff <= 0 || *score.Diff > 0.1 || score.Cosine != nil {
		t.Errorf("%+v", score)
	}
	r, _ = evaluate(t, "vit-classifier", "int8", text, true)
	r.Refused(t, 1, "reads images alone, no text")
}
