package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// answering serves completions whose text is what reply gives, whole and in two events.
func answering(t *testing.T, reply func(n int64) string) (*traffic, *question) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := reply(n.Add(1))
		if r.URL.Query().Get("stream") == "" {
			fmt.Fprintf(w, `{"choices":[{"text":%q}]}`, text)
			return
		}
		for _, part := range []string{text[:len(text)/2], text[len(text)/2:]} {
			fmt.Fprintf(w, "data: {\"choices\":[{\"text\":%q}]}\n\n", part)
		}
		if strings.HasSuffix(text, "!") {
			fmt.Fprint(w, "data: {\"error\":{\"message\":\"lost\"}}\n\n")
			return
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	t.Cleanup(s.Close)
	d := dialects[0]
	d.stream = "/v1/completions?stream=1"
	return &traffic{url: s.URL, client: newClient(1), counts: map[string]int{}}, &question{dialect: &d, model: "m", prompt: "x", tokens: 1}
}

// What the programs of this package are for: that they notice.
func TestTrafficNotices(t *testing.T) {
	for _, c := range []struct {
		name, later string
		want        string // of the error; "": none
	}{
		{"the same text", "first text", ""},
		{"the text of another", "other text", "another text"},
		{"a token less", "first tex", "another text"},
		{"a token twice", "first textt", "another text"},
		{"an error behind the beginning", "first text!", "does not begin with"},
	} {
		for _, stream := range []bool{false, true} {
			traffic, q := answering(t, func(n int64) string {
				if n == 1 {
					return "first text"
				}
				return c.later
			})
			if _, err := learn(t.Context(), traffic.url, []*question{q}); err != nil || q.want != "first text" {
				t.Fatal(err, q.want)
			}
			traffic.ask(t.Context(), q, stream)
			err := traffic.result()
			if c.want == "" && err != nil || c.want != "" && err == nil {
				t.Errorf("%s, stream %v: %v", c.name, stream, err)
			}
			if c.want != "" && stream && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v lacks %q", c.name, err, c.want)
			}
		}
	}
}

// A server that answers nothing with text teaches nothing; one that is gone is an error, unless the traffic was told to end.
func TestLearning(t *testing.T) {
	traffic, q := answering(t, func(int64) string { return "" })
	if _, err := learn(t.Context(), traffic.url, []*question{q}); err == nil || !strings.Contains(err.Error(), "no question is answered") {
		t.Errorf("%v", err)
	}
	traffic.url = "http://127.0.0.1:1"
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	traffic.ask(ctx, q, true)
	if err := traffic.result(); err != nil {
		t.Errorf("told to end: %v", err)
	}
	traffic.ask(t.Context(), q, true)
	if err := traffic.result(); err == nil {
		t.Error("a server that is gone is no error")
	}
}

// The model that comes and goes may be absent, others may not.
func TestAbsence(t *testing.T) {
	traffic := &traffic{comes: "tuned"}
	missing := fmt.Errorf("%w: 404 no model", errStatus)
	if err := traffic.excuse(&question{model: "tuned"}, missing); !errors.Is(err, errAbsent) {
		t.Errorf("%v", err)
	}
	if err := traffic.excuse(&question{model: "demo"}, missing); err != missing {
		t.Errorf("%v", err)
	}
}

func TestSum(t *testing.T) {
	const text = "# TYPE go_goroutines gauge\ngo_goroutines 12\nvllm:kv_cache_usage_perc{model=\"a\"} 0.25\nvllm:kv_cache_usage_perc{model=\"b c\"} 0.5\nvllm:kv_cache_usage_perc_other 9\n"
	if n, share := sum([]byte(text), "go_goroutines"), sum([]byte(text), "vllm:kv_cache_usage_perc"); n != 12 || share != 0.75 {
		t.Errorf("%g, %g", n, share)
	}
}

// Every API is asked, and every question has a body.
func TestBook(t *testing.T) {
	asked := map[string]bool{}
	for _, q := range append(book("m", rand.New(rand.NewPCG(1, 2))), embeddings("e")...) {
		asked[q.dialect.name] = true
		if path, body := q.dialect.request(q, true); strings.Contains(path, "{") || len(body) < 10 {
			t.Errorf("%s: %s %s", q, path, body)
		}
	}
	if len(asked) != len(dialects) {
		t.Errorf("asked are %v", asked)
	}
}
