package otlp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// fakeCollector keeps what it is sent; refuse says with which status, 0: none, the n-th request is turned away.
type fakeCollector struct {
	*httptest.Server
	refuse func(n int) int
	gate   chan struct{} // nil: answers at once

	mu       sync.Mutex
	requests []*collector.ExportTraceServiceRequest
	headers  []http.Header
	asked    int
}

func newCollector(t *testing.T) *fakeCollector {
	c := &fakeCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		request := &collector.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(body, request); err != nil {
			t.Error(err)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Method != "POST" {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		if c.gate != nil {
			<-c.gate
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked++
		if c.refuse != nil {
			if status := c.refuse(c.asked); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		c.requests, c.headers = append(c.requests, request), append(c.headers, r.Header)
	}))
	t.Cleanup(c.Close)
	return c
}

// names are those of the spans that have come.
func (c *fakeCollector) names() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.requests {
		for _, s := range r.ResourceSpans[0].ScopeSpans[0].Spans {
			all = append(all, s.Name)
		}
	}
	return all
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func exporter(t *testing.T, c *fakeCollector, more ...string) *Exporter {
	t.Helper()
	s, err := Lookup(environment(append(more, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL+"/")...))
	if err != nil {
		t.Fatal(err)
	}
	return New(s, "1.2.3", slog.New(slog.DiscardHandler))
}

// What arrives is what the schemas of OpenTelemetry read out of it.
func TestSpanArrives(t *testing.T) {
	c := newCollector(t)
	e := exporter(t, c, "OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, b=c", "OTEL_SERVICE_NAME", "llm", "OTEL_RESOURCE_ATTRIBUTES", "service.name=no,deployment.environment.name=lab")
	start := time.Unix(1_700_000_000, 5)
	parent := Parse("00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01", "a=b")
	e.Put(Span{
		Context: parent, ID: SpanID{1}, Name: "chat tiny", Start: start, End: start.Add(time.Second), Failed: "broken",
		Attributes: []Attribute{{"s", "text"}, {"b", true}, {"i", -3}, {"f", .5}, {"l", []string{"x", "y"}}, {"e", ""}},
		Events:     []Event{{start.Add(time.Millisecond), "first", []Attribute{{"n", 1}}}},
	})
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.requests) != 1 || c.headers[0].Get("Authorization") != "Bearer x" || c.headers[0].Get("B") != "c" || c.headers[0].Get("Content-Type") != "application/x-protobuf" {
		t.Fatalf("%d requests, headers %v", len(c.requests), c.headers)
	}
	all := c.requests[0].ResourceSpans[0]
	if got := fmt.Sprint(all.Resource.Attributes[0].Value.GetStringValue(), all.Resource.Attributes[1].Key, len(all.Resource.Attributes)); got != "llmdeployment.environment.name2" {
		t.Errorf("resource %s: %v", got, all.Resource)
	}
	scope, s := all.ScopeSpans[0].Scope, all.ScopeSpans[0].Spans[0]
	if scope.Name != "llmrun" || scope.Version != "1.2.3" {
		t.Errorf("scope %v", scope)
	}
	if fmt.Sprintf("%x %x %x", s.TraceId, s.ParentSpanId, s.SpanId) != "0102030405060708090a0b0c0d0e0f10 1112131415161718 0100000000000000" || s.TraceState != "a=b" || s.Flags != 0x301 {
		t.Errorf("ids of %v", s)
	}
	if s.Name != "chat tiny" || s.Kind.String() != "SPAN_KIND_SERVER" || s.StartTimeUnixNano != 1_700_000_000_000_000_005 || s.EndTimeUnixNano != 1_700_000_001_000_000_005 ||
		s.Status.Code.String() != "STATUS_CODE_ERROR" || s.Status.Message != "broken" {
		t.Errorf("%v", s)
	}
	var values []string
	for _, a := range s.Attributes {
		values = append(values, fmt.Sprint(a.Key, "=", a.Value))
	}
	want := `s=string_value:"text" b=bool_value:true i=int_value:-3 f=double_value:0.5 l=array_value:{values:{string_value:"x"} values:{string_value:"y"}} e=string_value:""`
	if got := strings.Join(strings.Fields(strings.Join(values, " ")), " "); got != want {
		t.Errorf("attributes %s", got)
	}
	if ev := s.Events[0]; ev.Name != "first" || ev.TimeUnixNano != 1_700_000_000_001_000_005 || ev.Attributes[0].Value.GetIntValue() != 1 {
		t.Errorf("event %v", ev)
	}
}

