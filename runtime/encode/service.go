package encode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/rest"
)

// Service shares a plan's encoders among requests: what waits is put into steps together, the oldest first, whoever asked for it. A step is of texts or of
// images.
type Service struct {
	functions Functions
	options   ServiceOptions
	born      time.Time
	begun     atomic.Int64 // age at which the step that runs began; 0: none runs

	mu      sync.Mutex
	queue   []*item
	closed  bool
	lastErr error
	running int // sequences of the step that runs
	wake    chan struct{}
	done    chan struct{}
	lost    chan struct{} // closed when the device is lost
}

// item is one sequence of a request.
type item struct {
	input  Input
	result []float32
	taken  bool // into a step
	job    *job
	came   time.Time
}

// job is a request.
type job struct {
	ctx  context.Context
	left int // sequences that are not done
	err  error
	done chan struct{} // closed when none is left
}

// defaultQueue is how many sequences may wait where nobody says.
const defaultQueue = 1 << 16

// defaultStall is how long a step may take where nobody says.
const defaultStall = 2 * time.Minute

// LongestDelay bounds ServiceOptions.Delay: it is added to every answer of a server that has little to do.
const LongestDelay = time.Minute

// ServiceOptions bound a Service; zero values mean the defaults.
type ServiceOptions struct {
	Queue      int           // sequences that may wait
	Delay      time.Duration // how long a step with room for more waits for others after its oldest sequence came; 0: those share the next
	StallAfter time.Duration // how long a step may take before Health reports it
}

// NewService starts the loop that runs steps. Close ends it.
func NewService(f Functions, o ServiceOptions) *Service {
	if o.Queue <= 0 {
		o.Queue = defaultQueue
	}
	if o.StallAfter <= 0 {
		o.StallAfter = defaultStall
	}
	s := &Service{functions: f, options: o, born: time.Now(), wake: make(chan struct{}, 1), done: make(chan struct{}), lost: make(chan struct{})}
	go s.loop()
	return s
}

// Gives is what the plan gives, of texts and images alike.
func (s *Service) Gives() string { return s.functions.any().Gives() }

// Width is how many numbers a row has.
func (s *Service) Width() int { return s.functions.any().Width() }

// Text makes the sequence of a text or a pair of texts.
func (s *Service) Text(prompt string, texts ...string) (Input, error) {
	if s.functions.Texts == nil {
		return Input{}, ErrNoTexts
	}
	return s.functions.Texts.Text(prompt, texts...)
}

// Image makes the sequence of an image file.
func (s *Service) Image(data []byte) (Input, error) {
	if s.functions.Images == nil {
		return Input{}, ErrNoImages
	}
	return s.functions.Images.Image(data)
}

// Pixels makes the sequence of an image that has been prepared.
func (s *Service) Pixels(values []float32) (Input, error) {
	if s.functions.Images == nil {
		return Input{}, ErrNoImages
	}
	return s.functions.Images.Pixels(values)
}

// Reads tells what the plan encodes.
func (s *Service) Reads() (texts, images bool) {
	return s.functions.Texts != nil, s.functions.Images != nil
}

// Encode returns what the plan gives for each sequence. Where as many wait as may it is runtime.ErrQueueFull; with ctx the request ends.
func (s *Service) Encode(ctx context.Context, inputs []Input) ([][]float32, error) {
	for i := range inputs {
		e := s.functions.of(&inputs[i])
		if e == nil {
			return nil, fmt.Errorf("%w: input %d: %w", runtime.ErrBadRequest, i, s.functions.lacks(&inputs[i]))
		}
		if err := e.check(&inputs[i]); err != nil {
			return nil, fmt.Errorf("%w: input %d: %w", runtime.ErrBadRequest, i, err)
		}
	}
	if len(inputs) == 0 {
		return nil, nil
	}
	j := &job{ctx: ctx, left: len(inputs), done: make(chan struct{})}
	items := make([]*item, len(inputs))
	now := time.Now()
	for i, in := range inputs {
		items[i] = &item{input: in, job: j, came: now}
	}
	if err := s.enqueue(items); err != nil {
		return nil, err
	}
	select {
	case <-j.done:
	case <-ctx.Done(): // the loop passes over what is left of it
		return nil, context.Cause(ctx)
	}
	results := make([][]float32, len(items))
	for i, it := range items {
		results[i] = it.result
	}
	return results, j.err
}

