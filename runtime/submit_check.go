package runtime

import (
	"fmt"
	"math"
	"unicode/utf8"

	"llmc/engine"
)

// Bounds of a request, so that one request can not take unbounded memory or time. Protocols may be stricter.
const (
	maxLogprobs   = 128
	maxStops      = 64
	maxStopBytes  = 1024
	maxStopTokens = 1024
	maxBias       = 4096
	maxBiasValue  = 1e6
	maxSaltBytes  = 256
)

// FieldError says which field of a request is wrong. It wraps ErrBadRequest.
type FieldError struct {
	Field   string // in the words of the OpenAI and vLLM APIs
	Problem string
}

func (e *FieldError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Problem) }

// Unwrap makes errors.Is(err, ErrBadRequest) true.
func (e *FieldError) Unwrap() error { return ErrBadRequest }

// requestChecks look at one field each and return what is wrong with it, or "".
var requestChecks = []struct {
	field string
	check func(e *Engine, r *Request) string
}{
	{"prompt", func(e *Engine, r *Request) string {
		if len(r.Prompt) == 0 {
			return "is empty"
		}
		if problem := e.checkImages(r); problem != "" {
			return problem
		}
		return e.tokens(r.Prompt)
	}},
	{"max_tokens", func(_ *Engine, r *Request) string { return within(float64(r.MaxTokens), 0, math.Inf(1)) }},
	{"min_tokens", func(_ *Engine, r *Request) string {
		if r.MaxTokens > 0 {
			return within(float64(r.MinTokens), 0, float64(r.MaxTokens))
		}
		return within(float64(r.MinTokens), 0, math.Inf(1))
	}},
	{"temperature", func(_ *Engine, r *Request) string { return within32(r.Sampling.Temperature, 0, math.MaxFloat32) }},
	{"top_k", func(_ *Engine, r *Request) string { return within(float64(r.Sampling.TopK), 0, math.Inf(1)) }},
	{"top_p", func(_ *Engine, r *Request) string { return within32(r.Sampling.TopP, 0, 1) }},
	{"min_p", func(_ *Engine, r *Request) string { return within32(r.Sampling.MinP, 0, 1) }},
	{"repetition_penalty", func(_ *Engine, r *Request) string { return within32(r.Sampling.RepetitionPenalty, 0, maxBiasValue) }},
	{"presence_penalty", func(_ *Engine, r *Request) string {
		return within32(r.Sampling.PresencePenalty, -maxBiasValue, maxBiasValue)
	}},
	{"frequency_penalty", func(_ *Engine, r *Request) string {
		return within32(r.Sampling.FrequencyPenalty, -maxBiasValue, maxBiasValue)
	}},
	{"logit_bias", func(e *Engine, r *Request) string { return e.bias(r.Sampling.Bias) }},
	{"banned tokens", func(e *Engine, r *Request) string { return e.tokens(r.Sampling.Banned) }},
	{"logprobs", func(_ *Engine, r *Request) string { return within(float64(r.Sampling.Logprobs), -1, maxLogprobs) }},
	{"prompt_logprobs", func(e *Engine, r *Request) string {
		if r.PromptLogprobs >= 0 && e.info.Source != nil {
			return "there are none: the model encodes its prompts and does not say them"
		}
		return within(float64(r.PromptLogprobs), -1, maxLogprobs)
	}},
	{"grammar", func(e *Engine, r *Request) string {
		if r.Grammar != nil && r.Grammar.Size() != e.info.Vocab {
			return fmt.Sprintf("was compiled for a vocabulary of %d tokens, this one has %d", r.Grammar.Size(), e.info.Vocab)
		}
		return ""
	}},
	{"stop", func(_ *Engine, r *Request) string { return stopStrings(r.Stop) }},
	{"stop_token_ids", func(e *Engine, r *Request) string {
		if len(r.StopTokens) > maxStopTokens {
			return fmt.Sprintf("%d ids, at most %d", len(r.StopTokens), maxStopTokens)
		}
		return e.tokens(r.StopTokens)
	}},
	{"cache_salt", func(_ *Engine, r *Request) string {
		if len(r.CacheSalt) > maxSaltBytes {
			return fmt.Sprintf("%d bytes, at most %d", len(r.CacheSalt), maxSaltBytes)
		}
		return ""
	}},
}

// check returns the first thing that is wrong with a request.
func (e *Engine) check(r *Request) error {
	if limit := e.MaxSource(); limit > 0 && len(r.Prompt) > limit {
		return fmt.Errorf("%w: %d tokens, at most %d are encoded", ErrTooLong, len(r.Prompt), limit)
	}
	if limit := e.MaxContext(); e.info.Source == nil && len(r.Prompt) >= limit {
		return fmt.Errorf("%w: %d tokens, at most %d so that one can follow", ErrTooLong, len(r.Prompt), limit-1)
	}
	for _, c := range requestChecks {
		if problem := c.check(e, r); problem != "" {
			return &FieldError{c.field, problem}
		}
	}
	return nil
}

// within returns "" if low <= v <= high.
func within(v, low, high float64) string {
	switch {
	case v >= low && v <= high:
		return ""
	case math.IsInf(high, 1):
		return fmt.Sprintf("%v, must not be below %v", v, low)
	}
	return fmt.Sprintf("%v, must be within %v..%v", v, low, high)
}

func within32(v float32, low, high float64) string { return within(float64(v), low, high) }

// tokens returns what is wrong with a list of ids.
func (e *Engine) tokens(ids []int32) string {
	for i, id := range ids {
		if id < 0 || int(id) >= e.info.Vocab {
			return fmt.Sprintf("item %d: token %d is outside the vocabulary of %d", i, id, e.info.Vocab)
		}
	}
	return ""
}

func (e *Engine) bias(list []engine.TokenBias) string {
	if len(list) > maxBias {
		return fmt.Sprintf("%d tokens, at most %d", len(list), maxBias)
	}
	for i, b := range list {
		if b.Token < 0 || int(b.Token) >= e.info.Vocab {
			return fmt.Sprintf("item %d: token %d is outside the vocabulary of %d", i, b.Token, e.info.Vocab)
		}
		if problem := within32(b.Bias, -maxBiasValue, maxBiasValue); problem != "" {
			return fmt.Sprintf("token %d: %s", b.Token, problem)
		}
	}
	return ""
}

func stopStrings(list []string) string {
	if len(list) > maxStops {
		return fmt.Sprintf("%d strings, at most %d", len(list), maxStops)
	}
	for i, s := range list {
		switch {
		case s == "":
			return fmt.Sprintf("item %d is empty", i)
		case len(s) > maxStopBytes:
			return fmt.Sprintf("item %d: %d bytes, at most %d", i, len(s), maxStopBytes)
		case !utf8.ValidString(s):
			return fmt.Sprintf("item %d is not UTF-8", i)
		}
	}
	return ""
}
