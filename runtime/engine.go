package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"llmc/engine"
	"llmc/internal/tokenizer"
	"llmc/runtime/energy"
	"llmc/runtime/kv"
	"llmc/runtime/rest"
	"llmc/runtime/sched"
)

// Options change how an Engine serves. The zero value is what a server wants.
type Options struct {
	QueueLimit int // requests that may wait beyond those running; 0: 1024, negative: any number
	// QueueTimeout is how long a request may wait before it begins; 0: for ever.
	QueueTimeout time.Duration
	// MaxStepTokens and MaxSequences tighten the device's limits; 0 leaves them.
	MaxStepTokens, MaxSequences int
	ChunkTokens                 int  // of one prompt in one step at most; 0: as many as fit
	NoPrefixCache               bool // compute every prompt from its first token
	// StallAfter is how long a step may take before Health reports it; 0: two minutes.
	StallAfter time.Duration
	Drafting   Drafting // guesses of the tokens that come next
	Observer   Observer // nil: nobody
	// CacheEvents is told what happens to the pages of the prefix cache, step by step, on the loop's goroutine: it must not wait. nil: nobody is.
	CacheEvents func([]kv.Event)
	Energy      *energy.Ledger // that the device's energy is read by; nil: it is not known
	Log         *slog.Logger   // nil: nothing is logged
	// PreemptEvery, for tests, preempts the worst-ranked running request every so many steps, as if memory had run out.
	PreemptEvery int
	Now          func() time.Time // nil: time.Now
}

const (
	defaultQueueLimit = 1024
	defaultStallAfter = 2 * time.Minute
)

// fill sets what was left open.
func (o *Options) fill() {
	if o.QueueLimit == 0 {
		o.QueueLimit = defaultQueueLimit
	}
	if o.StallAfter <= 0 {
		o.StallAfter = defaultStallAfter
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Observer is told what the step loop does, on its goroutine: methods must neither wait nor allocate.
type Observer interface {
	// Step is called after every step.
	Step(StepFacts)
	// Phases is called at the end of every generation that has output: the time in the queue, from there to the first token, and
	// from there to the last.
	Phases(queued, prefill, decode time.Duration)
}

// StepFacts is what a step was.
type StepFacts struct {
	Tokens    int  // of prompts and outputs, and guesses
	Sequences int  // that had a part in it
	Prompts   bool // it took in prompts: some of its tokens were not the last of their sequence
	Failed    bool
	Device    time.Duration // that the device took
	Host      time.Duration // scheduling and handing out, which the device may have been working through
}

// Engine runs the requests for one model. Its loop goroutine alone drives the device; every other method may be called from
// any goroutine.
type Engine struct {
	model     engine.Model
	info      engine.ModelInfo
	newStream func(skipSpecial bool) TextStream
	options   Options
	limits    engine.Settings
	born      time.Time
	starter   engine.Starter // nil: the model computes a step at a time
	drafter   *drafter       // the loop's own; nil: no guesses are made
	pace      *pace          // changed under mu
	painter   *painter       // likewise; nil: prompts have no images
	watch     *watch
	joules    *joules

	adapting sync.Mutex // held while an adapter is being loaded
	mu       sync.Mutex // guards what follows; never held while the device works
	sched    *sched.Scheduler
	adapters adapterTable
	keys     pictureKeys
	held     []*Pages    // that become known by steps
	live     int         // generations whose last event has not been put
	draining atomic.Bool // no more submissions
	closed   atomic.Bool
	empty    chan struct{} // closed when draining and nothing is live

	pictureBytes int64 // of live generations

	wake chan struct{} // tells the loop that there may be work
	done chan struct{} // closed when the loop has ended
	lost chan struct{} // closed when the device is lost
	pulse
	snapshot snapshot // written under the lock, whenever the scheduler has changed

	// The loop's own.
	rest     rest.Loop
	flights  []*flight // oldest first
	memory   [2]flight // of flights, in turn
	launched int
	out      []engine.Sampled // of the step whose outputs are delivered
	outputs  []sched.Output
	copies   []kv.Copy // of pages, before the next step
	lastErr  error     // of that step
}

// New returns an engine whose loop runs. It serves a loaded model, which must outlive it and which it alone may drive. Without a
// tokenizer (nil) tokens have no text.
func New(model engine.Model, info engine.ModelInfo, tok *tokenizer.Tokenizer, options Options) (*Engine, error) {
	newStream := func(bool) TextStream { return noText{} }
	if tok != nil {
		newStream = func(skipSpecial bool) TextStream { return tok.NewStream(skipSpecial) }
	}
	e, err := newEngine(model, info, newStream, options)
	if err != nil {
		return nil, err
	}
	go e.run()
	return e, nil
}

// newEngine returns an engine whose loop does not run yet.
func newEngine(model engine.Model, info engine.ModelInfo, newStream func(skipSpecial bool) TextStream, options Options) (*Engine, error) {
	limits, pages := model.Limits()
	tighten := func(limit *int, by int) {
		if by > 0 {
			*limit = min(*limit, by)
		}
	}
	tighten(&limits.MaxStepTokens, options.MaxStepTokens)
	tighten(&limits.MaxSequences, options.MaxSequences)
	tighten(&limits.MaxContext, info.MaxContext)
	options.fill()
	p := &pace{}
	source, image := besideTokens(&info, limits.MaxContext)
	s, err := sched.New(sched.Config{
		CopyPages: !keepsState(model),
		Settings:  limits, Pages: pages, Vocab: info.Vocab,
		ChunkTokens: options.ChunkTokens, QueueLimit: max(0, options.QueueLimit),
		CacheEvents: options.CacheEvents != nil, NoPrefixCache: options.NoPrefixCache, RopeSalt: info.RopeSalt, MaxSource: source, MaxImage: image, PromptTokens: p.promptTokens, Newcomers: p.newcomers,
	})
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", info.Name, err)
	}
	if info.Source != nil && len(info.Source.Start) >= s.MaxTokens() {
		return nil, fmt.Errorf("model %s: a context of %d has no room behind the %d tokens that outputs come behind; give more kv-memory", info.Name, s.MaxTokens(), len(info.Source.Start))
	}
	info.EOS = slices.Clone(info.EOS)
	e := &Engine{
		model: model, info: info, newStream: newStream, options: options, limits: limits, sched: s, pace: p,
		born: options.Now(), empty: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}), lost: make(chan struct{}),
	}
	e.starter, _ = model.(engine.Starter)
	e.watch = newWatch(model)
	e.joules = newJoules(options.Energy)
	e.publish()
	if e.painter, err = newPainter(model, &e.info, limits.PageSize); err != nil {
		return nil, fmt.Errorf("model %s: %w", info.Name, err)
	}
	if e.drafter, err = newDrafter(&e.options, info.Vocab, &p.costs); err != nil {
		return nil, fmt.Errorf("model %s: %w", info.Name, err)
	}
	return e, nil
}

