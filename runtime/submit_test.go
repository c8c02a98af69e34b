package runtime

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"llmc/engine"
)

func TestEveryFieldIsChecked(t *testing.T) {
	e := start(t, newEcho(), Options{})
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		field string
		spoil func(*Request)
	}{
		{"prompt", func(r *Request) { r.Prompt = nil }},
		{"prompt", func(r *Request) { r.Prompt = []int32{1, -1} }},
		{"prompt", func(r *Request) { r.Prompt = []int32{vocab} }},
		{"max_tokens", func(r *Request) { r.MaxTokens = -1 }},
		{"min_tokens", func(r *Request) { r.MinTokens = -1 }},
		{"min_tokens", func(r *Request) { r.MinTokens, r.MaxTokens = 3, 2 }},
		{"temperature", func(r *Request) { r.Sampling.Temperature = -1 }},
		{"temperature", func(r *Request) { r.Sampling.Temperature = nan }},
		{"temperature", func(r *Request) { r.Sampling.Temperature = inf }},
		{"top_k", func(r *Request) { r.Sampling.TopK = -1 }},
		{"top_p", func(r *Request) { r.Sampling.TopP = 1.5 }},
		{"min_p", func(r *Request) { r.Sampling.MinP = nan }},
		{"repetition_penalty", func(r *Request) { r.Sampling.RepetitionPenalty = -1 }},
		{"presence_penalty", func(r *Request) { r.Sampling.PresencePenalty = inf }},
		{"frequency_penalty", func(r *Request) { r.Sampling.FrequencyPenalty = nan }},
		{"logit_bias", func(r *Request) { r.Sampling.Bias = []engine.TokenBias{{Token: vocab}} }},
		{"logit_bias", func(r *Request) { r.Sampling.Bias = []engine.TokenBias{{Bias: nan}} }},
		{"logit_bias", func(r *Request) { r.Sampling.Bias = make([]engine.TokenBias, maxBias+1) }},
		{"banned tokens", func(r *Request) { r.Sampling.Banned = []int32{-5} }},
		{"logprobs", func(r *Request) { r.Sampling.Logprobs = maxLogprobs + 1 }},
		{"logprobs", func(r *Request) { r.Sampling.Logprobs = -2 }},
		{"prompt_logprobs", func(r *Request) { r.PromptLogprobs = 1 << 30 }},
		{"stop", func(r *Request) { r.Stop = []string{"a", ""} }},
		{"stop", func(r *Request) { r.Stop = []string{"\xff"} }},
		{"stop", func(r *Request) { r.Stop = make([]string, maxStops+1) }},
		{"stop", func(r *Request) { r.Stop = []string{strings.Repeat("a", maxStopBytes+1)} }},
		{"stop_token_ids", func(r *Request) { r.StopTokens = []int32{vocab} }},
		{"stop_token_ids", func(r *Request) { r.StopTokens = make([]int32, maxStopTokens+1) }},
		{"cache_salt", func(r *Request) { r.CacheSalt = strings.Repeat("a", maxSaltBytes+1) }},
	} {
		r := scriptText("a")
		c.spoil(&r)
		_, err := e.Submit(t.Context(), r)
		var field *FieldError
		if !errors.Is(err, ErrBadRequest) || !errors.As(err, &field) || field.Field != c.field || !strings.HasPrefix(err.Error(), c.field+": ") {
			t.Errorf("%s: %v", c.field, err)
		}
		if err != nil && (len(err.Error()) > 200 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: the message is long: %v", c.field, err)
		}
	}
	if s := e.Stats(); s.Steps != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPromptsThatAreTooLong(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit func(*echo)
	}{
		{"context", func(m *echo) { m.limits.MaxContext = 20 }},
		{"memory", func(m *echo) { m.pages = 5 }},
	} {
		m := newEcho()
		c.limit(m)
		e := start(t, m, Options{})
		if e.MaxContext() != 20 {
			t.Errorf("%s: context of %d tokens", c.name, e.MaxContext())
		}
		long := script(make([]int32, 19)...)
		if _, err := e.Submit(t.Context(), long); !errors.Is(err, ErrTooLong) {
			t.Errorf("%s: %v", c.name, err)
		}
		fits := script(make([]int32, 18)...)
		if r := read(t, submit(t, e, fits)); len(r.tokens) != 1 || r.last.Finish != FinishLength {
			t.Errorf("%s: %d tokens, %+v", c.name, len(r.tokens), r.last)
		}
	}
}

func TestQueueLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newEcho()
		m.limits.MaxSequences = 2
		e, gate := held(t, m, Options{QueueLimit: 1})
		var all []Generation
		for range 3 {
			all = append(all, submit(t, e, scriptText("a")))
		}
		if _, err := e.Submit(t.Context(), scriptText("a")); !errors.Is(err, ErrQueueFull) {
			t.Errorf("fourth request: %v", err)
		}
		close(gate)
		for _, g := range all {
			finished(t, g)
		}
		finished(t, submit(t, e, scriptText("a")))
	})
}

func TestSubmissionWithAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := start(t, newEcho(), Options{}).Submit(ctx, scriptText("a")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestModelsThatCanNotBeServed(t *testing.T) {
	m := newEcho()
	m.limits.MaxRows = 0
	if _, err := newEngine(m, info, newBytesStream, Options{}); err == nil {
		t.Error("no rows accepted")
	}
	odd := info
	odd.RopeSalt = "odd"
	if _, err := newEngine(newEcho(), odd, newBytesStream, Options{}); err == nil || !strings.Contains(err.Error(), "odd") {
		t.Errorf("odd rope salt: %v", err)
	}
}
