package load

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fake is a server that answers every request as answer says.
func fake(t *testing.T, answer func(w http.ResponseWriter, body string)) *Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer(w, string(body))
	}))
	t.Cleanup(s.Close)
	return &Server{URL: s.URL, Model: "m", Extra: map[string]any{"extra": 1}}
}

// send sends events until the client has gone.
func send(w http.ResponseWriter, events ...string) error {
	for _, e := range events {
		if _, err := fmt.Fprintf(w, "data: %s\n\n", e); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
	}
	return nil
}

const (
	textA = `{"choices":[{"text":"a"}]}`
	usage = `{"choices":[],"usage":{"completion_tokens":5}}`
	done  = "[DONE]"
)

func TestStreamAsksAndCounts(t *testing.T) {
	var asked string
	s := fake(t, func(w http.ResponseWriter, body string) {
		asked = body
		fmt.Fprint(w, ": a comment\n\n")
		send(w, `{"choices":[{"text":""}]}`, textA, textA, `{"choices":[{"text":"","finish_reason":"length"}],"usage":null}`, usage, done)
	})
	a, err := s.Stream(t.Context(), Request{[]int32{1, 2}, 7}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Events) != 2 || a.First != a.Events[0] || len(a.Gaps()) != 1 || a.Tokens != 5 {
		t.Errorf("answer %+v", a)
	}
	for _, want := range []string{`"prompt":[1,2]`, `"max_tokens":7`, `"stream":true`, `"include_usage":true`, `"extra":1`, `"model":"m"`} {
		if !strings.Contains(asked, want) {
			t.Errorf("no %s in %s", want, asked)
		}
	}
}

// A server that tells no usage has its events counted.
func TestStreamWithoutUsage(t *testing.T) {
	s := fake(t, func(w http.ResponseWriter, _ string) { send(w, textA, textA, textA, done) })
	if a, err := s.Stream(t.Context(), Request{[]int32{1}, 3}, nil); err != nil || a.Tokens != 3 {
		t.Errorf("answer %+v, %v", a, err)
	}
}

func TestStreamsThatFail(t *testing.T) {
	for want, answer := range map[string]func(w http.ResponseWriter){
		"answers 503: come back later": func(w http.ResponseWriter) { w.WriteHeader(503); fmt.Fprint(w, "come\n back later") },
		"no JSON":                      func(w http.ResponseWriter) { send(w, "{") },
		"cut off after 1 events":       func(w http.ResponseWriter) { send(w, textA) },
		"had no text":                  func(w http.ResponseWriter) { send(w, usage, done) },
		"ends with an error":           func(w http.ResponseWriter) { send(w, textA, `{"error":{"message":"gone"}}`) },
		"token too long":               func(w http.ResponseWriter) { send(w, strings.Repeat("x", longestEvent+1)) },
	} {
		s := fake(t, func(w http.ResponseWriter, _ string) { answer(w) })
		if _, err := s.Stream(t.Context(), Request{[]int32{1}, 3}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if _, err := (Level{2, 1, 1, 1}).Run(t.Context(), s, NewPrompts([]int32{1})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("level: error %v, want %q", err, want)
		}
		arrival := Arrival{Streams: 2, Prompt: 1, Tokens: 9, Settle: 2, Long: 1}
		if _, err := arrival.Run(t.Context(), s, NewPrompts([]int32{1})); err == nil {
			t.Errorf("arrival: no error, want %q", want)
		}
	}
}

// A server that collects its answers before it sends them is not taken for a fast one.
func TestAnswersInOnePiece(t *testing.T) {
	s := fake(t, func(w http.ResponseWriter, _ string) { _ = send(w, textA, usage, done) })
	if _, err := (Level{2, 2, 1, 5}).Run(t.Context(), s, NewPrompts([]int32{1})); err == nil || !strings.Contains(err.Error(), "does not stream") {
		t.Errorf("error %v", err)
	}
}

// A server that needs time is asked again; one that never answers ends with the context.
func TestReady(t *testing.T) {
	var asked atomic.Int32
	s := fake(t, func(w http.ResponseWriter, _ string) {
		if asked.Add(1) < 3 {
			w.WriteHeader(503)
			return
		}
		send(w, textA, done)
	})
	if _, err := s.Ready(t.Context(), Request{[]int32{1}, 1}); err != nil || asked.Load() != 3 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	nobody := &Server{URL: "http://127.0.0.1:1"}
	if _, err := nobody.Ready(ctx, Request{[]int32{1}, 1}); err == nil {
		t.Error("a server that is not there was ready")
	}
}

// Streams run until the newcomer's first token; one that ends before tells nothing.
func TestArrival(t *testing.T) {
	s := fake(t, func(w http.ResponseWriter, body string) {
		if strings.Contains(body, `"max_tokens":2,`) { // the newcomer
			time.Sleep(60 * time.Millisecond)
			send(w, textA, textA, done)
			return
		}
		for send(w, textA) == nil {
			time.Sleep(10 * time.Millisecond)
		}
	})
	a, err := Arrival{Streams: 3, Prompt: 2, Tokens: 1000, Settle: 2, Long: 20}.Run(t.Context(), s, NewPrompts([]int32{1, 2, 3}))
	if err != nil {
		t.Fatal(err)
	}
	if a.First < 0.06 || len(a.Between) < 3 || slices.Min(a.Between) < 0 {
		t.Errorf("arrived %+v", a)
	}
	short := fake(t, func(w http.ResponseWriter, body string) {
		if strings.Contains(body, `"max_tokens":2,`) {
			time.Sleep(60 * time.Millisecond)
		}
		send(w, textA, textA, done)
	})
	_, err = Arrival{Streams: 1, Prompt: 2, Tokens: 3, Settle: 2, Long: 20}.Run(t.Context(), short, NewPrompts([]int32{1}))
	if err == nil || !strings.Contains(err.Error(), "it needs more") {
		t.Errorf("error %v", err)
	}
}

func TestMeanwhile(t *testing.T) {
	base := time.Unix(100, 0)
	at := func(seconds ...float64) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, base.Add(time.Duration(s*float64(time.Second))))
		}
		return times
	}
	from, to := at(2.5)[0], at(5)[0]
	for _, c := range []struct {
		events []time.Time
		want   []float64
	}{
		{at(1, 2, 3, 4, 6, 9), []float64{1, 1, 2}}, // across the arrival, inside, across the end
		{at(1, 2), []float64{3}},                   // stands still until the end
		{at(1, 2, 7), []float64{5}},
		{at(1, 5), []float64{4}},
	} {
		got := meanwhile(c.events, from, to)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("%v: %v, want %v", c.events, got, c.want)
		}
	}
}

func TestPromptsDiffer(t *testing.T) {
	ids := make([]int32, 2000)
	for i := range ids {
		ids[i] = int32(i)
	}
	p := NewPrompts(ids)
	seen := map[int32]bool{}
	for range 100 {
		w := p.Take(3000)
		if len(w) != 3000 || seen[w[0]] || w[2000] != w[0] {
			t.Fatalf("window of %d from %d", len(w), w[0])
		}
		seen[w[0]] = true
	}
}

// A token may have no text: a server that answers with one is ready.
func TestReadyWithoutText(t *testing.T) {
	s := fake(t, func(w http.ResponseWriter, _ string) {
		send(w, `{"choices":[{"text":"","finish_reason":"length"}],"usage":null}`, usage, done)
	})
	began := time.Now()
	if at, err := s.Ready(t.Context(), Request{[]int32{1}, 1}); err != nil || at.Before(began) {
		t.Errorf("ready at %v, %v", at, err)
	}
}