// besideTokens returns how many tokens a text may have that is encoded, and how many function "image" has for an image; 0: there are none.
func besideTokens(info *engine.ModelInfo, context int) (source, image int) {
	if info.Source != nil {
		source = context
	}
	if info.Insert != nil {
		image = info.Image.Rows()
	}
	return source, image
}

func keepsState(model engine.Model) bool {
	keeper, ok := model.(engine.StateKeeper)
	return ok && keeper.KeepsState()
}

// MaxContext returns how many tokens a sequence may have, prompt and output together.
func (e *Engine) MaxContext() int { return e.sched.MaxTokens() }

// MaxSource returns how many tokens a prompt may have that is encoded; 0: the model goes on with its prompts.
func (e *Engine) MaxSource() int { return e.sched.MaxSource() }

// Drain refuses new requests and waits until those accepted have ended, or ctx has. It may be called more than once.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	if !e.draining.Load() {
		e.draining.Store(true)
		e.checkEmpty()
	}
	e.mu.Unlock()
	select {
	case <-e.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close aborts all requests and waits for the loop to end, at most for the length of a step. The model stays loaded: it
// belongs to the caller.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed.Store(true)
	if !e.draining.Load() {
		e.draining.Store(true)
		e.checkEmpty()
	}
	e.mu.Unlock()
	e.signal()
	<-e.done
	e.closeAdapters()
	return nil
}

// checkEmpty tells those who drain when nothing is live. The caller holds the lock.
func (e *Engine) checkEmpty() {
	if e.draining.Load() && e.live == 0 {
		close(e.empty)
	}
}

// signal wakes the loop if it waits.
func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// pulse is what the loop says about its progress.
type pulse struct {
	steps, failures      atomic.Uint64
	streak               atomic.Uint64 // failures since the last good step
	deviceTime, hostTime atomic.Int64  // nanoseconds in all
	lastStep             atomic.Int64  // Unix nanoseconds; 0: never
	turn                 atomic.Int64  // when the loop began what it does, age; 0: it waits for work
	lastFailure          atomic.Pointer[error]
	gone                 atomic.Pointer[error] // why the device is lost
}
