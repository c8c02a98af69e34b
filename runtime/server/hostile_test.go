package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The attacks are numbered as in the list of section 5 of the research notes. After each the server must answer others.

func (ts *testServer) stillServes() {
	ts.t.Helper()
	if a := ts.do("POST", "/v1/completions", `{"prompt":"x","max_tokens":1}`); a.status != 200 {
		ts.t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

// refusedRaw requires an OpenAI error with a status, and the end of the connection.
func refusedRaw(t *testing.T, c *rawConn, status int) {
	t.Helper()
	resp := c.response()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != status {
		t.Errorf("status %d, want %d: %s", resp.StatusCode, status, body)
	}
	answer{resp.StatusCode, resp.Header, string(body)}.errorOf(t)
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("the connection goes on")
	}
}

func TestAttack1Headers(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	for name, header := range map[string]string{
		"one of 1 GB":  "X-Big: ",
		"many":         strings.Repeat("X-Many: 1\r\n", 100_000),
		"long request": "",
	} {
		t.Run(name, func(t *testing.T) {
			c := ts.dial()
			go func() { // the server hangs up in the middle
				if name == "long request" {
					fmt.Fprintf(c.Conn, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("a", 1<<20))
					return
				}
				fmt.Fprintf(c.Conn, "GET /health HTTP/1.1\r\nHost: x\r\n%s", header)
				for range 1 << 10 {
					if _, err := io.WriteString(c.Conn, strings.Repeat("a", 1<<20)); err != nil {
						return
					}
				}
			}()
			if resp := c.response(); resp.StatusCode != 431 {
				t.Errorf("status %d", resp.StatusCode)
			}
			ts.stillServes()
		})
	}
}

func TestAttack2TinyChunks(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{Limits: Limits{BodyBytes: 100_000}})
	c := ts.dial().send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
	go func() { _, _ = io.WriteString(c.Conn, strings.Repeat("1\r\n \r\n", 500_000)) }()
	if resp := c.response(); resp.StatusCode != 413 {
		t.Errorf("status %d", resp.StatusCode)
	}
	ts.stillServes()
}

// Two readings of one request must not be possible: what follows an ambiguous one is never served.
func TestAttack3Smuggling(t *testing.T) {
	inner := "GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, request := range map[string]string{
		"length and chunks": "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"two lengths": "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n" +
			"Content-Length: 50\r\n\r\n{}" + inner,
		"unknown coding": "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
		"bad chunk size": "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + inner,
		"negative":       "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" + inner,
		"http/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + inner,
	} {
		t.Run(name, func(t *testing.T) {
			ts := startServer(t, &fakeBackend{}, Config{})
			c := ts.dial().send("%s", request)
			if resp := c.response(); resp.StatusCode < 400 {
				t.Errorf("status %d", resp.StatusCode)
			} else if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
			if second, err := http.ReadResponse(c.r, nil); err == nil {
				t.Errorf("a second answer: %d", second.StatusCode)
			}
			ts.stillServes()
		})
	}
}

func TestAttack4Drip(t *testing.T) {
	for name, begin := range map[string]string{
		"header": "POST /v1/completions HT",
		"body":   "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
		"silent": "",
	} {
		t.Run(name, func(t *testing.T) {
			ts := startServer(t, &fakeBackend{}, Config{Limits: Limits{HeaderTimeout: 50 * time.Millisecond, BodyTimeout: 50 * time.Millisecond}})
			c := ts.dial().send("%s", begin)
			stop := make(chan struct{})
			dripped := make(chan struct{})
			go func() {
				defer close(dripped)
				for {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
						if name != "silent" {
							_, _ = io.WriteString(c.Conn, " ")
						}
					}
				}
			}()
			if name == "silent" { // nobody asked anything, so nothing is answered
				if _, err := c.r.ReadByte(); err == nil {
					t.Error("an answer to nothing")
				}
			} else if resp := c.response(); resp.StatusCode != 408 || !resp.Close {
				t.Errorf("status %d, close %v", resp.StatusCode, resp.Close)
			}
			close(stop)
			<-dripped
			ts.stillServes()
		})
	}
}

