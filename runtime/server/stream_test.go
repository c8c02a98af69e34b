package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/metrics"
)

// An error after the first byte is an event of the stream, and its last.
func TestErrorInStream(t *testing.T) {
	var log bytes.Buffer
	b := &fakeBackend{fail: func(r runtime.Request, token int) error {
		if token == 2 {
			return errors.New("device 0x7ffe lost")
		}
		return nil
	}}
	ts := startServer(t, b, Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	a := ts.do("POST", "/v1/completions", `{"prompt":"x","stream":true,"n":2,"stream_options":{"include_usage":true}}`)
	all := events(t, a.body)
	last := all[len(all)-1]
	if want := `{"error":{"message":"the server had an internal error","type":"server_error","param":null,"code":"internal_error"}}`; last != want {
		t.Errorf("last event %s, want %s", last, want)
	}
	if !strings.Contains(log.String(), "device 0x7ffe lost") {
		t.Error("the cause is not in the log")
	}
	whole := ts.do("POST", "/v1/completions", `{"prompt":"x"}`)
	if whole.status != 500 || strings.Contains(whole.body, "device") {
		t.Errorf("%d %s", whole.status, whole.body)
	}
	if !b.idle() {
		t.Error("the other choice still runs")
	}
}

// A fault of ours in one request leaves the server, and its count of requests, whole.
func TestPanics(t *testing.T) {
	m := fakeModel("tiny", &fakeBackend{})
	m.Chat = func(ChatPrompt) (string, error) { panic("template") }
	m.Tokenizer = brittleTokenizer{}
	b := m.Backend.(*fakeBackend)
	ts := startServer(t, b, Config{Models: []Model{m}})
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"messages":[{"role":"u","content":"x"}]}`,
		"/v1/completions":      `{"prompt":"x","logprobs":1}`,
		"/detokenize":          `{"tokens":[1]}`,
	} {
		if a := ts.do("POST", path, body); a.status != 500 || a.errorOf(t)["code"] != "internal_error" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	a := ts.do("POST", "/v1/completions", `{"prompt":"x","logprobs":1,"stream":true}`)
	if a.status != 200 || !strings.HasPrefix(a.body, `data: {"error":`) {
		t.Errorf("stream: %d %s", a.status, a.body)
	}
	ts.inflight.mu.Lock()
	defer ts.inflight.mu.Unlock()
	if ts.inflight.n != 0 || !b.idle() {
		t.Errorf("%d requests in flight", ts.inflight.n)
	}
}

type brittleTokenizer struct{ byteTokenizer }

func (brittleTokenizer) Decode([]int32, bool) string { panic("decode") }
func (brittleTokenizer) Token(int32) []byte          { panic("token") }

func TestMetricsOfRequests(t *testing.T) {
	registry := metrics.New()
	b := &fakeBackend{}
	m := fakeModel("tiny", b)
	m.Metrics, _ = registry.Model(metrics.ModelOptions{Name: "tiny", MaxContext: 128})
	ts := startServer(t, b, Config{Models: []Model{m}, Metrics: registry})
	ts.post("/v1/completions", `{"prompt":"abcdefg","n":2,"max_tokens":3}`, 200)
	ts.do("POST", "/v1/chat/completions", `{"messages":[{"role":"u","content":"x"}],"stream":true}`)
	b.queue = -1
	b.mu.Lock()
	b.queue, b.running = 1, 1
	b.mu.Unlock()
	ts.post("/v1/completions", `{"prompt":"x"}`, 429)
	ts.do("BREW", "/pot/of/tea", "")
	text := ts.do("GET", "/metrics", "").body
	labels := `{engine="0",model_name="tiny"}`
	for _, line := range []string{
		"vllm:prompt_tokens_total" + labels + " 31", // 8 for each of two choices, 15 of the conversation
		"vllm:generation_tokens_total" + labels + " 22",
		"vllm:prompt_tokens_cached_total" + labels + " 7",
		"vllm:time_to_first_token_seconds_count" + labels + " 3",
		"vllm:inter_token_latency_seconds_count" + labels + " 19",
		"vllm:e2e_request_latency_seconds_count" + labels + " 3",
		"vllm:request_params_n_sum" + labels + " 3",
		`vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"} 2`,
		`vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"} 1`,
		`vllm:admission_rejections_total{engine="0",model_name="tiny",reason="queue_full"} 1`,
		`http_requests_total{handler="/v1/completions",method="POST",status="200"} 1`,
		`http_requests_total{handler="/v1/completions",method="POST",status="429"} 1`,
		`http_requests_total{handler="other",method="other",status="404"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	b.mu.Lock()
	b.running = 0
	b.mu.Unlock()
}

// appendQuoted must be what encoding/json reads back, for every text.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "plain", "\"\\\n\r\t\x00\x1f\x7f", "ö😀\u2028", "\xff\xc3(\xe2\x82", "</script>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := appendQuoted(nil, text)
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("%q: %v", quoted, err)
		}
		if want := strings.ToValidUTF8(text, "\ufffd"); strings.ReplaceAll(got, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Fatalf("%q: got %q", text, got)
		}
	})
}

func TestLogprobsThatJSONCannotSay(t *testing.T) {
	inf := float32(math.Inf(-1))
	for p, want := range map[float32]string{inf: "-9999", -0.5: "-0.5", 0: "0", -1e-20: "-1e-20"} {
		if got := string(appendLogprob(nil, p)); got != want {
			t.Errorf("%g: %s, want %s", p, got, want)
		}
	}
	if got := string(appendLogprob(nil, float32(math.NaN()))); got != "null" {
		t.Errorf("NaN: %s", got)
	}
}

// Two tokens may have the same text; a JSON object must not have the same key twice.
func TestLegacyTopHasNoDuplicates(t *testing.T) {
	s := engine.Sampled{Token: 'a', Logprob: -1, Top: []engine.TokenLogprob{{Token: 'b', Logprob: -0.5}, {Token: 'a', Logprob: -1}, {Token: 'b', Logprob: -2}}}
	got := string(appendLegacyTop(nil, byteTokenizer{}, s, []byte(`"a"`), 3))
	if want := `{"a":-1,"b":-0.5}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Whatever the size of the reader's buffer, it gets the same bytes.
func TestStreamReadSizes(t *testing.T) {
	read := func(size int) string {
		b := &fakeBackend{}
		s, err := New(Config{Models: []Model{fakeModel("tiny", b)}})
		must(t, err)
		s.newID, s.now = func() string { return "0" }, func() time.Time { return time.Unix(1_700_000_001, 0) }
		r, err := s.decode(onCompletions, []byte(`{"prompt":"x","stream":true,"logprobs":1}`))
		must(t, err)
		must(t, r.encode())
		batch, err := s.start(context.Background(), r, func() {})
		must(t, err)
		defer batch.close()
		st := &stream{server: s, batch: batch, words: inOpenAI(completionWording{})(s, r)}
		var all bytes.Buffer
		buffer := make([]byte, size)
		for {
			n, err := st.Read(buffer)
			all.Write(buffer[:n])
			if err == io.EOF {
				return all.String()
			}
			must(t, err)
		}
	}
	want := read(1 << 20)
	for _, size := range []int{1, 7, 4096} {
		if d := cmp.Diff(want, read(size)); d != "" {
			t.Errorf("buffer of %d (-want +got):\n%s", size, d)
		}
	}
}

// FuzzRequest feeds bodies to the decoders. What they accept must be within the bounds of the model.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"prompt":"x","n":2,"logprobs":1,"echo":true,"stop":["a"],"logit_bias":{"1":2},"stream":true,"stream_options":{"include_usage":true}}`,
		`{"prompt":[[1,2],[3]],"max_tokens":3,"best_of":2,"seed":-5,"top_k":4,"top_p":0.1,"temperature":0.7}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"tools":[{}],"logprobs":true,"top_logprobs":3}`,
		`{"messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":"{\"a\":1}"}}]}],"chat_template_kwargs":{"a":1}}`,
		`{"messages":[{"role":"assistant","content":"x"}],"add_generation_prompt":false,"continue_final_message":true}`,
		`{"prompt":"x","add_special_tokens":false,"return_token_strs":true}`, `{"tokens":[1,2,3]}`,
	} {
		for on := range fieldsOf {
			f.Add(uint8(on), []byte(seed))
		}
	}
	s, err := New(Config{Models: []Model{fakeModel("tiny", &fakeBackend{})}})
	must(f, err)
	f.Fuzz(func(t *testing.T, on uint8, body []byte) {
		e := endpoints(on)
		if fieldsOf[e] == nil {
			return
		}
		r, err := s.decode(e, body)
		if err != nil {
			if a := s.asAPIError(err); a.status == 500 {
				t.Fatalf("%s: %v", body, err)
			}
			return
		}
		if e == onDetokenize {
			return
		}
		if err := r.encode(); err != nil {
			return
		}
		checkBounds(t, r)
	})
}

