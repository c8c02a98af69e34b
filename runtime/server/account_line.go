package server

import (
	"strconv"
	"time"
)

// maxLoggedPrompt bounds the bytes of each prompt in the request log, and the tokens of one that came as ids.
const (
	maxLoggedPrompt = 16 << 10
	maxLoggedIDs    = 2048
)

// line is the request's line in the request log: a JSON object. Keys without a value are left out, but for numbers of tokens.
func (a *account) line(r *report) []byte {
	w := lineWriter{make([]byte, 0, 512)}
	w.dst = append(w.dst, '{')
	w.text("time", a.begun.UTC().Format("2006-01-02T15:04:05.000000Z"))
	w.text("id", a.id)
	if a.key != nil {
		w.text("key", a.key.rule.name)
	}
	w.text("model", r.model)
	w.text("api", a.api)
	if r.streamed {
		w.raw("stream", "true")
	}
	w.number("status", float64(a.status))
	if a.batch != nil || r.encodesTokens {
		w.number("prompt_tokens", float64(r.usage.PromptTokens))
	}
	if a.batch != nil {
		w.number("cached_tokens", float64(r.usage.CachedTokens))
		w.number("output_tokens", float64(r.usage.OutputTokens))
		w.number("choices", float64(r.choices))
		if r.usage.Joules > 0 {
			w.number("energy_joules", r.usage.Joules)
		}
		w.span("queue_ms", r.queued, r.started)
		w.span("first_token_ms", a.begun, r.first)
	}
	w.span("duration_ms", a.begun, r.ended)
	w.list("finish", r.finish)
	if a.steps != nil {
		w.steps(a.steps.reports())
	}
	w.text("error", r.errorCode)
	if a.traced {
		w.text("trace_id", a.span.Trace.String())
	}
	if a.server.config.LogPrompts && a.request != nil {
		w.prompts(a.request.prompts)
	}
	return append(w.dst, "}\n"...)
}

// lineWriter appends members of an object.
type lineWriter struct{ dst []byte }

func (w *lineWriter) key(name string) {
	if w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
	w.dst = append(appendQuoted(w.dst, name), ':')
}

func (w *lineWriter) raw(name, value string) {
	w.key(name)
	w.dst = append(w.dst, value...)
}

// text appends a string, unless it is empty.
func (w *lineWriter) text(name, value string) {
	if value != "" {
		w.key(name)
		w.dst = appendQuoted(w.dst, value)
	}
}

func (w *lineWriter) number(name string, value float64) {
	w.key(name)
	w.dst = strconv.AppendFloat(w.dst, value, 'f', -1, 64)
}

// span appends the milliseconds between two moments, if both were.
func (w *lineWriter) span(name string, from, to time.Time) {
	if from.IsZero() || to.IsZero() {
		return
	}
	w.key(name)
	w.dst = strconv.AppendFloat(w.dst, max(0, to.Sub(from).Seconds()*1000), 'f', 3, 64)
}

// list appends strings, unless there are none.
func (w *lineWriter) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.key(name)
	for i, v := range values {
		w.dst = appendQuoted(append(w.dst, "[,"[min(i, 1)]), v)
	}
	w.dst = append(w.dst, ']')
}

// steps appends what the steps of an ensemble amounted to.
func (w *lineWriter) steps(list []stepReport) {
	if len(list) == 0 {
		return
	}
	w.key("steps")
	for i := range list {
		one := lineWriter{[]byte{'{'}}
		one.text("step", list[i].step)
		one.text("model", list[i].model)
		one.span("ms", list[i].began, list[i].ended)
		one.text("error", list[i].code)
		w.dst = append(append(append(w.dst, "[,"[min(i, 1)]), one.dst...), '}')
	}
	w.dst = append(w.dst, ']')
}

// prompts appends the texts of prompts, or the ids of those that have none.
func (w *lineWriter) prompts(prompts []prompt) {
	for i := range prompts {
		if i == 0 {
			w.key("prompts")
		}
		w.dst = append(w.dst, "[,"[min(i, 1)])
		if p := &prompts[i]; p.isText || p.text != "" {
			w.dst = appendQuoted(w.dst, clip(p.text, maxLoggedPrompt))
		} else {
			w.dst = appendInts(w.dst, p.ids[:min(len(p.ids), maxLoggedIDs)])
		}
	}
	if len(prompts) > 0 {
		w.dst = append(w.dst, ']')
	}
}
