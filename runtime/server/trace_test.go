package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"llmc/runtime"
	"llmc/runtime/metrics"
	"llmc/runtime/otlp"
)

// A request is one span of the trace that its client began, with the attributes of the conventions for generative AI and an event for each phase.
func TestTraces(t *testing.T) {
	spans := make(chan *trace.Span, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			t.Error(err)
		}
		for _, s := range request.ResourceSpans[0].ScopeSpans[0].Spans {
			spans <- s
		}
	}))
	defer receiver.Close()
	settings, err := otlp.Lookup(func(name string) string {
		return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.URL, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1"}[name]
	})
	must(t, err)
	traces := otlp.New(settings, "test", slog.New(slog.DiscardHandler))
	m, _ := engineModel(t, "tiny", &scripted{before: slowly}, metrics.New(), runtime.Options{})
	ts := startServer(t, nil, Config{Models: []Model{m}, Traces: traces})

	const parent = "traceparent: 00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01"
	ts.do("POST", "/v1/completions", `{"prompt":"abc","max_tokens":4,"temperature":0.5,"seed":7,"stream":true}`, parent)
	s := <-spans
	if s.Name != "text_completion tiny" || s.TraceId[0] != 1 || s.ParentSpanId[7] != 0x18 || s.Status != nil || s.Kind != trace.Span_SPAN_KIND_SERVER {
		t.Errorf("%v", s)
	}
	for key, want := range map[string]any{
		"gen_ai.operation.name": "text_completion", "gen_ai.provider.name": "llmrun", "gen_ai.request.model": "tiny", "gen_ai.response.model": "tiny",
		"gen_ai.usage.input_tokens": int64(4), "gen_ai.usage.output_tokens": int64(4), "gen_ai.request.max_tokens": int64(4), "gen_ai.request.seed": int64(7),
		"gen_ai.request.temperature": .5, "gen_ai.request.id": "req_0123", "http.route": "/v1/completions", "http.response.status_code": int64(200),
	} {
		if got := attribute(s, key); got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	for _, key := range []string{"time_in_queue", "time_to_first_token", "time_in_model_prefill", "time_in_model_decode", "time_in_model_inference", "e2e"} {
		if got, ok := attribute(s, "gen_ai.latency."+key).(float64); !ok || got < 0 || got == 0 && key != "time_in_queue" {
			t.Errorf("gen_ai.latency.%s is %v", key, attribute(s, "gen_ai.latency."+key))
		}
	}
	checkEvents(t, s)

	ts.do("POST", "/v1/chat/completions", `{"messages":1}`) // the fault of the client, in a trace of its own
	s = <-spans
	if s.Name != "POST /v1/chat/completions" || s.ParentSpanId != nil || s.Status != nil || attribute(s, "error.type") != "invalid_type" {
		t.Errorf("%v", s)
	}
	ts.do("POST", "/v1/completions", `{"prompt":"abc","max_tokens":1}`, parent[:len(parent)-1]+"0") // nobody records it
	ts.do("GET", "/health", "", parent)
	must(t, traces.Close(t.Context()))
	if len(spans) > 0 || traces.Dropped() > 0 {
		t.Errorf("%d more spans, %d lost", len(spans), traces.Dropped())
	}
}

// checkEvents wants the phases of a request in their order, within its span.
func checkEvents(t *testing.T, s *trace.Span) {
	t.Helper()
	var names []string
	before := s.StartTimeUnixNano
	for _, e := range s.Events {
		names = append(names, e.Name)
		if e.TimeUnixNano < before || e.TimeUnixNano > s.EndTimeUnixNano {
			t.Errorf("event %s is not where it belongs", e.Name)
		}
		before = e.TimeUnixNano
	}
	if !slices.Equal(names, []string{"llmrun.queued", "llmrun.prefill", "llmrun.first_token"}) {
		t.Errorf("events %v", names)
	}
}

// attribute returns the value of an attribute, nil where there is none.
func attribute(s *trace.Span, key string) any {
	for _, a := range s.Attributes {
		if a.Key != key {
			continue
		}
		for _, v := range []any{a.Value.GetStringValue(), a.Value.GetIntValue(), a.Value.GetDoubleValue()} {
			if v != "" && v != int64(0) && v != 0. {
				return v
			}
		}
		return 0.
	}
	return nil
}
