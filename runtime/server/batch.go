package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/metrics"
	"llmc/runtime/reply"
)

// batch is the generations of one request, one for each choice of each prompt, and their events in order of arrival.
type batch struct {
	req                *request
	ctx                context.Context
	cancel             context.CancelCauseFunc
	choices            []*choice
	inbox              inbox
	pumps              sync.WaitGroup
	ended, longest     atomic.Int64 // choices that have, and output tokens of the longest of them
	arrived, submitted time.Time

	release func()       // of what the prompts find in the cache, once all choices have
	began   atomic.Int64 // choices that have
}

// choice is one generation.
type choice struct {
	index     int // among the choices of the answer
	prompt    *prompt
	maxTokens int
	gen       runtime.Generation

	finish  runtime.Finish // "" while it runs
	reason  any            // stop string or token that ended it
	tokens  int            // of the output, so far
	usage   runtime.Usage  // at the end
	offset  int            // characters of the tokens worded so far, for text_offset
	echoed  bool           // the prompt has been repeated
	text    []byte         // with all: what has come, when it is not streamed
	all     piece
	named   bool          // the reply is the arguments of the function that the request names, and ends as any other
	parser  *reply.Parser // of chat; nil: all is content
	thought *thought      // nil: replies have no reasoning
	rank    float64       // sum of the log-probabilities of the tokens, for best_of
}

// piece is some tokens of a choice. Of a chat its text is content; reasoning and calls stand apart.
type piece struct {
	text      string
	reasoning string
	calls     []call
	samples   []engine.Sampled // when log-probabilities were asked for
	ids       []int32          // when token ids were asked for
}

// arrival is one event of one choice. The usage is that at the end.
type arrival struct {
	choice *choice
	event  runtime.Event
	usage  runtime.Usage
}

// start submits the generations of a request. If one is refused none runs.
// They end with ctx. release is called when their prompts are taken in, or the batch is closed; it may be called twice.
func (s *Server) start(ctx context.Context, r *request, release func()) (*batch, error) {
	b := &batch{req: r, arrived: r.arrived, release: release, inbox: inbox{ready: make(chan struct{}, 1)}}
	if b.arrived.IsZero() {
		b.arrived = time.Now()
	}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	b.submitted = time.Now()
	started := false
	defer func() {
		if !started {
			b.close()
		}
	}()
	for i := range r.prompts {
		p := &r.prompts[i]
		maxTokens, err := r.fit(p)
		if err != nil {
			return nil, err
		}
		if err := b.submitAll(p, maxTokens); err != nil {
			refusal := s.asAPIError(err)
			r.model.Metrics.Rejected(refusal.code)
			return nil, refusal
		}
	}
	r.model.Metrics.Requested(r.choices)
	started = true
	return b, nil
}

// submitAll queues the generations of a prompt. Choices of one prompt differ by their seeds only.
func (b *batch) submitAll(p *prompt, maxTokens int) error {
	one := b.req.base
	one.Prompt, one.MaxTokens, one.Adapter = p.ids, maxTokens, b.req.model.Adapter
	if b.req.beams.wanted {
		list, err := b.req.model.Backend.SubmitBeams(b.ctx, one, b.req.search())
		for _, gen := range list {
			b.add(gen, p, maxTokens)
		}
		return err
	}
	for range b.req.generations() {
		gen, err := b.req.model.Backend.Submit(b.ctx, one)
		if err != nil {
			return err
		}
		one.Sampling.Seed++
		b.add(gen, p, maxTokens)
	}
	return nil
}

// add begins to take the events of a generation.
func (b *batch) add(gen runtime.Generation, p *prompt, maxTokens int) {
	c := &choice{index: len(b.choices), prompt: p, maxTokens: maxTokens, gen: gen}
	c.parser, c.named, c.thought = b.req.parser(c.prompt), b.req.choice.name != "", b.req.newThought(c.prompt)
	b.choices = append(b.choices, c)
	b.pumps.Go(func() { b.pump(c) })
}

// errNoEnd is a generation whose events stopped without the last.
var errNoEnd = errors.New("generation ended without a reason")

// pump moves the events of one generation to the inbox and takes their times, whatever the client's speed.
func (b *batch) pump(c *choice) {
	begin := sync.OnceFunc(b.begin)
	clock := stopwatch{model: b.req.model.Metrics, arrived: b.arrived, prompt: len(c.prompt.ids), maxTokens: c.maxTokens}
	for {
		event, ok := c.gen.Next(b.ctx)
		begin()
		if !ok && b.ctx.Err() == nil {
			event = runtime.Event{Token: -1, Finish: runtime.FinishError, Err: errNoEnd}
		} else if !ok {
			clock.end(runtime.FinishAbort, c.gen.Usage())
			b.over(c.gen.Usage())
			return
		}
		if event.Time.IsZero() {
			event.Time = time.Now()
		}
		if event.Token >= 0 {
			clock.token(event.Time)
		}
		if event.Finish == "" {
			b.inbox.put(arrival{choice: c, event: event})
			continue
		}
		usage := c.gen.Usage()
		clock.end(event.Finish, usage)
		b.req.model.stats.add(event.Err == nil && event.Finish != runtime.FinishAbort, event.Time.Sub(b.arrived), event.Time)
		b.over(usage)
		b.inbox.put(arrival{choice: c, event: event, usage: usage})
		return
	}
}

