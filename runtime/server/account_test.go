package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"llmc/runtime"
	"llmc/runtime/metrics"
	"llmc/runtime/requestlog"
)

// kept is a file in memory.
type kept struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(p)
}

func (k *kept) Close() error { return nil }

func (k *kept) lines() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Split(strings.TrimSuffix(k.text.String(), "\n"), "\n")
}

// loggedServer serves a model of a real engine and keeps its request log.
func loggedServer(t *testing.T, config Config) (*testServer, *kept, *scripted) {
	t.Helper()
	registry, device, file := metrics.New(), &scripted{before: slowly}, &kept{}
	m, _ := engineModel(t, "tiny", device, registry, runtime.Options{})
	config.Models, config.Metrics = []Model{m}, registry
	config.Requests = requestlog.New(file, slog.New(slog.DiscardHandler))
	ts := startServer(t, nil, config)
	t.Cleanup(func() { must(t, config.Requests.Close()) })
	return ts, file, device
}

// awaitLine waits for the next line of the log.
func awaitLine(t *testing.T, file *kept, n int) map[string]any {
	t.Helper()
	eventually(t, "a line for each request", func() bool { return len(file.lines()) > n && file.lines()[n] != "" })
	var line map[string]any
	if err := json.Unmarshal([]byte(file.lines()[n]), &line); err != nil {
		t.Fatalf("%v: %s", err, file.lines()[n])
	}
	return line
}

func TestRequestLog(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "sk-secret-1\tname=team-a\nsk-secret-2\n")
	ts, file, device := loggedServer(t, Config{Keys: keys})
	const hello = `{"prompt":"my private words","max_tokens":5}`
	const key1, key2 = "Authorization: Bearer sk-secret-1", "Authorization: Bearer sk-secret-2"
	n := 0
	for _, c := range []struct {
		name, path, body string
		headers          []string
		want             map[string]any
		absent           []string
	}{
		{"whole", "/v1/completions", hello, []string{key1, "X-Request-Id: mine-7"}, map[string]any{
			"id": "mine-7", "key": "team-a", "model": "tiny", "api": "/v1/completions", "status": 200., "prompt_tokens": 17., "cached_tokens": 0., "output_tokens": 5.,
			"choices": 1., "finish": []any{"length"},
		}, []string{"stream", "error", "prompts", "trace_id"}},
		{"stream", "/v1/completions", `{"prompt":"my private words","max_tokens":5,"n":2,"stream":true}`, []string{key2}, map[string]any{
			"id": "req_0123", "key": "line 2", "stream": true, "status": 200., "prompt_tokens": 17., "cached_tokens": 0., "output_tokens": 10., "choices": 2., "finish": []any{"length", "length"},
		}, []string{"error"}},
		{"a field that is wrong", "/v1/chat/completions", `{"messages":[{"role":"user","content":"private"}],"temprature":1}`, []string{key1}, map[string]any{
			"key": "team-a", "api": "/v1/chat/completions", "status": 400., "error": "unknown_parameter",
		}, []string{"model", "prompt_tokens", "finish"}},
		{"no key", "/v1/completions", hello, nil, map[string]any{"status": 401., "error": "invalid_api_key"}, []string{"key", "model"}},
	} {
		ts.do("POST", c.path, c.body, c.headers...)
		line := awaitLine(t, file, n)
		n++
		for key, want := range c.want {
			got, _ := json.Marshal(line[key])
			if expected, _ := json.Marshal(want); !bytes.Equal(got, expected) {
				t.Errorf("%s: %s is %s, want %s", c.name, key, got, expected)
			}
		}
		for _, key := range c.absent {
			if _, there := line[key]; there {
				t.Errorf("%s: %s is there: %v", c.name, key, line[key])
			}
		}
		if c.want["choices"] != nil {
			queue, first, all := line["queue_ms"].(float64), line["first_token_ms"].(float64), line["duration_ms"].(float64)
			if queue < 0 || first < 1 || all < first+4 { // each step takes a millisecond
				t.Errorf("%s: %g in the queue, first token after %g, done after %g", c.name, queue, first, all)
			}
		}
	}
	device.before = func(int64) error { return errors.New("broken") }
	ts.do("POST", "/v1/completions", hello, key1)
	if line := awaitLine(t, file, n); line["error"] != "internal_error" || line["status"] != 500. || line["finish"].([]any)[0] != "error" {
		t.Errorf("a step that fails: %v", line)
	}
	if text := strings.Join(file.lines(), ""); strings.Contains(text, "secret") || strings.Contains(text, "private") {
		t.Errorf("the log tells secrets: %s", text)
	}
}

// A client that leaves its stream is told as such; prompts are in the log if they are asked for.
func TestRequestLogOfAbandonedStream(t *testing.T) {
	ts, file, device := loggedServer(t, Config{LogPrompts: true})
	gate := make(chan struct{})
	device.before = func(step int64) error {
		if step > 2 {
			<-gate
		}
		return nil
	}
	resp := ts.open("POST", "/v1/completions", `{"prompt":["a \"quoted\"\nline","b"],"max_tokens":50,"stream":true}`)
	resp.Body.Close()
	defer close(gate)
	line := awaitLine(t, file, 0)
	if line["error"] != "client_closed_request" || line["finish"].([]any)[0] != "abort" {
		t.Errorf("%v", line)
	}
	got, _ := json.Marshal(line["prompts"])
	if string(got) != `["a \"quoted\"\nline","b"]` {
		t.Errorf("prompts %s", got)
	}
}
