package sched

import (
	"time"

	"llmc/engine"
	"llmc/runtime/kv"
)

// Scheduler fills steps. See the package comment for how it is driven.
type Scheduler struct {
	config Config
	pool   *kv.Pool
	regime regime

	arrivals uint64
	waiting  line
	running  []*Sequence // best rank first
	deadline time.Time   // no sequence has an earlier one; zero: none has any
	usual    float64     // tokens of an output that ends by itself, of late; 0: none has

	flights  []*flight   // oldest first
	spare    *flight     // whose memory is used again
	prefills []*Sequence // scratch of share
	outputs  []Output
	pins     []*Pin
	stats    Stats
}

// Finish tells why a sequence ended.
type Finish uint8

// The reasons of an end.
const (
	Running   Finish = iota // it has not
	StopToken               // it sampled one of its stop tokens
	Length                  // it reached its token limit
	Aborted                 // Abort was called
	Expired                 // its deadline passed after it had begun
	Failed                  // the step that it was part of failed
	Completed               // its constraint allows no more tokens
	DeadEnd                 // its constraint allows no tokens, though its output is not complete
	Overdue                 // its deadline passed before it began
	BadSample               // the device sampled no valid token for it, which happens when logits are not numbers
)

// Output tells the owner what happened to one sequence: it has a new token, has ended, or both. A step whose drafts were right gives several.
type Output struct {
	Seq     *Sequence
	Row     int   // index of the sampled token in Complete's out; -1: no token
	Token   int32 // the sampled token; -1: none
	Outputs int   // tokens that the sequence had sampled by then
	Finish  Finish
}

// New returns a scheduler without sequences.
func New(config Config) (*Scheduler, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	regime, err := parseRegime(config.RopeSalt)
	if err != nil {
		return nil, err
	}
	return &Scheduler{
		config: config,
		pool:   kv.New(config.Pages, config.PageSize, kv.Options{NoIndex: config.NoPrefixCache, Tails: config.CopyPages, Events: config.CacheEvents}),
		regime: regime,
	}, nil
}

// MaxTokens returns how many tokens a sequence may have, prompt included.
func (s *Scheduler) MaxTokens() int { return s.config.MaxContext }

// Add appends a sequence to those that wait. The prompt must not be empty and must be shorter than MaxTokens.
func (s *Scheduler) Add(r Request) (*Sequence, error) {
	if len(r.Prompt) == 0 || len(r.Prompt) >= s.config.MaxContext || len(r.Source) > s.config.MaxSource || len(r.Source) == 0 && s.config.MaxSource > 0 {
		panic("sched: the owner checks the length of prompts")
	}
	places := s.config.MaxSequences - len(s.running)
	t := s.waiting.tenant(&r)
	if !r.Continues && s.waiting.full(t, s.config.QueueLimit, places) {
		return nil, ErrQueueFull
	}
	q := s.newSequence(r)
	q.tenant, t.served = t, s.waiting.joining(t)
	t.live++
	q.arrival = s.arrivals
	s.arrivals++
	s.wait(q)
	s.deadline = earlier(s.deadline, q.due())
	return q, nil
}

// Schedule fills the next step when none is in flight. The step is empty if and only if no sequence is left; it belongs to the scheduler and is
// valid until Complete or Fail.
func (s *Scheduler) Schedule(now time.Time) *engine.Step {
	if len(s.flights) > 0 {
		panic("sched: the last step has not been completed")
	}
	s.expire(now)
	s.admit(now)
	s.share()
	s.shareEncoder()
	s.shareImages()
	s.place()
	f := s.build()
	if len(f.parts) == 0 {
		s.land()
	}
	return &f.step
}

// TakeCopies appends the copies of pages that have to be made, in their order, before the step runs that was scheduled last.
func (s *Scheduler) TakeCopies(dst []kv.Copy) []kv.Copy { return s.pool.TakeCopies(dst) }

// PageFree tells whether a KV page holds nothing that counts.
func (s *Scheduler) PageFree(page int32) bool { return s.pool.Free(page) }

// TakeCacheEvents returns what has happened to the prefix cache since the last call; nil: nothing.
func (s *Scheduler) TakeCacheEvents() []kv.Event { return s.pool.TakeEvents() }

// HasWork tells whether there is something to schedule, to complete or to take.
func (s *Scheduler) HasWork() bool {
	return len(s.running) > 0 || s.waiting.count > 0 || len(s.outputs) > 0 || len(s.flights) > 0
}

// TakeOutputs appends what has happened since the last call to dst.
func (s *Scheduler) TakeOutputs(dst []Output) []Output {
	dst = append(dst, s.outputs...)
	clear(s.outputs) // lets go of the sequences
	s.outputs = s.outputs[:0]
	return dst
}
