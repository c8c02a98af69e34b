package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"llmc/runtime"
)

// Deadlines come by header in every API, and in Triton's by their own parameter; the tighter one counts.
func TestTimeoutsReachTheBackend(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	infer := `{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["x"]}],"parameters":{"timeout":3000000}}`
	for _, c := range []struct {
		path, body   string
		headers      []string
		first, whole time.Duration
	}{
		{path: "/v1/completions", body: `{"prompt":"x"}`},
		{path: "/v1/completions", body: `{"prompt":"x"}`, headers: []string{"X-Request-Timeout: 2.5"}, whole: 2500 * time.Millisecond},
		{path: "/v1/chat/completions", body: `{"messages":[{"role":"user","content":"x"}]}`, headers: []string{"X-First-Token-Timeout: 60", "X-Request-Timeout: 90"}, first: time.Minute, whole: 90 * time.Second},
		{path: "/generate", body: `{"inputs":"x"}`, headers: []string{"X-Request-Timeout: 1e1"}, whole: 10 * time.Second},
		{path: "/v2/models/tiny/infer", body: infer, whole: 3 * time.Second},
		{path: "/v2/models/tiny/infer", body: infer, headers: []string{"X-Request-Timeout: 2"}, whole: 2 * time.Second},
		{path: "/v2/models/tiny/generate", body: `{"text_input":"x","parameters":{"timeout":4000000}}`, whole: 4 * time.Second},
		{path: "/v2/models/tiny/generate", body: `{"text_input":"x","parameters":{"timeout":0}}`},
		{path: "/v2/models/tiny/generate", body: `{"text_input":"x","parameters":{"timeout":null}}`},
	} {
		before := time.Now()
		if a := ts.do("POST", c.path, c.body, c.headers...); a.status != 200 {
			t.Errorf("%s: %d %s", c.path, a.status, a.body)
			continue
		}
		after, r := time.Now(), ts.backend.last()
		for by, within := range map[time.Time]time.Duration{r.FirstToken: c.first, r.Deadline: c.whole} {
			if by.IsZero() {
				continue
			}
			if by.Before(before.Add(within)) || by.After(after.Add(within)) {
				t.Errorf("%s %v: %v after its arrival, want %v", c.path, c.headers, by.Sub(before), within)
			}
		}
		if r.FirstToken.IsZero() != (c.first == 0) || r.Deadline.IsZero() != (c.whole == 0) {
			t.Errorf("%s %v: first token by %v, end by %v", c.path, c.headers, r.FirstToken, r.Deadline)
		}
	}
	for _, header := range []string{"X-Request-Timeout: 0", "X-Request-Timeout: -1", "X-Request-Timeout: 5s", "X-First-Token-Timeout: NaN", "X-First-Token-Timeout: 1e300"} {
		name, _, _ := strings.Cut(header, ":")
		if a := ts.do("POST", "/v1/completions", `{"prompt":"x"}`, header); a.status != 400 || a.errorOf(t)["param"] != name {
			t.Errorf("%s: %d %s", header, a.status, a.body)
		}
	}
	for _, timeout := range []string{"-1", "1.5", `"x"`, "1e30"} {
		if a := ts.do("POST", "/v2/models/tiny/generate", `{"text_input":"x","parameters":{"timeout":`+timeout+`}}`); a.status != 400 || !strings.Contains(a.body, "timeout") {
			t.Errorf("timeout %s: %d %s", timeout, a.status, a.body)
		}
	}
}

// What is late is refused or ended in the words of each API.
func TestLateRequests(t *testing.T) {
	late := &runtime.LateError{What: "the first token", Takes: 9500 * time.Millisecond, Left: time.Second}
	for _, c := range []struct {
		err        error
		status     int
		code       string
		retryAfter string
	}{
		{late, 503, "deadline_unreachable", "9"},
		{runtime.ErrOverdue, 503, "queue_timeout", "1"},
		{runtime.ErrDeadline, 504, "deadline_exceeded", ""},
	} {
		b := &fakeBackend{fail: func(runtime.Request, int) error { return c.err }}
		if errors.Is(c.err, runtime.ErrLate) {
			b.refuse = c.err
		}
		ts := startServer(t, b, Config{})
		a := ts.do("POST", "/v1/completions", `{"prompt":"x"}`)
		if a.status != c.status || a.errorOf(t)["code"] != c.code || a.header.Get("Retry-After") != c.retryAfter {
			t.Errorf("%v: %d, retry after %q: %s", c.err, a.status, a.header.Get("Retry-After"), a.body)
		}
		if a := ts.do("POST", "/generate", `{"inputs":"x"}`); a.status != c.status || !strings.Contains(a.body, "error_type") {
			t.Errorf("%v: %d %s", c.err, a.status, a.body)
		}
		if a := ts.do("POST", "/v1/completions", `{"prompt":"x","stream":true}`); b.refuse == nil && !strings.Contains(a.body, `"code":"`+c.code) {
			t.Errorf("%v in a stream: %s", c.err, a.body)
		}
	}
}

// A request of an encoder ends with its deadline too.
func TestTimeoutsOfContexts(t *testing.T) {
	ctx, end := timeouts{whole: time.Nanosecond}.bound(context.Background(), time.Now())
	defer end()
	<-ctx.Done()
	s := &Server{}
	if e := s.asAPIError(context.Cause(ctx)); e.status != 504 || e.code != "deadline_exceeded" {
		t.Errorf("%+v", e)
	}
	if same, _ := (timeouts{}).bound(ctx, time.Now()); same != ctx {
		t.Error("a context without a deadline is bound")
	}
}
