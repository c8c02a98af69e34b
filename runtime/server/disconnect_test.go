package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// departures are the ways in which a client leaves.
var departures = []struct {
	name  string
	leave func(t *testing.T, c *net.TCPConn)
}{
	{"fin", func(t *testing.T, c *net.TCPConn) { must(t, c.Close()) }},
	{"rst", func(t *testing.T, c *net.TCPConn) { must(t, c.SetLinger(0)); must(t, c.Close()) }},
	{"half-close", func(t *testing.T, c *net.TCPConn) { must(t, c.CloseWrite()) }},
	{"fin behind a pipelined request", func(t *testing.T, c *net.TCPConn) {
		_, err := c.Write([]byte("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"))
		must(t, err)
		must(t, c.Close())
	}},
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// requestsLeft are the states in which requests are when their clients leave.
var requestsLeft = []struct {
	name, body string
	wait       string // what the client reads before it leaves
	tokens     int    // events that happen before
}{
	{"queued", `{"prompt":"x","max_tokens":9}`, "", 0},
	{"running", `{"prompt":"x","max_tokens":9}`, "", 3},
	{"several", `{"prompt":["x","y"],"n":3,"max_tokens":9}`, "", 0},
	{"large", `{"prompt":"x","max_tokens":9,"user":"` + strings.Repeat("u", 100_000) + `"}`, "", 0},
	{"stream queued", `{"prompt":"x","max_tokens":9,"stream":true}`, "", 0},
	{"stream begun", `{"prompt":"x","max_tokens":9,"stream":true}`, `"text":"i"`, 2},
	{"stream of several", `{"prompt":["x","y"],"max_tokens":9,"stream":true}`, `"text":"H"`, 4},
}

// A request whose client has left ends without another token being asked for: the gate gives none.
func TestClientLeaves(t *testing.T) {
	for _, left := range requestsLeft {
		for _, d := range departures {
			t.Run(left.name+"/"+d.name, func(t *testing.T) {
				b := &fakeBackend{gate: make(chan struct{})}
				ts := startServer(t, b, Config{})
				c := ts.dial().postRaw("/v1/completions", left.body)
				eventually(t, "submitted", func() bool { return b.submitted() > 0 })
				if left.wait == "" {
					give(t, b.gate, left.tokens)
				} else {
					go giveUntilGone(b, left.tokens)
					readUntil(t, c.r, left.wait)
				}
				d.leave(t, c.Conn.(*net.TCPConn))
				eventually(t, "everything canceled", func() bool { return b.idle() && b.canceled.Load() > 0 })
			})
		}
	}
}

// giveUntilGone lets events happen while somebody wants them.
func giveUntilGone(b *fakeBackend, n int) {
	for range n {
		select {
		case b.gate <- struct{}{}:
		case <-time.After(patience):
		}
	}
}

func readUntil(t *testing.T, r *bufio.Reader, text string) {
	t.Helper()
	var got strings.Builder
	for !strings.Contains(got.String(), text) {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%v before %q: %s", err, text, got.String())
		}
		got.WriteString(line)
	}
}

func (b *fakeBackend) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running == 0
}

func TestClientLeavesTLS(t *testing.T) {
	for _, stream := range []bool{false, true} {
		for _, how := range []string{"close notify", "rst"} {
			t.Run(fmt.Sprintf("stream %v, %s", stream, how), func(t *testing.T) {
				b := &fakeBackend{gate: make(chan struct{})}
				cert, key := writeCertificate(t, "one")
				ts := startServer(t, b, Config{CertFile: cert, KeyFile: key})
				c := ts.dial()
				tcp := c.Conn.(*net.TCPConn)
				secure := tls.Client(tcp, &tls.Config{InsecureSkipVerify: true})
				c.Conn, c.r = secure, bufio.NewReader(secure)
				c.postRaw("/v1/completions", fmt.Sprintf(`{"prompt":"x","stream":%v}`, stream))
				give(t, b.gate, 2)
				if how == "rst" {
					must(t, tcp.SetLinger(0))
					must(t, tcp.Close())
				} else {
					must(t, secure.Close())
				}
				eventually(t, "canceled", func() bool { return b.idle() && b.canceled.Load() == 1 })
			})
		}
	}
}

// The watch must leave a connection as it found it: requests before, behind and between streams on one connection all answered.
func TestWatchKeepsConnection(t *testing.T) {
	b := &fakeBackend{}
	ts := startServer(t, b, Config{})
	c := ts.dial()
	bodies := []string{`{"prompt":"x","max_tokens":2}`, `{"prompt":"x","max_tokens":2,"stream":true}`}
	for i := range 20 {
		c.postRaw("/v1/completions", bodies[i%2])
		if got := readBody(t, c); !strings.Contains(got, `"finish_reason":"length"`) {
			t.Fatalf("request %d: %s", i, got)
		}
	}
	for i := range 20 { // pipelined: the next request is there while this one is watched
		c.postRaw("/v1/completions", bodies[i%2])
	}
	for i := range 20 {
		if got := readBody(t, c); !strings.Contains(got, `"finish_reason":"length"`) {
			t.Fatalf("pipelined request %d: %s", i, got)
		}
	}
	if n := b.canceled.Load(); n != 0 {
		t.Errorf("%d generations canceled", n)
	}
}

