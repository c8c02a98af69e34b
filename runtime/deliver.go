package runtime

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"llmc/engine"
	"llmc/runtime/sched"
)

// generation is a request on its way. The loop writes events into its queue, the consumer reads them.
type generation struct {
	engine  *Engine
	seq     *sched.Sequence
	adapter *Adapter    // nil: none
	leave   func() bool // takes Cancel off the submission's context

	pictureBytes int64 // of the prompt's images

	// The loop's own.
	text       TextStream
	stops      *stopMatcher
	stopTokens []int32 // the request's, not the model's
	ignoreEOS  bool
	minTokens  int
	logprobs   bool
	arrived    time.Time
	first      time.Time // when the first token came
	closed     bool      // the last event has been put
	guesses    guesser

	queue   eventQueue
	usage   Usage            // guarded by queue.mu
	prompts []engine.Sampled // guarded by queue.mu
}

// Next implements Generation.
func (g *generation) Next(ctx context.Context) (Event, bool) { return g.queue.next(ctx) }

// Cancel implements Generation.
func (g *generation) Cancel() {
	e := g.engine
	e.mu.Lock()
	e.sched.Abort(g.seq)
	e.mu.Unlock()
	e.signal()
}

// Usage implements Generation.
func (g *generation) Usage() Usage {
	g.queue.mu.Lock()
	defer g.queue.mu.Unlock()
	return g.usage
}

// PromptLogprobs implements Generation.
func (g *generation) PromptLogprobs() []engine.Sampled {
	g.queue.mu.Lock()
	defer g.queue.mu.Unlock()
	return g.prompts
}

// deliver hands out e.outputs.
func (e *Engine) deliver() {
	ended, pictures := 0, int64(0)
	var left, unused []*Adapter
	now := e.options.Now()
	for i := range e.outputs {
		g := e.outputs[i].Seq.Owner().(*generation)
		if e.hand(g, &e.outputs[i], now) {
			ended++
			pictures += g.pictureBytes
			if g.adapter != nil {
				left = append(left, g.adapter)
			}
		}
	}
	clear(e.outputs)
	e.outputs = e.outputs[:0]
	if ended > 0 {
		e.mu.Lock()
		e.live -= ended
		e.pictureBytes -= pictures
		for _, a := range left {
			if a.leave() {
				unused = append(unused, a)
			}
		}
		e.checkEmpty()
		e.mu.Unlock()
	}
	for _, a := range unused {
		a.release()
	}
}

// hand gives one output to its generation and tells whether that was its last. A panic, which only a fault of the tokenizer can
// cause here, ends the generation alone.
func (e *Engine) hand(g *generation, o *sched.Output, now time.Time) (ended bool) {
	if g.closed {
		return false
	}
	defer func() {
		if p := recover(); p != nil {
			e.options.Log.Error("panic while handing out a token", "panic", p, "stack", string(debug.Stack()))
			e.drop(g)
			g.put(Event{Token: -1, Finish: FinishError, Err: fmt.Errorf("token %d has no text: %v", o.Token, p)}, o, now)
			ended = true
		}
	}()
	event := Event{Token: o.Token}
	switch {
	case o.Token >= 0:
		g.token(&event, o, e.out)
	default:
		event.Text = g.stops.rest()
	}
	if event.Finish == "" {
		end := ends[o.Finish]
		event.Finish, event.Err = end.finish, end.err
		if o.Finish == sched.Failed || o.Finish == sched.Aborted && e.gone.Load() != nil {
			event.Finish, event.Err = FinishError, e.lastErr
		}
	} else {
		e.drop(g) // a stop string: the scheduler does not know yet
	}
	g.put(event, o, now)
	return event.Finish != ""
}

func (e *Engine) drop(g *generation) {
	e.mu.Lock()
	e.sched.Drop(g.seq)
	e.mu.Unlock()
}

// ends says how the scheduler's reasons look from outside.
var ends = [...]struct {
	finish Finish
	err    error
}{
	sched.Running:   {},
	sched.StopToken: {finish: FinishStop},
	sched.Length:    {finish: FinishLength},
	sched.Aborted:   {finish: FinishAbort},
	sched.Expired:   {finish: FinishAbort, err: ErrDeadline},
	sched.Overdue:   {finish: FinishAbort, err: ErrOverdue},
	sched.Failed:    {finish: FinishError},
	sched.Completed: {finish: FinishStop},
	sched.DeadEnd:   {finish: FinishError, err: ErrDeadEnd},
	sched.BadSample: {finish: FinishError, err: errors.New("the model's logits are not numbers")},
}

// token completes the event of a new token: its text, its log-probability, and the end that it may bring about.
func (g *generation) token(event *Event, o *sched.Output, out []engine.Sampled) {
	if g.logprobs {
		event.Logprob = out[o.Row]
		event.Logprob.Accepted = 0                          // says how the token came, not what it is
		event.Logprob.Top = slices.Clone(event.Logprob.Top) // the loop uses the memory again
	}
	last := o.Finish != sched.Running
	text := ""
	if o.Finish == sched.StopToken {
		event.StopReason = g.stopReason(o.Token)
	} else {
		text = g.text.Next(o.Token)
	}
	if last {
		text += g.text.Flush()
	}
	if o.Outputs <= g.minTokens {
		event.Text = text // a stop string that begins here does not count
		return
	}
	var stop string
	if event.Text, stop = g.stops.feed(text); stop != "" {
		event.Finish, event.StopReason = FinishStop, stop
	} else if last {
		event.Text += g.stops.rest()
	}
}

// stopReason is the token if the request named it, nil if it is the model's own end.
func (g *generation) stopReason(id int32) any {
	if !g.ignoreEOS && slices.Contains(g.engine.info.EOS, id) || !slices.Contains(g.stopTokens, id) {
		return nil
	}
	return id
}

// put queues an event and keeps the books.
func (g *generation) put(event Event, o *sched.Output, now time.Time) {
	seq := o.Seq
	event.Time = now
	if event.Token >= 0 && g.first.IsZero() {
		g.first = now
	}
	g.queue.mu.Lock()
	g.usage.DraftTokens, g.usage.AcceptedTokens = seq.Verified()
	g.usage.CachedTokens, g.usage.OutputTokens = seq.Cached(), o.Outputs
	if g.prompts == nil {
		g.prompts = seq.PromptLogprobs()
	}
	g.queue.mu.Unlock()
	if event.Finish != "" {
		g.closed = true
		g.leave()
		g.engine.drafter.ended(g, o.Outputs)
		if o := g.engine.options.Observer; o != nil && !g.first.IsZero() {
			o.Phases(seq.Started().Sub(g.arrived), g.first.Sub(seq.Started()), now.Sub(g.first))
		}
	}
	g.queue.put(event)
}
