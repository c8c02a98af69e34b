package runtime

import (
	"context"
	"errors"
	"fmt"

	"llmc/engine"
)

// Prefill is a prompt that is being computed for its pages, which another process is to have.
type Prefill struct {
	*Pages
	generation Generation
	ended      chan struct{} // closed when the generation has
	failure    error         // then
}

// errShortPrefill is a prompt whose computation has ended without all of its pages.
var errShortPrefill = errors.New("the prompt was not computed to its end")

// Prefill computes a request's prompt and keeps its pages until Release. Of the request, the prompt and what decides who is served first count.
func (e *Engine) Prefill(ctx context.Context, r Request) (*Prefill, error) {
	r.MaxTokens, r.MinTokens, r.IgnoreEOS, r.PromptLogprobs = 1, 0, true, -1
	r.Sampling, r.Grammar, r.Stop, r.StopTokens = engine.Sampling{Logprobs: -1}, nil, nil, nil
	pages, err := e.HoldPages(&r)
	if err != nil {
		return nil, err
	}
	p := &Prefill{Pages: pages, ended: make(chan struct{})}
	if p.Known() == p.Most() {
		close(p.ended)
		return p, nil
	}
	if p.generation, err = e.Submit(ctx, r); err != nil {
		pages.Release()
		return nil, err
	}
	go p.follow(ctx)
	return p, nil
}

// follow waits for the end of the generation.
func (p *Prefill) follow(ctx context.Context) {
	defer close(p.ended)
	for {
		e, more := p.generation.Next(ctx)
		if !more {
			p.failure = context.Cause(ctx)
			return
		}
		if e.Finish != "" {
			p.failure = e.Err
			return
		}
	}
}

// Wait waits until page i is known. It fails when the computation has ended without it.
func (p *Prefill) Wait(ctx context.Context, i int) error {
	for p.Known() <= i {
		select {
		case <-p.more:
		case <-p.ended:
			if p.Known() > i {
				return nil
			}
			if p.failure != nil {
				return fmt.Errorf("%w: %w", errShortPrefill, p.failure)
			}
			return errShortPrefill
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Release ends the computation, if it has not ended, and the keeping of the pages.
func (p *Prefill) Release() {
	if p.generation != nil {
		p.generation.Cancel()
	}
	p.Pages.Release()
}
