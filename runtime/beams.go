package runtime

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"llmc/engine"
	"llmc/runtime/beam"
)

// BeamSearch says how the most probable outputs of a request are searched for.
type BeamSearch struct {
	Width         int // outputs that are kept, and given at last
	LengthPenalty float64
	Stopping      beam.Stopping
}

// SubmitBeams searches for the most probable outputs of a request, and returns their generations, the most probable first, whose events come when the search
// is over. Of the request's sampling only the log-probabilities that are wanted count; stop strings, grammars and least lengths are not for searches.
//
// Each round is a request of one token for each output that is kept, behind the prompt and what the output has. What these share is in pages that they share,
// and of the last page, which is not full, the others get a copy: see kv.Keep.
func (e *Engine) SubmitBeams(ctx context.Context, r Request, search BeamSearch) ([]Generation, error) {
	if err := e.checkBeams(&r, &search); err != nil {
		return nil, err
	}
	if err := e.check(&r); err != nil {
		return nil, err
	}
	options := beam.Options{Width: search.Width, MaxTokens: e.MaxContext() - len(r.Prompt), LengthPenalty: search.LengthPenalty, Stopping: search.Stopping}
	if r.MaxTokens > 0 {
		options.MaxTokens = min(options.MaxTokens, r.MaxTokens)
	}
	if !r.IgnoreEOS {
		options.Ends = e.info.EOS
	}
	b := &beams{engine: e, request: r, options: options, outputs: make([]*beamOutput, search.Width)}
	ctx, cancel := context.WithCancel(ctx)
	list := make([]Generation, search.Width)
	for i := range list {
		b.outputs[i] = &beamOutput{cancel: cancel, usage: Usage{PromptTokens: len(r.Prompt)}, queue: eventQueue{ready: make(chan struct{}, 1)}}
		list[i] = b.outputs[i]
	}
	if err := e.hold(); err != nil {
		cancel()
		return nil, err
	}
	first, err := e.Submit(ctx, b.next(nil)) // which may be refused as any other
	if err != nil {
		cancel()
		e.unhold()
		return nil, err
	}
	go func() {
		defer e.unhold()
		defer cancel()
		b.run(ctx, first)
	}()
	return list, nil
}

// hold keeps the engine from being empty while it drains, until unhold: the requests of a search are not all there yet.
func (e *Engine) hold() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return ErrDraining
	}
	e.live++
	return nil
}

func (e *Engine) unhold() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live--
	e.checkEmpty()
}

func (e *Engine) checkBeams(r *Request, search *BeamSearch) error {
	options := beam.Options{Width: search.Width, Ends: e.info.EOS}
	switch {
	case search.Width < 1 || options.Candidates() > maxLogprobs:
		return &FieldError{"n", fmt.Sprintf("%d, a beam search of this model has 1 to %d beams", search.Width, maxLogprobs/max(2, 1+len(e.info.EOS)))}
	case math.IsNaN(search.LengthPenalty) || math.Abs(search.LengthPenalty) > maxPenalty:
		return &FieldError{"length_penalty", within(search.LengthPenalty, -maxPenalty, maxPenalty)}
	case e.info.Source != nil:
		return &FieldError{"use_beam_search", "the model encodes its prompts, and its outputs are not searched yet"}
	case len(r.Stop) > 0 || len(r.StopTokens) > 0 || r.Grammar != nil || r.MinTokens > 0 || r.PromptLogprobs >= 0 || len(r.Sampling.Bias) > 0 || r.Sampling.Penalized():
		return &FieldError{"use_beam_search", "takes no stop strings or tokens, grammar, least length, penalties, bias or log-probabilities of the prompt"}
	}
	return nil
}

// maxPenalty bounds length penalties.
const maxPenalty = 100

// beams is a search on its way.
type beams struct {
	engine  *Engine
	request Request
	options beam.Options
	outputs []*beamOutput

	cached int // tokens of the prompt that were found in the cache
}

