package server

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// While the server drains, running requests go on to their end and everything else is turned away.
func TestDrain(t *testing.T) {
	b := &fakeBackend{gate: make(chan struct{})}
	ts := startServer(t, b, Config{})
	stream := ts.open("POST", "/v1/completions", `{"prompt":"x","max_tokens":5,"stream":true}`)
	defer stream.Body.Close()
	whole := make(chan answer, 1)
	go func() { whole <- ts.do("POST", "/v1/completions", `{"prompt":"y","max_tokens":5}`) }()
	eventually(t, "both submitted", func() bool { return b.submitted() == 2 })
	idle := ts.dial().send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
	readBody(t, idle)
	silent := ts.dial()

	done := make(chan error, 1)
	go func() { done <- ts.Shutdown(context.Background()) }()
	eventually(t, "draining", ts.inflight.isDraining)

	refused := ts.do("POST", "/v1/completions", `{"prompt":"z"}`)
	if e := refused.errorOf(t); refused.status != 503 || e["code"] != "draining" || refused.header.Get("Retry-After") == "" {
		t.Errorf("new request: %d %s %v", refused.status, refused.body, refused.header)
	}
	for path, want := range map[string]int{"/livez": 200, "/startupz": 200, "/readyz": 503, "/ping": 503} {
		if a := ts.do("GET", path, ""); a.status != want {
			t.Errorf("%s while draining: %d, want %d", path, a.status, want)
		}
	}
	if a := ts.do("GET", "/health", ""); a.status != 503 {
		t.Errorf("health: %d", a.status)
	}
	idle.postRaw("/v1/completions", `{"prompt":"z"}`)
	if resp := idle.response(); resp.StatusCode != 503 || !resp.Close {
		t.Errorf("request on an idle connection: %d, close %v", resp.StatusCode, resp.Close)
	}
	select {
	case err := <-done:
		t.Fatalf("shut down with two requests running: %v", err)
	default:
	}

	give(t, b.gate, 10)
	text, err := io.ReadAll(stream.Body)
	if err != nil || !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
		t.Errorf("stream: %v, %s", err, text)
	}
	if a := <-whole; a.status != 200 || !strings.Contains(a.body, `"Hi, w"`) {
		t.Errorf("whole: %d %s", a.status, a.body)
	}
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("connection that never spoke: %v", err)
	}
	if c, err := net.Dial("tcp", ts.addr); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

// When the time for draining is over, what still runs is told so.
func TestShutdownNow(t *testing.T) {
	b := &fakeBackend{gate: make(chan struct{})}
	ts := startServer(t, b, Config{})
	stream := ts.open("POST", "/v1/completions", `{"prompt":"x","stream":true}`)
	defer stream.Body.Close()
	whole := make(chan answer, 1)
	go func() { whole <- ts.do("POST", "/v1/completions", `{"prompt":"y"}`) }()
	eventually(t, "both submitted", func() bool { return b.submitted() == 2 })

	waiting := make(chan error, 1)
	go func() { waiting <- ts.Shutdown(context.Background()) }()
	eventually(t, "draining", ts.inflight.isDraining)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ts.Shutdown(now); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("the shutdown that was hurried: %v", err)
	}
	text, err := io.ReadAll(stream.Body)
	if err != nil || !strings.Contains(string(text), `data: {"error":{"message":"the server is shutting down"`) ||
		strings.Contains(string(text), "[DONE]") {
		t.Errorf("stream: %v, %s", err, text)
	}
	if a := <-whole; a.status != 503 || a.errorOf(t)["code"] != "draining" {
		t.Errorf("whole: %d %s", a.status, a.body)
	}
	if !b.idle() {
		t.Error("generations still run")
	}
}

func TestServeEndsWithContext(t *testing.T) {
	b := &fakeBackend{gate: make(chan struct{})}
	s, err := New(Config{Models: []Model{fakeModel("tiny", b)}})
	must(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	ts := &testServer{Server: s, t: t, addr: ln.Addr().String()}
	ts.dial().postRaw("/v1/completions", `{"prompt":"x"}`)
	eventually(t, "submitted", func() bool { return b.submitted() == 1 })
	cancel()
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if !b.idle() {
		t.Error("the generation still runs")
	}
	if err := s.Serve(context.Background(), ln); !errors.Is(err, errStopping) {
		t.Errorf("serving again: %v", err)
	}
}

func TestQueueFull(t *testing.T) {
	b := &fakeBackend{gate: make(chan struct{}), queue: 2}
	ts := startServer(t, b, Config{})
	stream := ts.open("POST", "/v1/completions", `{"prompt":"x","max_tokens":1,"stream":true}`)
	defer stream.Body.Close()
	a := ts.do("POST", "/v1/completions", `{"prompt":["y","z"],"max_tokens":1}`)
	if e := a.errorOf(t); a.status != 429 || e["type"] != "rate_limit_error" || e["code"] != "queue_full" ||
		a.header.Get("Retry-After") != "1" || a.header.Get("Retry-After-Ms") != "1000" {
		t.Errorf("%d %s %v", a.status, a.body, a.header)
	}
	// The first of the two prompts had been taken: it must not go on.
	eventually(t, "only the stream runs", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.running == 1 })
	give(t, b.gate, 1)
	if _, err := io.ReadAll(stream.Body); err != nil {
		t.Error(err)
	}
}

func TestHealthFollowsModel(t *testing.T) {
	b := &fakeBackend{}
	ts := startServer(t, b, Config{})
	b.unwell.Store(errors.New("no step for 31 s"))
	if a := ts.do("GET", "/health", ""); a.status != 503 || a.errorOf(t)["code"] != "no_progress" {
		t.Errorf("%d %s", a.status, a.body)
	}
}