func TestAttack6Resets(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	for range 2000 {
		c, err := net.Dial("tcp", ts.addr)
		must(t, err)
		must(t, c.(*net.TCPConn).SetLinger(0))
		must(t, c.Close())
	}
	ts.stillServes()
	ts.client.CloseIdleConnections()
	eventually(t, "all connections forgotten", func() bool {
		ts.mu.Lock()
		l := ts.listeners[0]
		ts.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.open) == 0
	})
}

// brokenListener fails as the kernel does when descriptors run out, then as it does when it is closed.
type brokenListener struct {
	net.Listener
	failures []error
}

func (l *brokenListener) Accept() (net.Conn, error) {
	if len(l.failures) > 0 {
		err := l.failures[0]
		l.failures = l.failures[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return l.Listener.Accept()
}

func TestServerOutlivesShortage(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := newListener(&brokenListener{inner, []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED}}, time.Second, &room{})
	go func() {
		if c, err := net.Dial("tcp", inner.Addr().String()); err == nil {
			c.Close()
		}
	}()
	c, err := l.Accept()
	must(t, err)
	c.Close()
	l.Listener.(*brokenListener).failures = []error{syscall.EINVAL}
	if _, err := l.Accept(); err == nil {
		t.Error("a listener that is broken for good must say so")
	}
	must(t, l.Close())
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A client that writes all of its body before it reads must get the answer, not a reset connection.
func TestBodyTooLargeIsAnsweredAfterItIsSent(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{Limits: Limits{BodyBytes: 1 << 20}})
	c := ts.dial()
	const size = 16 << 20 // more than the buffers of both ends hold
	_, err := fmt.Fprintf(c.Conn, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", size)
	must(t, err)
	if _, err := c.Conn.Write(make([]byte, size)); err != nil {
		t.Fatalf("writing the body: %v", err)
	}
	refusedRaw(t, c, 413)
	ts.stillServes()
}

func TestBodyTooLarge(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{Limits: Limits{BodyBytes: 1000}})
	c := ts.dial().send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
	refusedRaw(t, c, 413)
	ts.stillServes()
}

// Attacks 7 to 11: bodies that are refused, each for the reason it should be.
func TestHostileBodies(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	messages := `"messages":[{"role":"user","content":"x"}]`
	cases := []hostileBody{
		{"7 depth", "/v1/completions", strings.Repeat(`{"a":`, 100_000), "", "nested deeper"},
		{"7 duplicate keys", "/v1/completions", `{"prompt":"x","prompt":"y"}`, "", "duplicate key"},
		{"7 overflow", "/v1/completions", `{"prompt":"x","temperature":1e999}`, "", "out of range"},
		{"7 lone surrogate", "/v1/completions", `{"prompt":"\ud800"}`, "", "lone surrogate"},
		{"7 long string", "/v1/completions", `{"prompt":"` + strings.Repeat("a", 7<<20) + `"}`, "prompt", "maximum context length"},
		{"7 not UTF-8", "/v1/completions", "{\"prompt\":\"\xff\"}", "", "UTF-8"},
		{"8 n", "/v1/completions", `{"prompt":"x","n":1000000000}`, "n", "1 to 128"},
		{"8 max_tokens", "/v1/completions", `{"prompt":"x","max_tokens":9223372036854775808}`, "max_tokens", "integer"},
		{"8 max_tokens above the context", "/v1/completions", `{"prompt":"x","max_tokens":2147483647}`, "prompt", "maximum context length"},
		{"8 top_logprobs", "/v1/chat/completions", `{` + messages + `,"logprobs":true,"top_logprobs":1000000}`, "top_logprobs", "0 to 20"},
		{"8 logprobs", "/v1/completions", `{"prompt":"x","logprobs":6}`, "logprobs", "0 to 5"},
		{"8 temperature", "/v1/completions", `{"prompt":"x","temperature":-0.1}`, "temperature", "from 0 to 2"},
		{"8 temperature NaN", "/v1/completions", `{"prompt":"x","temperature":NaN}`, "", "not valid JSON"},
		{"8 logit_bias of no token", "/v1/completions", `{"prompt":"x","logit_bias":{"258":1}}`, "logit_bias", "not a token id"},
		{"8 logit_bias of a negative", "/v1/completions", `{"prompt":"x","logit_bias":{"-1":1}}`, "logit_bias", "not a token id"},
		{"8 logit_bias too large", "/v1/completions", `{"prompt":"x","logit_bias":{"1":101}}`, "logit_bias", "-100 to 100"},
		{"8 stop strings", "/v1/completions", `{"prompt":"x","stop":["a"` + strings.Repeat(`,"a"`, 100_000) + `]}`, "stop", "at most 64"},
		{"8 empty stop", "/v1/completions", `{"prompt":"x","stop":""}`, "stop", "1 to 1024"},
		{"8 truncation", "/v1/completions", `{"prompt":"x","truncate_prompt_tokens":-1}`, "truncate_prompt_tokens", "not supported"},
		{"8 prompts", "/v1/completions", `{"prompt":["a"` + strings.Repeat(`,"a"`, 3000) + `]}`, "prompt", "at most 2048"},
		{"8 prompts times choices", "/v1/completions", `{"n":128,"prompt":["a"` + strings.Repeat(`,"a"`, 99) + `]}`, "n", "too many"},
		{"9 token above", "/v1/completions", `{"prompt":[258]}`, "prompt", "not a token id"},
		{"9 token below", "/v1/completions", `{"prompt":[[1],[-1]]}`, "prompt", "not a token id"},
		{"9 token 2^32", "/v1/completions", `{"prompt":[4294967296]}`, "prompt", "not a token id"},
		{"9 token 1.5", "/v1/completions", `{"prompt":[1.5]}`, "prompt", "not a token id"},
		{"9 mixed", "/v1/completions", `{"prompt":["a",[1]]}`, "prompt", "one kind"},
		{"9 stop token", "/v1/completions", `{"prompt":"x","stop_token_ids":[258]}`, "stop_token_ids", "not a token id"},
		{"10 schema", "/v1/completions", `{"prompt":"x","response_format":{"type":"json_schema"}}`, "response_format", "needs the key"},
		{"10 structured_outputs", "/v1/chat/completions", `{` + messages + `,"structured_outputs":{"structural_tag":"(a+)+$"}}`, "structured_outputs", "not supported"},
		{"11 chat_template", "/v1/chat/completions", `{` + messages + `,"chat_template":"{{ 1 }}"}`, "chat_template", "part of the model"},
		{"11 kwargs", "/v1/chat/completions", `{` + messages + `,"chat_template_kwargs":{"tokenize":true}}`, "chat_template_kwargs", "overridden"},
		{"11 messages in kwargs", "/v1/chat/completions", `{` + messages + `,"chat_template_kwargs":{"messages":[]}}`, "chat_template_kwargs", "overridden"},
		{"18 model", "/v1/completions", `{"prompt":"x","model":"../../etc/passwd\u0000"}`, "model", "does not exist"},
	}
	for _, c := range append(cases, hostileConstraints...) {
		t.Run(c.name, func(t *testing.T) {
			a := ts.do("POST", c.path, c.body)
			e := a.errorOf(t)
			param, _ := e["param"].(string)
			if a.status != 400 && c.param != "model" || param != c.param || !strings.Contains(e["message"].(string), c.message) {
				t.Errorf("%d %s", a.status, a.body)
			}
			if len(a.body) > 1000 {
				t.Errorf("the answer repeats %d bytes", len(a.body))
			}
		})
	}
	if n := ts.backend.submitted(); n != 0 {
		t.Errorf("%d of them were submitted", n)
	}
	ts.stillServes()
}

// HTTP/1.0 knows no chunks, and a client of it no end of a stream.
func TestHTTP10(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	for body, want := range map[string]int{`{"prompt":"x","max_tokens":2}`: 200, `{"prompt":"x","stream":true}`: 400} {
		c := ts.dial().send("POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		resp := c.response()
		if resp.StatusCode != want || resp.ContentLength <= 0 {
			t.Errorf("%s: status %d, length %d", body, resp.StatusCode, resp.ContentLength)
		}
	}
}

func TestHead(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	c := ts.dial().send("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n")
	head, err := http.ReadResponse(c.r, &http.Request{Method: "HEAD"})
	must(t, err)
	if body, err := io.ReadAll(head.Body); err != nil || len(body) != 0 || head.StatusCode != 200 {
		t.Errorf("status %d, %q, %v", head.StatusCode, body, err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(c.r), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("request behind it: %v", err)
	}
}
