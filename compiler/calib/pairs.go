package calib

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"llmc/engine"
)

// Pairs are how many pairs, or lines, are scored at most.
const Pairs = 1024

// Pair is a text that an encoder-decoder encodes, and what it should make of it, as the tokenizer gives both with special tokens.
type Pair struct{ Source, Target []int32 }

// EvaluatePairs scores the targets of pairs, each token given its source and the tokens before it, which come behind start: the loss that transformers gives for
// such labels, over all tokens of all pairs. reference and progress are as in Evaluate.
func EvaluatePairs(ctx context.Context, model, reference engine.Model, vocab int, start []int32, pairs []Pair, progress func(done, total int)) (*Quality, error) {
	if len(pairs) == 0 {
		return nil, errors.New("no pairs to score")
	}
	if len(start) == 0 {
		return nil, errors.New("the plan says no token that outputs come behind")
	}
	e := evaluation{vocab: vocab}
	for i, p := range pairs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(p.Source) == 0 || len(p.Target) == 0 {
			return nil, fmt.Errorf("pair %d: a source of %d tokens and a target of %d; both need one", i+1, len(p.Source), len(p.Target))
		}
		s := scored{text: p.Source, ids: slices.Concat(start, p.Target[:len(p.Target)-1]), first: len(start) - 1, next: p.Target}
		if err := e.score(model, reference, s); err != nil {
			return nil, fmt.Errorf("pair %d: %w", i+1, err)
		}
		if progress != nil {
			progress(i+1, len(pairs))
		}
	}
	return e.quality(reference != nil), nil
}