// next is the request for what follows an output.
func (b *beams) next(output []int32) Request {
	r := b.request
	r.Prompt = slices.Concat(b.request.Prompt, output)
	r.MaxTokens, r.IgnoreEOS = 1, true
	r.Sampling = engine.Sampling{TopP: 1, RepetitionPenalty: 1, Logprobs: int32(b.options.Candidates())}
	r.Continues = len(output) > 0
	if r.Continues {
		r.FirstToken = b.request.Deadline
	}
	return r
}

// run searches, and hands out what was found. The first round has been submitted.
func (b *beams) run(ctx context.Context, first Generation) {
	search := beam.New(b.options)
	round := []Generation{first}
	for {
		next, err := b.take(ctx, round, len(search.Open()[0].Tokens) == 0)
		if err != nil {
			b.fail(err)
			return
		}
		search.Advance(next)
		if search.Done() {
			b.hand(search.Best())
			return
		}
		requests := make([]Request, len(search.Open()))
		for i, open := range search.Open() {
			requests[i] = b.next(open.Tokens)
		}
		if round, err = b.engine.submit(ctx, requests...); err != nil {
			b.fail(err)
			return
		}
	}
}

// take waits for what follows the outputs of a round.
func (b *beams) take(ctx context.Context, round []Generation, first bool) (next [][]engine.TokenLogprob, err error) {
	for _, g := range round {
		event, ok := g.Next(ctx)
		switch {
		case !ok:
			return nil, context.Cause(ctx)
		case event.Err != nil:
			return nil, event.Err
		case event.Token < 0:
			return nil, cmp.Or(context.Cause(ctx), ErrDraining)
		}
		next = append(next, event.Logprob.Top)
		if first {
			b.cached = g.Usage().CachedTokens
		}
	}
	return next, nil
}

// hand gives each generation its output.
func (b *beams) hand(best []beam.Output) {
	now := b.engine.options.Now()
	top := max(0, int(b.request.Sampling.Logprobs))
	for i, g := range b.outputs {
		if i >= len(best) { // the vocabulary has no more
			g.end(Event{Token: -1, Finish: FinishLength, Time: now}, b.cached)
			continue
		}
		text := b.engine.newStream(b.request.SkipSpecial)
		for n, step := range best[i].Steps {
			last := n == len(best[i].Steps)-1
			event := Event{Token: step.Token, Time: now}
			if b.request.Sampling.Logprobs >= 0 {
				event.Logprob = step
				event.Logprob.Top = slices.Clone(step.Top[:min(top, len(step.Top))])
			}
			if !last || !best[i].Ended {
				event.Text = text.Next(step.Token)
			}
			if !last {
				g.queue.put(event)
				continue
			}
			event.Text += text.Flush()
			if event.Finish = FinishLength; best[i].Ended {
				event.Finish = FinishStop
			}
			g.tokens(n + 1)
			g.end(event, b.cached)
		}
	}
}

// fail ends all generations with an error.
func (b *beams) fail(err error) {
	for _, g := range b.outputs {
		g.end(Event{Token: -1, Finish: FinishError, Err: err, Time: b.engine.options.Now()}, b.cached)
	}
}

// beamOutput is the generation of one of the outputs.
type beamOutput struct {
	cancel context.CancelFunc
	queue  eventQueue

	mu    sync.Mutex
	usage Usage
}

func (g *beamOutput) tokens(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.usage.OutputTokens = n
}

func (g *beamOutput) end(event Event, cached int) {
	g.mu.Lock()
	g.usage.CachedTokens = cached
	g.mu.Unlock()
	g.queue.put(event)
}

// Next implements Generation.
func (g *beamOutput) Next(ctx context.Context) (Event, bool) { return g.queue.next(ctx) }

// Cancel implements Generation. It ends the search for the others too.
func (g *beamOutput) Cancel() { g.cancel() }

// Usage implements Generation.
func (g *beamOutput) Usage() Usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.usage
}

// PromptLogprobs implements Generation: a search tells none.
func (g *beamOutput) PromptLogprobs() []engine.Sampled { return nil }
