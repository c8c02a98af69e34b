package calib

import (
	"context"
	"math"
	"testing"

	"llmc/engine"
)

// bigram is a model whose logits depend on the last token alone.
type bigram struct {
	vocab int
	logit func(last, next int) float32
}

func (b bigram) Limits() (engine.Settings, int) {
	return engine.Settings{MaxStepTokens: 100, MaxRows: 30, MaxSequences: 1, MaxContext: 1024, PageSize: 16}, 64
}

func (b bigram) Step(s *engine.Step, _ []engine.Sampled) error {
	for _, row := range s.Rows {
		for i := range row.Logits {
			row.Logits[i] = b.logit(int(s.IDs[row.Token]), i)
		}
	}
	return nil
}

func (bigram) CopyPage(dst, src int32) error { return nil }
func (bigram) Close() error                  { return nil }

func TestEvaluate(t *testing.T) {
	ids := make([]int32, 3*Window+17)
	for i := range ids {
		ids[i] = int32(i % 8)
	}
	uniform := bigram{8, func(int, int) float32 { return 3 }}
	// knows gives the right next token the probability 1/2 and the others 1/14 each.
	knows := bigram{8, func(last, next int) float32 {
		if next == (last+1)%8 {
			return float32(math.Log(7))
		}
		return 0
	}}
	q, err := Evaluate(context.Background(), knows, uniform, 8, ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The first half of each window is context only: 256 positions of each of the 3 windows are scored.
	if q.Tokens != 3*Window/2 || math.Abs(q.PPL-2) > 1e-5 || math.Abs(*q.PPLRef-8) > 1e-5 {
		t.Errorf("tokens %d, perplexity %v and %v; want %d, 2 and 8", q.Tokens, q.PPL, *q.PPLRef, 3*Window/2)
	}
	want := 0.125 * (math.Log(0.125/0.5) + 7*math.Log(0.125*14))
	if math.Abs(*q.KL-want) > 1e-6 {
		t.Errorf("divergence %v, want %v", *q.KL, want)
	}
	self, err := Evaluate(context.Background(), knows, knows, 8, ids, nil)
	if err != nil || *self.KL > 1e-9 || *self.Top1 != 1 {
		t.Errorf("against itself: divergence %v, agreement %v, %v", *self.KL, *self.Top1, err)
	}
	short, err := Evaluate(context.Background(), knows, nil, 8, ids[:9], nil)
	if err != nil || short.Tokens != 5 || math.Abs(short.PPL-2) > 1e-5 {
		t.Errorf("a text of 9 tokens: %+v, %v; want the last 5 scored", short, err)
	}
	if _, err := Evaluate(context.Background(), knows, nil, 8, ids[:1], nil); err == nil {
		t.Error("a text of one token was scored")
	}
}
