package otlp

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// grpcCollector is a collector that gRPC's own server and the schemas of OpenTelemetry make; refuse says what the n-th request is answered with.
type grpcCollector struct {
	addr   string
	refuse func(n int) error

	mu      sync.Mutex
	names   []string
	headers []metadata.MD
	asked   int
}

func newGRPCCollector(t *testing.T, options ...grpc.ServerOption) *grpcCollector {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &grpcCollector{addr: ln.Addr().String()}
	s := grpc.NewServer(options...)
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Export", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			r := &collector.ExportTraceServiceRequest{}
			if err := decode(r); err != nil {
				return nil, err
			}
			return c.export(ctx, r)
		}}}}, c)
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(s.Stop)
	return c
}

func (c *grpcCollector) export(ctx context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	md, _ := metadata.FromIncomingContext(ctx)
	c.headers = append(c.headers, md)
	if c.refuse != nil {
		if err := c.refuse(c.asked); err != nil {
			return nil, err
		}
	}
	for _, s := range r.ResourceSpans[0].ScopeSpans[0].Spans {
		c.names = append(c.names, s.Name)
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func grpcExporter(t *testing.T, more ...string) *Exporter {
	t.Helper()
	s, err := Lookup(environment(append(more, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")...))
	if err != nil {
		t.Fatal(err)
	}
	return New(s, "1.2.3", slog.New(slog.DiscardHandler))
}

// The same spans as over HTTP, with headers, in batches; a collector that is busy is asked again, one that refuses is not.
func TestGRPCArrives(t *testing.T) {
	c := newGRPCCollector(t)
	later, err := status.New(codes.ResourceExhausted, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Microsecond)})
	if err != nil {
		t.Fatal(err)
	}
	c.refuse = func(n int) error {
		return map[int]error{1: later.Err(), 3: status.Error(codes.ResourceExhausted, "full"), 4: status.Error(codes.Unavailable, "restarting")}[n]
	}
	e := grpcExporter(t, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.addr, "OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20x", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
	for i := range 5 {
		e.Put(Span{Name: fmt.Sprint(i)})
	}
	if err := e.Close(t.Context()); err != nil { // which makes second tries the last, and at once
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.names, []string{"0", "1", "4"}) || e.Dropped() != 2 || c.asked != 5 {
		t.Errorf("%v arrived, %d dropped, %d requests", c.names, e.Dropped(), c.asked)
	}
	for _, md := range c.headers {
		if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer x" || !strings.HasPrefix(strings.Join(md.Get("user-agent"), ""), "llmrun/1.2.3") {
			t.Errorf("headers %v", md)
		}
	}
}

// Nobody there, or nobody who answers: Close waits no longer than it is told, and spans are counted.
func TestGRPCNobodyThere(t *testing.T) {
	hung := newGRPCCollector(t)
	release := make(chan struct{})
	hung.refuse = func(int) error { <-release; return nil }
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, addr := range []string{hung.addr, gone.Addr().String()} {
		e := grpcExporter(t, "OTEL_EXPORTER_OTLP_ENDPOINT", addr, "OTEL_EXPORTER_OTLP_INSECURE", "true")
		e.Put(Span{})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := e.Close(ctx); addr == hung.addr && err == nil {
			t.Errorf("%s: closed though a span waits", addr)
		}
		if cancel(); e.Dropped() != 1 {
			t.Errorf("%s: %d dropped", addr, e.Dropped())
		}
	}
	close(release)
}

// Over TLS the collector is known by the certificates that the environment names, and by no others.
func TestGRPCTLS(t *testing.T) {
	https := httptest.NewTLSServer(nil) // whose certificate is for 127.0.0.1
	defer https.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newGRPCCollector(t, grpc.Creds(credentials.NewTLS(https.TLS)))
	for _, r := range []struct {
		name    string
		env     []string
		dropped uint64
	}{
		{"trusted", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://" + c.addr, "OTEL_EXPORTER_OTLP_CERTIFICATE", roots}, 0},
		{"host and port", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", c.addr, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", roots}, 0},
		{"a stranger", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://" + c.addr}, 1},
		{"without TLS", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://" + c.addr}, 1},
	} {
		e := grpcExporter(t, r.env...)
		e.Put(Span{Name: r.name})
		if err := e.Close(t.Context()); err != nil || e.Dropped() != r.dropped {
			t.Errorf("%s: %d dropped, %v", r.name, e.Dropped(), err)
		}
	}
	if !reflect.DeepEqual(c.names, []string{"trusted", "host and port"}) {
		t.Errorf("arrived %v", c.names)
	}
}

// What a collector says of when to try again is untrusted: no time longer than a minute, no message that is none.
func TestRetryAfter(t *testing.T) {
	of := func(value []byte) *status.Status {
		s, err := status.New(codes.Unavailable, "").WithDetails(&errdetails.RetryInfo{})
		if err != nil {
			t.Fatal(err)
		}
		p := s.Proto()
		p.Details[0].Value = value
		return status.FromProto(p)
	}
	encoded := func(d *durationpb.Duration) []byte {
		b, err := proto.Marshal(&errdetails.RetryInfo{RetryDelay: d})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		value []byte
		want  time.Duration
	}{
		{encoded(durationpb.New(1500 * time.Millisecond)), 1500 * time.Millisecond},
		{encoded(&durationpb.Duration{Seconds: 1 << 62, Nanos: -1}), longestWait},
		{encoded(&durationpb.Duration{Seconds: -1}), longestWait},
		{[]byte{10, 200}, 0}, {[]byte{255}, 0}, {nil, 0}, {[]byte{9, 1, 2, 3, 4, 5, 6, 7, 8}, 0},
	} {
		if got, told := retryAfter(of(c.value)); got != c.want || !told {
			t.Errorf("%v: %v, %v", c.value, got, told)
		}
	}
	if _, told := retryAfter(status.New(codes.Unavailable, "")); told {
		t.Error("a time that nobody told")
	}
}

func TestTargets(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env            []string
		endpoint, want string // of an error
		secure         bool
	}{
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4317/"}, "h:4317", "", false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://h"}, "h:4317", "", true},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "h:1"}, "h:1", "", true},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "[::1]:1", "OTEL_EXPORTER_OTLP_INSECURE", "true"}, "[::1]:1", "", false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t:2"}, "t:2", "", true},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "unix:///x"}, "", "nor host:port", false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://h"}, "", "nor host:port", false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h/v1/traces"}, "", "without a path", false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "h:x"}, "", "nor host:port", false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "h", "OTEL_EXPORTER_OTLP_CERTIFICATE", filepath.Join(dir, "none")}, "", "OTEL_EXPORTER_OTLP_CERTIFICATE", false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "h", "OTEL_EXPORTER_OTLP_CERTIFICATE", empty}, "", "no certificate in PEM", false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "h", "OTEL_EXPORTER_OTLP_CLIENT_KEY", empty}, "", "belong together", false},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "h", "OTEL_EXPORTER_OTLP_CLIENT_KEY", empty, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", empty}, "", "CLIENT_CERTIFICATE", false},
	} {
		s, err := Lookup(environment(append(c.env, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")...))
		switch {
		case c.want != "":
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v", c.env, err)
			}
		case err != nil || s.Endpoint != c.endpoint || s.secure != c.secure || !s.GRPC:
			t.Errorf("%v: %q, TLS %v, %v", c.env, s.Endpoint, s.secure, err)
		}
	}
}