func (s *Service) enqueue(items []*item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return runtime.ErrDraining
	case errors.Is(s.lastErr, engine.ErrDeviceLost):
		return s.lastErr
	case len(s.queue)+len(items) > s.options.Queue && len(s.queue) > 0:
		return runtime.ErrQueueFull
	}
	s.queue = append(s.queue, items...)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// loop runs steps while anything waits.
func (s *Service) loop() {
	defer close(s.done)
	var idle rest.Loop
	for {
		batch, wait, closed := s.next()
		switch {
		case len(batch) > 0:
			idle.Worked()
			s.run(batch)
		case closed:
			return
		case wait > 0:
			timer := time.NewTimer(wait)
			select {
			case <-s.wake:
			case <-timer.C:
			}
			timer.Stop()
		default:
			idle.Wait(s.wake, s.functions.relieve)
		}
	}
}

// next takes the sequences of the next step off the queue, or says how long it may wait for more. Those of requests that have ended are dropped.
func (s *Service) next() (batch []*item, wait time.Duration, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.queue[:0]
	for _, it := range s.queue {
		if it.job.ctx.Err() == nil {
			waiting = append(waiting, it)
		}
	}
	clear(s.queue[len(waiting):])
	s.queue = waiting
	if s.closed {
		for _, it := range s.queue {
			it.finish(runtime.ErrDraining)
		}
		s.queue = nil
		return nil, 0, true
	}
	if len(waiting) == 0 {
		return nil, 0, false
	}
	e := s.functions.of(&waiting[0].input)
	for _, it := range waiting {
		if s.functions.of(&it.input) == e {
			batch = append(batch, it)
		}
	}
	n := e.fill(len(batch), func(i int) *Input { return &batch[i].input })
	if full := n < len(batch) || n == e.limits.MaxSequences; !full {
		if wait := s.options.Delay - time.Since(waiting[0].came); wait > 0 {
			return nil, wait, false
		}
	}
	batch = batch[:n]
	for _, it := range batch {
		it.taken = true
	}
	s.queue = slices.DeleteFunc(waiting, func(it *item) bool { return it.taken })
	s.running = n
	return batch, 0, false
}

// run computes the step that next has filled and hands out what it gives.
func (s *Service) run(batch []*item) {
	s.begun.Store(s.age())
	defer s.begun.Store(0)
	err := s.functions.of(&batch[0].input).runStep(func(i int, row []float32) { batch[i].result = row })
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, engine.ErrDeviceLost) && !errors.Is(s.lastErr, engine.ErrDeviceLost) {
		close(s.lost)
	}
	s.lastErr, s.running = err, 0
	for _, it := range batch {
		it.finish(err)
	}
}

// finish notes that one sequence of a request is done.
func (it *item) finish(err error) {
	j := it.job
	if err != nil {
		j.err = err
	}
	if j.left--; j.left == 0 {
		close(j.done)
	}
}

// Lost is closed when the device has been lost; Health says why. The process has to end, as with runtime.Engine.Lost.
func (s *Service) Lost() <-chan struct{} { return s.lost }

// Health returns why the service can not serve: a step hangs, or the last one failed.
func (s *Service) Health() error {
	if at := s.begun.Load(); at != 0 {
		if took := time.Duration(s.age() - at); took > s.options.StallAfter {
			return fmt.Errorf("a step has been running for %v", took.Round(time.Second))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErr
}

// age returns nanoseconds since the service was made, from 1 on, by the monotonic clock: see runtime.Engine.
func (s *Service) age() int64 { return max(1, int64(time.Since(s.born))) }

// Load returns how many sequences are computed and how many wait.
func (s *Service) Load() (running, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running, len(s.queue)
}

// Close ends the loop once the step that runs is done. What waits is refused.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-s.done
	return nil
}
