package sched

import (
	"slices"
	"time"

	"llmc/engine"
	"llmc/runtime/kv"
)

// Request is what a sequence is to do. The prompt is copied; the other slices are kept and must not change.
type Request struct {
	Prompt []int32
	// Source is the text that a decoder attends to, which is encoded before the first token; nil in models that do not encode.
	Source []int32
	Images []Image // that tokens of the prompt stand for
	// First are the tokens that the output begins with whatever the model says, and Last those that end it where MaxTokens does.
	First, Last []int32
	MaxTokens   int // output tokens at most; 0: as many as the context allows
	MinTokens   int // stop tokens are banned before this many
	Sampling    engine.Sampling
	Constraint  Constraint // what the output has to keep to; nil: nothing
	StopTokens  []int32    // all ids that end the output, the model's own included if they are to
	// PromptLogprobs >= 0 asks for the log-probability of each prompt token, with so many alternatives.
	PromptLogprobs int
	Salt           string
	Adapter        Adapter
	Priority       int // lower runs first
	// Tenant is on whose behalf it runs: tenants that wait get service by their shares, 0 being 1.
	Tenant string
	Share  int
	// Continues says that it goes on with what others have computed for the same client: it comes before those that have not begun, however full the queue is.
	Continues bool
	Deadline  Deadline
	Owner     any // returned by Sequence.Owner
}

// Adapter is what a sequence has of engine.AdapterModel; the zero value is none.
type Adapter struct {
	Place int32
	// Serial tells apart what has been in a place one after the other: keys and values are shared among sequences of one alone.
	Serial uint64
}

// Sequence is an added request.
type Sequence struct {
	request Request
	arrival uint64 // counts up
	state   state
	tenant  *tenant
	begun   bool      // it has been admitted
	started time.Time // when it was first admitted

	tokens   []int32 // prompt, then output
	keys     []int32 // content's
	made     int     // leading images of the prompt whose rows have been made, or were not needed
	limit    int     // tokens at most
	computed int     // leading tokens whose keys and values are cached when the steps in flight have run
	ropeLen  int     // at least this in every token's engine.Step.RopeLen: length of the prompt, or at the change of regime
	table    kv.Table
	source   kv.Table // of the encoded text
	encoded  bool     // it is there when the steps in flight have run

	history *engine.TokenHistory // nil unless penalties need it
	early   *engine.Sampling     // in place of the request's before MinTokens
	masked  []engine.Sampling    // of the rows of the last step, under the constraint
	forced  forced
	stops   []int32         // ascending
	prompt  *promptLogprobs // nil unless asked for

	cached int  // prompt tokens found in the cache when they were first needed
	again  bool // has been preempted, or started anew, at least once

	drafts            []int32 // guesses of what comes next, for the next step
	drafted, accepted int     // in all steps

	planned int // tokens in the step that is being built, without drafts
	pending int // tokens behind tokens that steps in flight sample
	row     int // of the last of these, in its step
	life    int // counts up when what is in flight for the sequence counts no more
	place   int // in the waiting heap
}

type state uint8

const (
	waiting state = iota
	running
	ended
)

// Owner returns the request's Owner.
func (q *Sequence) Owner() any { return q.request.Owner }

// total is how many tokens the sequence has, those included that are not known yet.
func (q *Sequence) total() int { return len(q.tokens) + q.pending }

// doomed tells whether the sequence ends with the steps in flight, whatever they sample.
func (q *Sequence) doomed() bool { return q.pending > 0 && q.total() >= q.limit }

// reborn drops what is in flight for the sequence.
func (q *Sequence) reborn() { q.life, q.pending = q.life+1, 0 }

// Outputs returns how many tokens have been sampled.
func (q *Sequence) Outputs() int { return len(q.tokens) - len(q.request.Prompt) }

// Cached returns how many of the prompt's tokens were found in the prefix cache.
func (q *Sequence) Cached() int { return q.cached }

// Started returns when the sequence was first taken out of the queue; zero while it has not been.
func (q *Sequence) Started() time.Time { return q.started }

// behind returns how many tokens the sequence has to catch up with before its next one can be sampled.
func (q *Sequence) behind() int { return q.total() - q.computed }

// before tells whether q ranks ahead of r.
func (q *Sequence) before(r *Sequence) bool {
	if q.request.Priority != r.request.Priority {
		return q.request.Priority < r.request.Priority
	}
	return q.arrival < r.arrival
}

// growth is how many output tokens a new sequence gets room for; further room is made by doubling.
const growth = 512

// limitOf returns how many tokens a sequence may have.
func (s *Scheduler) limitOf(r *Request) int {
	limit := s.config.MaxContext
	if output := limit - len(r.Prompt); 0 < r.MaxTokens && r.MaxTokens < output { // the sum may overflow
		limit = len(r.Prompt) + r.MaxTokens
	}
	return limit
}

func (s *Scheduler) newSequence(r Request) *Sequence {
	limit := s.limitOf(&r)
	room := min(limit, len(r.Prompt)+growth)
	q := &Sequence{request: r, limit: limit, tokens: append(make([]int32, 0, room), r.Prompt...)}
	q.request.Prompt = q.tokens[:len(r.Prompt):len(r.Prompt)]
	q.ropeLen = len(r.Prompt)
	s.initTable(q)
	q.request.Source = slices.Clone(r.Source)
	q.forced = newForced(&r)
	q.stops = slices.Clone(r.StopTokens)
	slices.Sort(q.stops)
	if r.Sampling.Penalized() {
		q.history = engine.NewTokenHistory(r.Prompt)
	}
	if r.MinTokens > 0 && len(q.stops) > 0 {
		early := r.Sampling
		early.Banned = append(slices.Clone(early.Banned), q.stops...)
		q.early = &early
	}
	if r.PromptLogprobs >= 0 {
		q.prompt = newPromptLogprobs(r.Prompt, r.PromptLogprobs)
	}
	return q
}
