package server

import (
	"time"

	"llmc/runtime/grammar"
	"llmc/runtime/otlp"
)

// operations are the names that the conventions of OpenTelemetry for generative AI have for what endpoints do, which are those of spans too.
var operations = map[endpoints]string{
	onChat: "chat", onResponses: "chat", onCompletions: "text_completion", onGenerate: "text_completion", onGenerateStream: "text_completion",
	onTriton: "text_completion", onEmbeddings: "embeddings", onRerank: "rerank", onScore: "score",
}

// finished is the span of the request, with the attributes of the conventions of OpenTelemetry for generative AI, and those that vLLM has of times.
func (a *account) finished(r *report) otlp.Span {
	s := a.span
	s.ID, s.Start, s.End, s.Name = otlp.NewSpan(), a.begun, r.ended, "POST "+a.api
	add := func(key string, value any) {
		s.Attributes = append(s.Attributes, otlp.Attribute{Key: key, Value: value})
	}
	add("http.request.method", "POST")
	add("http.route", a.api)
	add("http.response.status_code", a.status)
	add("gen_ai.request.id", a.id)
	if a.failure != nil {
		add("error.type", r.errorCode)
		if a.failure.status >= 500 { // what the client did wrong is no fault of the server
			s.Failed = a.failure.message
		}
	}
	if a.request == nil {
		return s
	}
	operation := operations[a.request.on]
	if a.request.model.Node != nil {
		operation = "ensemble"
	}
	if operation != "" {
		s.Name = operation + " " + r.model
		add("gen_ai.operation.name", operation)
	}
	add("gen_ai.provider.name", "llmrun")
	add("gen_ai.request.model", r.model)
	add("gen_ai.response.model", r.model)
	add("gen_ai.usage.input_tokens", r.usage.PromptTokens)
	if a.batch == nil {
		return s
	}
	a.asked(add)
	add("gen_ai.usage.output_tokens", r.usage.OutputTokens)
	add("gen_ai.usage.cache_read.input_tokens", r.usage.CachedTokens)
	add("gen_ai.response.finish_reasons", r.finish)
	if r.usage.Joules > 0 {
		add("llmrun.energy_joules", r.usage.Joules)
	}
	a.times(&s, r, add)
	return s
}

// stepSpans are the spans of the steps of an ensemble, under that of the request.
func (a *account) stepSpans(of *otlp.Span) (spans []otlp.Span) {
	if a.steps == nil {
		return nil
	}
	for _, r := range a.steps.reports() {
		s := otlp.Span{Context: of.Context, ID: otlp.NewSpan(), Name: "step " + r.step, Start: r.began, End: r.ended, Failed: r.code}
		s.Parent = of.ID
		s.Attributes = []otlp.Attribute{{Key: "gen_ai.request.model", Value: r.model}, {Key: "llmrun.step", Value: r.step}}
		spans = append(spans, s)
	}
	return spans
}

// asked adds what the request asked for.
func (a *account) asked(add func(key string, value any)) {
	r := a.request
	if r.maxTokens != unset {
		add("gen_ai.request.max_tokens", r.maxTokens)
	}
	sampling := &r.base.Sampling
	add("gen_ai.request.temperature", float64(sampling.Temperature))
	add("gen_ai.request.top_p", float64(sampling.TopP))
	if sampling.TopK > 0 {
		add("gen_ai.request.top_k", float64(sampling.TopK))
	}
	if sampling.FrequencyPenalty != 0 {
		add("gen_ai.request.frequency_penalty", float64(sampling.FrequencyPenalty))
	}
	if sampling.PresencePenalty != 0 {
		add("gen_ai.request.presence_penalty", float64(sampling.PresencePenalty))
	}
	if r.seeded {
		add("gen_ai.request.seed", int(sampling.Seed))
	}
	if r.choices > 1 {
		add("gen_ai.request.choice.count", r.choices)
	}
	if k := r.constraint.Kind; k == grammar.JSONSchema || k == grammar.JSONObject {
		add("gen_ai.output.type", "json")
	}
}

// times adds the moments of the first choice as events, and vLLM's attributes of how long they took.
func (a *account) times(s *otlp.Span, r *report, add func(key string, value any)) {
	for _, moment := range []struct {
		name string
		at   time.Time
	}{{"llmrun.queued", r.queued}, {"llmrun.prefill", r.started}, {"llmrun.first_token", r.first}} {
		if !moment.at.IsZero() {
			s.Events = append(s.Events, otlp.Event{Time: moment.at, Name: moment.name})
		}
	}
	for _, took := range []struct {
		key      string
		from, to time.Time
	}{
		{"gen_ai.latency.time_in_queue", r.queued, r.started},
		{"gen_ai.latency.time_in_model_prefill", r.started, r.first},
		{"gen_ai.latency.time_in_model_decode", r.first, r.ended},
		{"gen_ai.latency.time_in_model_inference", r.started, r.ended},
		{"gen_ai.latency.time_to_first_token", a.begun, r.first},
		{"gen_ai.latency.e2e", a.begun, r.ended},
	} {
		if !took.from.IsZero() && !took.to.IsZero() {
			add(took.key, took.to.Sub(took.from).Seconds())
		}
	}
}