// begin notes that a choice has its prompt taken in, or will not.
func (b *batch) begin() {
	if b.began.Add(1) == int64(len(b.req.prompts)*b.req.generations()) {
		b.release()
	}
}

// over notes that a choice has ended.
func (b *batch) over(u runtime.Usage) {
	for n := int64(u.OutputTokens); ; {
		longest := b.longest.Load()
		if n <= longest || b.longest.CompareAndSwap(longest, n) {
			break
		}
	}
	if b.ended.Add(1) == int64(len(b.req.prompts)*b.req.generations()) {
		b.req.model.Metrics.Longest(int(b.longest.Load()))
	}
}

// wait returns the events that have arrived since the last call, at least one. The slice is valid until the next call.
func (b *batch) wait() ([]arrival, error) {
	for {
		if got := b.inbox.take(); len(got) > 0 {
			return got, nil
		}
		select {
		case <-b.inbox.ready:
		case <-b.ctx.Done():
			return nil, context.Cause(b.ctx)
		}
	}
}

// take adds an event to its choice and returns what is to be shown of it. An error ends the batch.
func (b *batch) take(a arrival) (piece, error) {
	c, e := a.choice, a.event
	shown := piece{}
	if b.req.maxTokens != 0 { // otherwise the one token was made only to get the prompt's log-probabilities
		shown = b.shown(c, e)
	}
	if e.Finish == "" {
		return shown, nil
	}
	c.finish, c.reason, c.usage = e.Finish, e.StopReason, a.usage
	switch {
	case b.req.maxTokens == 0 && e.Err == nil:
		c.finish, c.reason, c.usage.OutputTokens = runtime.FinishLength, nil, 0
	case e.Err != nil:
		return shown, e.Err
	case e.Finish == runtime.FinishAbort:
		return shown, errStopping
	case e.Finish == runtime.FinishError:
		return shown, errors.New("generation failed")
	}
	return shown, nil
}

func (b *batch) shown(c *choice, e runtime.Event) piece {
	p := piece{text: e.Text}
	if e.Token < 0 {
		return p
	}
	c.tokens++
	if c.thought != nil {
		c.thought.take(e.Text)
	}
	c.rank += float64(e.Logprob.Logprob)
	if b.req.logprobs != unset {
		p.samples = []engine.Sampled{e.Logprob}
	}
	if b.req.returnIDs {
		p.ids = []int32{e.Token}
	}
	return p
}

// usage counts the tokens of the batch so far; prompts count once, however many choices they have.
func (b *batch) usage() runtime.Usage {
	var sum runtime.Usage
	for i, c := range b.choices {
		if i%b.req.generations() == 0 {
			sum.PromptTokens += len(c.prompt.ids)
			sum.CachedTokens += c.usage.CachedTokens
		}
		sum.Joules += c.usage.Joules
		if c.finish != "" {
			sum.OutputTokens += c.usage.OutputTokens
		} else {
			sum.OutputTokens += c.tokens
		}
	}
	return sum
}

// done tells whether all choices have ended.
func (b *batch) done() bool {
	for _, c := range b.choices {
		if c.finish == "" {
			return false
		}
	}
	return true
}

// close ends what still runs. It may be called more than once.
func (b *batch) close() {
	b.cancel(context.Canceled)
	for _, c := range b.choices {
		c.gen.Cancel()
	}
	b.pumps.Wait()
	b.release()
}

// inbox is a queue of arrivals from many pumps to one reader. The backend bounds it: by max_tokens, and in practice by the
// deadline of writes, since a reader that does not come is one whose client does not read.
type inbox struct {
	mu     sync.Mutex
	queued []arrival
	taken  []arrival // memory of the last take, to be used again
	ready  chan struct{}
}

func (q *inbox) put(a arrival) {
	q.mu.Lock()
	q.queued = append(q.queued, a)
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default: // the reader knows
	}
}

func (q *inbox) take() []arrival {
	q.mu.Lock()
	defer q.mu.Unlock()
	got := q.queued
	q.queued, q.taken = q.taken[:0], got
	return got
}

// stopwatch observes the times of one generation.
type stopwatch struct {
	model         *metrics.Model
	arrived       time.Time
	first, latest time.Time
	prompt        int
	maxTokens     int
}

// token takes the time of one token: not now, for whoever runs this may have had to wait for a processor.
func (w *stopwatch) token(now time.Time) {
	if w.first.IsZero() {
		w.first = now
		w.model.FirstToken(now.Sub(w.arrived), w.prompt)
	} else {
		w.model.NextToken(now.Sub(w.latest))
	}
	w.latest = now
}

func (w *stopwatch) end(why runtime.Finish, u runtime.Usage) {
	g := metrics.Generation{
		Finish: string(why), PromptTokens: w.prompt, CachedTokens: u.CachedTokens, OutTokens: u.OutputTokens,
		MaxTokens: w.maxTokens, SinceArrival: time.Since(w.arrived),
	}
	if !w.first.IsZero() {
		g.SinceFirstToken = w.latest.Sub(w.first)
	}
	w.model.Finished(g)
}
