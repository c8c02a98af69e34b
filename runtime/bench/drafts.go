package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"llmc/engine"
	"llmc/runtime"
)

// DraftConfig says what to measure of a model whose next tokens are guessed.
type DraftConfig struct {
	Config
	Text     []int32 // that prompts are cut from; nil: random tokens
	Drafting runtime.Drafting
}

// DraftRow is the result for one batch size: medians of runs with guesses and of runs without, in turn. Both go through the step loop, as in the server.
type DraftRow struct {
	Row
	PlainTS  float64 `json:"plain_decode_tps"` // without guesses
	Tokens   int     `json:"draft_tokens"`     // guesses that were verified, in all runs
	Accepted int     `json:"accepted_tokens"`  // of these, those that were right
}

// errDiffers is a fault of the program: guesses may not change what is sampled.
var errDiffers = errors.New("guesses changed the tokens")

// RunDrafts measures a loaded plan with guesses beside the same without.
func RunDrafts(ctx context.Context, loaded *runtime.Loaded, c DraftConfig) ([]DraftRow, error) {
	limits, pages := loaded.Model.Limits()
	with, err := newLoop(loaded, c.Drafting)
	if err != nil {
		return nil, err
	}
	defer with.engine.Close()
	without, err := newLoop(loaded, runtime.Drafting{})
	if err != nil {
		return nil, err
	}
	defer without.engine.Close()
	rows := make([]DraftRow, 0, len(c.Batches))
	for _, batch := range c.Batches {
		if err := check(c.Config, batch, limits, pages); err != nil {
			return rows, err
		}
		row := DraftRow{Row: Row{Batch: batch, Prompt: c.Prompt, Gen: c.Gen}}
		var prefill, plain, decode []float64
		for repeat := range c.Repeat {
			prompts, err := c.prompts(batch, repeat, loaded.Info.Vocab)
			if err != nil {
				return rows, err
			}
			before, err := without.run(ctx, prompts, c.Gen)
			if err != nil {
				return rows, err
			}
			after, err := with.run(ctx, prompts, c.Gen)
			if err != nil {
				return rows, err
			}
			if !slices.EqualFunc(before.tokens, after.tokens, slices.Equal) {
				return rows, fmt.Errorf("batch %d: %w", batch, errDiffers)
			}
			prefill, plain, decode = append(prefill, after.prefill.Seconds()), append(plain, before.decode.Seconds()), append(decode, after.decode.Seconds())
			row.Tokens, row.Accepted = row.Tokens+after.drafted, row.Accepted+after.accepted
		}
		row.PrefillTS = float64(batch*c.Prompt) / Median(prefill)
		decoded := float64(batch * (c.Gen - 1)) // the first token is the prompt's
		row.DecodeTS, row.PlainTS, row.PeakRSS = decoded/Median(decode), decoded/Median(plain), peakRSS()
		rows = append(rows, row)
	}
	return rows, nil
}

// prompts returns a batch that no other run has.
func (c *DraftConfig) prompts(batch, repeat, vocab int) ([][]int32, error) {
	prompts := make([][]int32, batch)
	random := rand.New(rand.NewPCG(uint64(repeat), uint64(batch)))
	for i := range prompts {
		if c.Text == nil {
			for range c.Prompt {
				prompts[i] = append(prompts[i], random.Int32N(int32(vocab)))
			}
			continue
		}
		if len(c.Text) < c.Prompt {
			return nil, fmt.Errorf("the text has %d tokens, a prompt %d", len(c.Text), c.Prompt)
		}
		at := random.IntN(len(c.Text) - c.Prompt + 1)
		prompts[i] = c.Text[at : at+c.Prompt]
	}
	return prompts, nil
}

// loop is an engine whose runs are timed.
type loop struct{ engine *runtime.Engine }

func newLoop(loaded *runtime.Loaded, drafting runtime.Drafting) (*loop, error) {
	e, err := runtime.New(loaded.Model, loaded.Info, nil, runtime.Options{NoPrefixCache: true, Drafting: drafting})
	return &loop{e}, err
}

// looped is what became of a batch.
type looped struct {
	tokens            [][]int32
	prefill, decode   time.Duration
	drafted, accepted int
}

// run serves a batch that arrives together, until all have gen tokens.
func (l *loop) run(ctx context.Context, prompts [][]int32, gen int) (looped, error) {
	var r looped
	var all []runtime.Generation
	start := time.Now()
	for _, p := range prompts {
		g, err := l.engine.Submit(ctx, runtime.Request{
			Prompt: p, MaxTokens: gen, IgnoreEOS: true, PromptLogprobs: -1, Sampling: engine.Sampling{Logprobs: -1},
		})
		if err != nil {
			return r, err
		}
		all = append(all, g)
	}
	var first, last time.Time
	for _, g := range all {
		var tokens []int32
		for {
			event, ok := g.Next(ctx)
			if !ok {
				break
			}
			if event.Err != nil {
				return r, event.Err
			}
			if len(tokens) == 0 && event.Time.After(first) {
				first = event.Time
			}
			if event.Time.After(last) {
				last = event.Time
			}
			tokens = append(tokens, event.Token)
		}
		usage := g.Usage()
		r.tokens, r.drafted, r.accepted = append(r.tokens, tokens), r.drafted+usage.DraftTokens, r.accepted+usage.AcceptedTokens
	}
	r.prefill, r.decode = first.Sub(start), last.Sub(first)
	return r, ctx.Err()
}
