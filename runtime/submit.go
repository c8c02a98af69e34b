package runtime

import (
	"context"
	"slices"

	"llmc/runtime/sched"
)

// Submit queues a request; it does not wait. The generation is cancelled when ctx ends. The engine keeps the slices of the
// request's options, which must not change until the generation has ended; the prompt is copied.
func (e *Engine) Submit(ctx context.Context, r Request) (Generation, error) {
	list, err := e.submit(ctx, r)
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// submit queues requests, all of which the next step finds there. If one is refused none runs.
func (e *Engine) submit(ctx context.Context, requests ...Request) (list []Generation, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i := range requests {
		if err := e.check(&requests[i]); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range requests {
		g, err := e.queue(ctx, &requests[i])
		if err != nil {
			for _, added := range list {
				e.sched.Abort(added.(*generation).seq)
			}
			return nil, err
		}
		list = append(list, g)
	}
	e.signal()
	return list, nil
}

// queue gives a request to the scheduler. The caller holds the lock.
func (e *Engine) queue(ctx context.Context, r *Request) (*generation, error) {
	g := e.newGeneration(r)
	if e.draining && (e.closed || !r.Continues) {
		return nil, ErrDraining
	}
	if err := r.Adapter.use(e); err != nil {
		return nil, err
	}
	request := e.request(r, g)
	if err := e.place(r, &request, g); err != nil {
		r.Adapter.leave()
		return nil, err
	}
	if err := e.inTime(&request, g.arrived); err != nil {
		r.Adapter.leave()
		return nil, err
	}
	seq, err := e.sched.Add(request)
	if err != nil { // sched.ErrQueueFull; there is no other
		r.Adapter.leave() // which it had not when it was taken away
		return nil, ErrQueueFull
	}
	g.seq = seq
	e.pictureBytes += g.pictureBytes
	g.leave = context.AfterFunc(ctx, g.Cancel)
	e.live++
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
		PromptLogprobs: r.PromptLogprobs, Salt: r.CacheSalt, Priority: r.Priority, Tenant: r.Tenant, Share: r.Share, Continues: r.Continues, Deadline: e.deadline(r, g.arrived), Owner: g,
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
