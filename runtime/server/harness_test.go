package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llmc/engine"
)

func TestMain(m *testing.M) {
	// fasthttp leaves these two sleeping: a clock for the process, and a worker pool's sweeper until it next wakes.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// patience bounds waits for things that must happen; no test measures time.
const patience = 20 * time.Second

// testServer is a server of one fake model on a loopback port.
type testServer struct {
	*Server
	t       *testing.T
	addr    string
	backend *fakeBackend
	client  *http.Client
}

// fakeModel returns a model of the fake vocabulary with room for 128 tokens.
func fakeModel(name string, b *fakeBackend) Model {
	return Model{
		Name: name, Info: engine.ModelInfo{Name: "base/" + name, Vocab: fakeVocab, MaxContext: 128},
		Created: time.Unix(1_700_000_000, 0), Fingerprint: "fp_fake",
		Backend: b, Tokenizer: byteTokenizer{}, Grammars: byteGrammars(), Chat: fakeChat,
	}
}

// startServer serves config, with one fake model "tiny" unless it names others, until the test ends.
func startServer(t *testing.T, b *fakeBackend, config Config) *testServer {
	t.Helper()
	if config.Models == nil {
		config.Models = []Model{fakeModel("tiny", b)}
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Unix(1_700_000_001, 0) }
	s.newID = func() string { return "0123" }
	address, stop := serveLoopback(t, s)
	ts := &testServer{Server: s, t: t, addr: address, backend: b, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() {
		ts.client.CloseIdleConnections()
		stop()
	})
	return ts
}

// serveLoopback serves on a loopback port; stop shuts the server down.
func serveLoopback(t testing.TB, s *Server) (address string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln) }()
	return ln.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil && !errors.Is(err, errStopping) { // a test without HTTP may end before Serve begins
			t.Errorf("serve: %v", err)
		}
	}
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers come as "Name: value".
func (ts *testServer) do(method, path, body string, headers ...string) answer {
	ts.t.Helper()
	resp := ts.open(method, path, body, headers...)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		ts.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// open sends a request and leaves the body to be read.
func (ts *testServer) open(method, path, body string, headers ...string) *http.Response {
	ts.t.Helper()
	req, err := http.NewRequest(method, "http://"+ts.addr+path, strings.NewReader(body))
	if err != nil {
		ts.t.Fatal(err)
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := ts.client.Do(req)
	if err != nil {
		ts.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// post sends a body and requires a status; the answer is decoded into a generic value.
func (ts *testServer) post(path, body string, status int) map[string]any {
	ts.t.Helper()
	a := ts.do("POST", path, body)
	if a.status != status {
		ts.t.Fatalf("POST %s %s: status %d, want %d: %s", path, body, a.status, status, a.body)
	}
	return a.json(ts.t)
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// errorOf returns the error object of an answer and requires all four of its keys.
func (a answer) errorOf(t *testing.T) map[string]any {
	t.Helper()
	e, ok := a.json(t)["error"].(map[string]any)
	if !ok {
		t.Fatalf("no error object: %s", a.body)
	}
	for _, key := range []string{"message", "type", "param", "code"} {
		if _, ok := e[key]; !ok {
			t.Errorf("key %s is missing: %s", key, a.body)
		}
	}
	return e
}

// at walks into a decoded JSON value by keys and indices.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, step := range path {
		ok := false
		switch step := step.(type) {
		case string:
			var m map[string]any
			if m, ok = v.(map[string]any); ok {
				v, ok = m[step]
			}
		case int:
			var a []any
			if a, ok = v.([]any); ok && step < len(a) {
				v = a[step]
			}
		}
		if !ok {
			t.Fatalf("nothing at %v of %v", path[:i+1], v)
		}
	}
	return v
}

// rawConn is a connection on which a test says what it likes.
type rawConn struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (ts *testServer) dial() *rawConn {
	ts.t.Helper()
	c, err := net.Dial("tcp", ts.addr)
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		ts.t.Fatal(err)
	}
	return &rawConn{Conn: c, t: ts.t, r: bufio.NewReader(c)}
}

func (c *rawConn) send(format string, args ...any) *rawConn {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.Conn, format, args...); err != nil {
		c.t.Fatal(err)
	}
	return c
}

// postRaw writes a complete POST request.
func (c *rawConn) postRaw(path, body string) *rawConn {
	c.t.Helper()
	return c.send("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// response reads one response head; the body is left.
func (c *rawConn) response() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// eventually waits for something another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// give lets that many events of gated generations happen.
func give(t *testing.T, gate chan struct{}, n int) {
	t.Helper()
	for range n {
		select {
		case gate <- struct{}{}:
		case <-time.After(patience):
			t.Fatal("nobody takes the next event")
		}
	}
}

// events splits the body of a stream into the data of its events.
func events(t *testing.T, body string) []string {
	t.Helper()
	var all []string
	for _, e := range strings.Split(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(e, "data: ")
		if !ok || strings.Contains(data, "\n") {
			t.Fatalf("not one data line: %q", e)
		}
		all = append(all, data)
	}
	return all
}

// streamText puts the texts of a stream together, by choice.
func streamText(t *testing.T, body string) map[int]string {
	t.Helper()
	texts := map[int]string{}
	for _, e := range events(t, body) {
		if e == "[DONE]" {
			continue
		}
		var chunk struct {
			Choices []struct {
				Index int
				Text  string
				Delta struct{ Content string }
			}
		}
		if err := json.Unmarshal([]byte(e), &chunk); err != nil {
			t.Fatalf("%v: %s", err, e)
		}
		for _, c := range chunk.Choices {
			texts[c.Index] += c.Text + c.Delta.Content
		}
	}
	return texts
}