func readBody(t *testing.T, c *rawConn) string {
	t.Helper()
	resp := c.response()
	var body strings.Builder
	if _, err := bufio.NewReader(resp.Body).WriteTo(&body); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

// A client that keeps the connection open but reads nothing is cut off by the deadline of a write; others do not notice.
func TestClientDoesNotRead(t *testing.T) {
	slow, quick := &fakeBackend{endless: true}, &fakeBackend{}
	models := []Model{fakeModel("slow", slow), fakeModel("quick", quick)}
	models[0].MaxContext = 1 << 30
	ts := startServer(t, slow, Config{Models: models, Limits: Limits{WriteTimeout: 200 * time.Millisecond}})
	deaf := ts.dial().postRaw("/v1/completions", `{"model":"slow","prompt":"x","max_tokens":1000000000,"stream":true}`)
	readUntil(t, deaf.r, "data: ")
	for i := range 50 {
		a := ts.do("POST", "/v1/completions", `{"model":"quick","prompt":"x","max_tokens":16,"stream":true}`)
		if text := streamText(t, a.body)[0]; text != fakeReply {
			t.Fatalf("stream %d beside a deaf client: %q", i, text)
		}
	}
	eventually(t, "the deaf client's generation canceled", func() bool { return slow.canceled.Load() == 1 && slow.idle() })
}

// Tokens that come while a write is blocked leave together, none lost, each an event of its own.
func TestBacklogIsSentWhole(t *testing.T) {
	b := &fakeBackend{reply: func(r requestOf) string { return strings.Repeat("abcdefghij", 2000) }}
	model := fakeModel("tiny", b)
	model.MaxContext = 1 << 20
	ts := startServer(t, b, Config{Models: []Model{model}})
	a := ts.do("POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"stream":true}`)
	if got := len(events(t, a.body)); got != 20_000+3 {
		t.Errorf("%d events, want 20003: the role, a token each, the end, [DONE]", got)
	}
	if text := streamText(t, a.body)[0]; text != strings.Repeat("abcdefghij", 2000) {
		t.Error("text differs")
	}
}

// waitingTokenizer says when it is asked, and answers when it may.
type waitingTokenizer struct {
	byteTokenizer
	asked, may chan struct{}
}

func (w waitingTokenizer) Encode(text string, special bool) ([]int32, error) {
	w.asked <- struct{}{}
	<-w.may
	return w.byteTokenizer.Encode(text, special)
}

// A client that has left before its request was submitted costs no step: nothing of it is submitted.
func TestClientLeavesBeforeItsTurn(t *testing.T) {
	for _, stream := range []bool{false, true} {
		for _, d := range departures {
			t.Run(fmt.Sprintf("stream %v, %s", stream, d.name), func(t *testing.T) {
				b := &fakeBackend{}
				model := fakeModel("tiny", b)
				wait := waitingTokenizer{asked: make(chan struct{}), may: make(chan struct{})}
				model.Tokenizer = wait
				ts := startServer(t, b, Config{Models: []Model{model}})
				c := ts.dial().postRaw("/v1/completions", fmt.Sprintf(`{"prompt":"x","stream":%v}`, stream))
				<-wait.asked
				d.leave(t, c.Conn.(*net.TCPConn))
				close(wait.may)
				eventually(t, "answered", func() bool {
					ts.inflight.mu.Lock()
					defer ts.inflight.mu.Unlock()
					return ts.inflight.n == 0
				})
				if n := b.submitted(); n != 0 {
					t.Errorf("%d requests submitted", n)
				}
			})
		}
	}
}

// Requests that wait on a connection behind the one that its client has left are not begun.
func TestClientLeavesRequestsBehind(t *testing.T) {
	b := &fakeBackend{gate: make(chan struct{})}
	ts := startServer(t, b, Config{})
	c := ts.dial()
	for range 3 {
		c.postRaw("/v1/completions", `{"prompt":"x","max_tokens":9}`)
	}
	eventually(t, "submitted", func() bool { return b.submitted() > 0 })
	must(t, c.Conn.(*net.TCPConn).CloseWrite())
	if _, err := io.Copy(io.Discard, c.r); err != nil { // until all are answered and the connection is closed
		t.Fatal(err)
	}
	if n := b.submitted(); n != 1 {
		t.Errorf("%d requests submitted, want the first alone", n)
	}
}
