package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"llmc/engine"
	"llmc/runtime/grammar"
)

// Request is one prompt to continue. The zero values of optional fields mean "off".
type Request struct {
	ID         string
	Prompt     []int32
	Pictures   []*Picture // of images in the prompt, in which a token stands for each row of theirs: see engine.ModelInfo.Expand
	MaxTokens  int        // output tokens at most; 0: as many as the context allows
	MinTokens  int        // end-of-sequence tokens are banned before this many
	Sampling   engine.Sampling
	Grammar    *grammar.Grammar // that the output keeps to; nil: none. It must be of the engine's own Grammars
	Stop       []string         // text that ends the output; not part of it
	StopTokens []int32          // ids that end the output, besides the model's own end-of-sequence ids
	IgnoreEOS  bool
	// SkipSpecial leaves special tokens out of the text.
	SkipSpecial bool
	// PromptLogprobs asks for the log-probabilities of the prompt's tokens (-1: no; n: with the n most likely).
	PromptLogprobs int
	Adapter        *Adapter // that the model has for this request; nil: none
	CacheSalt      string   // prefixes are shared only among requests of one salt
	Priority       int      // lower runs first
	Tenant         string   // on whose behalf it runs: tenants that wait get service by their shares
	Share          int      // 0: 1
	// FirstToken and Deadline are by when the first token has to be there and the output to have ended; zero: at any time.
	FirstToken, Deadline time.Time

	Continues bool // a request that was taken: it does not queue behind others again
}

// Finish tells why a generation ended, in the words of the OpenAI API.
type Finish string

// The reasons of an end. "" means not ended.
const (
	FinishStop   Finish = "stop"
	FinishLength Finish = "length"
	FinishAbort  Finish = "abort"
	FinishError  Finish = "error"
)

// Event is one step of a generation: a token and the text that it completes (possibly none: half of a character, or text held
// back because it may be the beginning of a stop string). The last event has Finish set; it may carry text but no token (Token < 0).
type Event struct {
	Token   int32
	Text    string
	Logprob engine.Sampled // set when log-probabilities were asked for
	Finish  Finish
	// StopReason is the stop string or token id that matched, when Finish is "stop" because of one.
	StopReason any
	Err        error
	Time       time.Time // when the step that made it had ended
}

// Usage counts the tokens of a generation.
type Usage struct {
	PromptTokens int
	CachedTokens int // prompt tokens found in the prefix cache
	OutputTokens int
	// DraftTokens is how many guesses of output tokens were verified, AcceptedTokens how many were right.
	DraftTokens, AcceptedTokens int
}

// Generation is a running request.
type Generation interface {
	// Next waits for the next event. After the event with Finish set, or when ctx ends, it returns false.
	// A generation whose consumer is slow loses nothing: events are queued, bounded by MaxTokens.
	Next(ctx context.Context) (Event, bool)
	// Cancel stops the request within one step, queued or running. It may be called at any time, more than once.
	Cancel()
	Usage() Usage
	// PromptLogprobs has an entry for each token of the prompt, of which the first has no probability, once the first event has come;
	// nil if they were not asked for.
	PromptLogprobs() []engine.Sampled
}

// The errors of a submission. A server turns them into 400, 429 and 503.
var (
	ErrQueueFull  = errors.New("queue is full")
	ErrDraining   = errors.New("server is shutting down")
	ErrTooLong    = errors.New("prompt is longer than the context")
	ErrBadRequest = errors.New("bad request")
	ErrLate       = errors.New("the deadline can not be met")
)

// The errors of generations that end before they should.
var (
	ErrOverdue  = errors.New("the request was waiting when its time was over; nothing of it was computed")
	ErrDeadline = fmt.Errorf("the request's time was over before its output was complete: %w", context.DeadlineExceeded)
)