// Batches are as large as they may be, a collector that is busy is asked again, one that refuses is not, and what is lost is counted.
func TestBatchesAndRefusals(t *testing.T) {
	c := newCollector(t)
	c.refuse = func(n int) int { return map[int]int{1: 503, 3: 400}[n] }
	e := exporter(t, c, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
	for i := range 5 {
		e.Put(Span{Name: fmt.Sprint(i)})
	}
	if err := e.Close(t.Context()); err != nil { // which makes the second try the last, and at once
		t.Fatal(err)
	}
	if got := c.names(); !reflect.DeepEqual(got, []string{"0", "1", "4"}) || e.Dropped() != 2 {
		t.Errorf("%v arrived, %d dropped", got, e.Dropped())
	}
}

// A collector that hangs makes nobody wait, and Close waits no longer than it is told.
func TestHangingCollector(t *testing.T) {
	c := newCollector(t)
	c.gate = make(chan struct{})
	e := exporter(t, c, "OTEL_BSP_MAX_QUEUE_SIZE", "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	const put = 100
	for range put {
		e.Put(Span{})
	}
	if n := e.Dropped(); n < put-12 {
		t.Errorf("%d dropped", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ctx); err == nil {
		t.Error("closed though spans wait")
	}
	if n := e.Dropped(); n != put {
		t.Errorf("%d of %d dropped", n, put)
	}
	close(c.gate)
}

func TestSpansGoAfterTheDelay(t *testing.T) {
	c := newCollector(t)
	e := exporter(t, c, "OTEL_BSP_SCHEDULE_DELAY", "1")
	e.Put(Span{Name: "a"})
	for end := time.Now().Add(20 * time.Second); len(c.names()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing was sent")
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	const trace, parent = "0102030405060708090a0b0c0d0e0f10", "1112131415161718"
	for _, c := range []struct {
		header          string
		known, recorded bool
	}{
		{"00-" + trace + "-" + parent + "-01", true, true},
		{"00-" + trace + "-" + parent + "-00", true, false},
		{"01-" + trace + "-" + parent + "-03-more", true, true},
		{"00-" + trace + "-" + parent + "-01-more", false, false},
		{"ff-" + trace + "-" + parent + "-01", false, false},
		{"00-" + strings.ToUpper(trace) + "-" + parent + "-01", false, false},
		{"00-" + strings.Repeat("0", 32) + "-" + parent + "-01", false, false},
		{"00-" + trace + "-" + strings.Repeat("0", 16) + "-01", false, false},
		{"00-" + trace[1:] + "-" + parent + "-01", false, false},
		{"00-" + trace + "-" + parent + "-0x", false, false},
		{"", false, false}, {"---", false, false},
	} {
		got := Parse(c.header, "")
		if (got.Trace.String() == trace) != c.known || (got.Parent.String() == parent) != c.known || got.Sampled != c.recorded || got.Trace == (TraceID{}) {
			t.Errorf("%q: %+v", c.header, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01", "a=b")
	f.Fuzz(func(t *testing.T, traceparent, tracestate string) {
		c := Parse(traceparent, tracestate)
		if c.Trace == (TraceID{}) || len(c.State) > maxState {
			t.Errorf("%+v", c)
		}
		if c.Parent != (SpanID{}) && !strings.HasPrefix(traceparent[2:], "-"+c.Trace.String()+"-"+c.Parent.String()+"-") {
			t.Errorf("%q: %+v", traceparent, c)
		}
	})
}

func TestSamplers(t *testing.T) {
	recorded, dropped := Parse("00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01", ""), Parse("00-0102030405060708090a0b0c0d0e0f10-1112131415161718-00", "")
	for _, c := range []struct {
		name, arg string
		want      [2]bool // children of the two
		roots     [2]int  // of 1000 traces that begin here, between
	}{
		{"", "", [2]bool{true, false}, [2]int{1000, 1000}},
		{"always_on", "", [2]bool{true, true}, [2]int{1000, 1000}},
		{"always_off", "", [2]bool{false, false}, [2]int{0, 0}},
		{"parentbased_always_off", "", [2]bool{true, false}, [2]int{0, 0}},
		{"parentbased_traceidratio", "0.25", [2]bool{true, false}, [2]int{150, 350}},
		{"traceidratio", "0", [2]bool{false, false}, [2]int{0, 0}},
	} {
		s, err := Lookup(environment("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x", "OTEL_TRACES_SAMPLER", c.name, "OTEL_TRACES_SAMPLER_ARG", c.arg))
		if err != nil {
			t.Fatal(err)
		}
		e := &Exporter{settings: s}
		a, b := recorded, dropped
		if got := [2]bool{e.Samples(&a), e.Samples(&b)}; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		n := 0
		for range 1000 {
			root := NewTrace()
			if e.Samples(&root) {
				n++
			}
		}
		if n < c.roots[0] || n > c.roots[1] {
			t.Errorf("%s %s: %d of 1000", c.name, c.arg, n)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		env      []string
		endpoint string
		err      string
	}{
		{nil, "", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318"}, "http://h:4318/v1/traces", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/x"}, "https://t/x", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_SDK_DISABLED", "true"}, "", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_TRACES_EXPORTER", "none"}, "", ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "h:4317"}, "", "is no http or https URL"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}, "", "http/protobuf"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_HEADERS", "secret"}, "", "must be key=value"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_BSP_MAX_QUEUE_SIZE", "0"}, "", "OTEL_BSP_MAX_QUEUE_SIZE"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_TRACES_SAMPLER", "jaeger_remote"}, "", "OTEL_TRACES_SAMPLER"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "NaN"}, "", "within 0..1"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_RESOURCE_ATTRIBUTES", "a=%zz"}, "", "OTEL_RESOURCE_ATTRIBUTES"},
	} {
		s, err := Lookup(environment(c.env...))
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v: %v", c.env, err)
			}
		case err != nil || s.Endpoint != c.endpoint:
			t.Errorf("%v: %q, %v", c.env, s.Endpoint, err)
		}
	}
}
