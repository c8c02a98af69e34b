package runtime

import (
	"context"
	"slices"

	"llmc/runtime/sched"
)

// Submit queues a request; it does not wait. The generation is cancelled when ctx ends. The engine keeps the slices of the
// request's options, which must not change until the generation has ended; the prompt is copied.
func (e *Engine) Submit(ctx context.Context, r Request) (Generation, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.check(&r); err != nil {
		return nil, err
	}
	g := e.newGeneration(&r)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining.Load() {
		return nil, ErrDraining
	}
	if err := r.Adapter.use(e); err != nil {
		return nil, err
	}
	request := e.request(&r, g)
	if err := e.place(&r, &request, g); err != nil {
		r.Adapter.leave()
		return nil, err
	}
	seq, err := e.sched.Add(request)
	if err != nil { // sched.ErrQueueFull; there is no other
		r.Adapter.leave() // which it had not when it was taken away
		return nil, ErrQueueFull
	}
	g.seq = seq
	e.publish()
	e.pictureBytes += g.pictureBytes
	g.leave = context.AfterFunc(ctx, g.Cancel)
	e.live++
	e.signal()
	return g, nil
}

func (e *Engine) newGeneration(r *Request) *generation {
	return &generation{
		engine:     e,
		text:       e.newStream(r.SkipSpecial),
		stops:      newStopMatcher(r.Stop),
		stopTokens: r.StopTokens,
		ignoreEOS:  r.IgnoreEOS,
		minTokens:  r.MinTokens,
		logprobs:   r.Sampling.Logprobs >= 0,
		arrived:    e.options.Now(),
		queue:      eventQueue{ready: make(chan struct{}, 1)},
		adapter:    r.Adapter,
		usage:      Usage{PromptTokens: len(r.Prompt)},
	}
}

// request says to the scheduler what a request asks for.
func (e *Engine) request(r *Request, g *generation) sched.Request {
	stops := slices.Clone(r.StopTokens)
	if !r.IgnoreEOS {
		stops = append(stops, e.info.EOS...)
	}
	request := sched.Request{
		Prompt: r.Prompt, MaxTokens: r.MaxTokens, MinTokens: r.MinTokens, Sampling: r.Sampling, StopTokens: stops,
		PromptLogprobs: r.PromptLogprobs, Salt: r.CacheSalt, Priority: r.Priority, Deadline: r.Deadline, Owner: g,
	}
	if r.Grammar != nil {
		request.Constraint = constraint{r.Grammar.Start()}
		if r.IgnoreEOS { // the end is no token of text
			request.Sampling.Banned = append(slices.Clone(r.Sampling.Banned), e.info.EOS...)
		}
	}
	if r.Adapter != nil {
		request.Adapter = r.Adapter.seat
	}
	if source := e.info.Source; source != nil {
		request.Source, request.Prompt = r.Prompt, source.Start
		if !r.IgnoreEOS { // which asks for what the model itself says
			request.First, request.Last = source.First, source.Last
		}
	}
	return request
}