func checkBounds(t *testing.T, r *request) {
	t.Helper()
	q := r.base.Sampling
	if q.Temperature < 0 || q.Temperature > 2 || q.TopP <= 0 || q.TopP > 1 || q.MinP < 0 || q.MinP > 1 || q.TopK < 0 || q.RepetitionPenalty <= 0 {
		t.Fatalf("sampling out of bounds: %+v", q)
	}
	if r.choices < 1 || len(r.prompts)*r.generations() > maxSequences || len(r.base.Stop) > maxStops {
		t.Fatalf("too much: %d choices of %d prompts, %d stops", r.choices, len(r.prompts), len(r.base.Stop))
	}
	for i := range r.prompts {
		p := &r.prompts[i]
		for _, id := range p.ids {
			if id < 0 || id >= fakeVocab {
				t.Fatalf("token %d", id)
			}
		}
		if n, err := r.fit(p); err == nil && (n < 0 || n == 0 && r.on == onCompletions || len(p.ids)+n > r.model.MaxContext+1) {
			t.Fatalf("max_tokens %d for a prompt of %d", n, len(p.ids))
		}
	}
}

func ExampleServer_unknownField() {
	s, _ := New(Config{Models: []Model{fakeModel("tiny", &fakeBackend{})}})
	_, err := s.decode(onCompletions, []byte(`{"prompt":"x","stopp":"y"}`))
	fmt.Println(err)
	// Output: unknown parameter "stopp": it is refused because ignoring it could change the result; did you mean stop?
}
