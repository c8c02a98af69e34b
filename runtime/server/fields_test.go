package server

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"llmc/engine"
	"llmc/runtime"
)

// baseRequest is what a request with nothing but a prompt, a seed and max_tokens submits.
func baseRequest() runtime.Request {
	return runtime.Request{
		MaxTokens: 1, SkipSpecial: true, PromptLogprobs: -1,
		Sampling: engine.Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1, Seed: 7, Logprobs: -1},
	}
}

// Each field does what it says to the request that the model gets; null does nothing.
func TestFieldsReachModel(t *testing.T) {
	type r = runtime.Request
	both, comp, chats := []string{"completions", "chat"}, []string{"completions"}, []string{"chat"}
	cases := []struct {
		on   []string
		json string
		want func(*r)
	}{
		{both, `"temperature":0`, func(q *r) { q.Sampling.Temperature = 0 }},
		{both, `"temperature":1.5`, func(q *r) { q.Sampling.Temperature = 1.5 }},
		{both, `"temperature":null,"stop":null,"n":null,"logit_bias":null,"top_p":null`, func(*r) {}},
		{both, `"top_p":0.9`, func(q *r) { q.Sampling.TopP = 0.9 }},
		{both, `"top_p":0`, func(q *r) { q.Sampling.TopP = math.SmallestNonzeroFloat32 }},
		{both, `"top_k":-1`, func(*r) {}},
		{both, `"top_k":40`, func(q *r) { q.Sampling.TopK = 40 }},
		{both, `"min_p":0.05`, func(q *r) { q.Sampling.MinP = 0.05 }},
		{both, `"presence_penalty":-2,"frequency_penalty":1.25`, func(q *r) { q.Sampling.PresencePenalty, q.Sampling.FrequencyPenalty = -2, 1.25 }},
		{both, `"repetition_penalty":1.1`, func(q *r) { q.Sampling.RepetitionPenalty = 1.1 }},
		{both, `"logit_bias":{"5":-100,"257":2.5}`, func(q *r) { q.Sampling.Bias = []engine.TokenBias{{Token: 5, Bias: -100}, {Token: 257, Bias: 2.5}} }},
		{both, `"stop":"END"`, func(q *r) { q.Stop = []string{"END"} }},
		{both, `"stop":["a","\n\n"]`, func(q *r) { q.Stop = []string{"a", "\n\n"} }},
		{both, `"stop_token_ids":[3,4]`, func(q *r) { q.StopTokens = []int32{3, 4} }},
		{both, `"ignore_eos":true,"min_tokens":1`, func(q *r) { q.IgnoreEOS, q.MinTokens = true, 1 }},
		{both, `"skip_special_tokens":false`, func(q *r) { q.SkipSpecial = false }},
		{both, `"priority":-3,"cache_salt":"s","request_id":"mine"`, func(q *r) { q.Priority, q.CacheSalt, q.ID = -3, "s", "mine" }},
		{both, `"user":"u","metadata":{"a":[1]},"store":true,"service_tier":"auto","prompt_cache_key":"k","safety_identifier":"i"`, func(*r) {}},
		{both, `"response_format":{"type":"text"}`, func(*r) {}},
		{comp, `"logprobs":3`, func(q *r) { q.Sampling.Logprobs = 3 }},
		{comp, `"logprobs":2,"echo":true`, func(q *r) { q.Sampling.Logprobs, q.PromptLogprobs = 2, 2 }},
		{comp, `"best_of":1`, func(*r) {}},
		{chats, `"logprobs":true`, func(q *r) { q.Sampling.Logprobs = 0 }},
		{chats, `"logprobs":true,"top_logprobs":20`, func(q *r) { q.Sampling.Logprobs = 20 }},
		{chats, `"logprobs":false`, func(*r) {}},
		{chats, `"modalities":["text"],"function_call":"none","verbosity":"medium"`, func(*r) {}},
	}
	b := &fakeBackend{}
	ts := startServer(t, b, Config{})
	starts := map[string]string{
		"completions": `{"prompt":"x","max_tokens":1,"seed":7,`,
		"chat":        `{"messages":[{"role":"user","content":"x"}],"max_tokens":1,"seed":7,`,
	}
	paths := map[string]string{"completions": "/v1/completions", "chat": "/v1/chat/completions"}
	for _, c := range cases {
		for _, on := range c.on {
			ts.post(paths[on], starts[on]+c.json+"}", 200)
			got, want := b.last(), baseRequest()
			got.Prompt = nil
			c.want(&want)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s %s (-want +got):\n%s", on, c.json, d)
			}
		}
	}
}

// Whatever would change the result and is not done is refused and named.
func TestFieldsRefused(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	bodies := map[string][]string{
		`{"prompt":"x","max_tokens":1,%s}`: {
			`"suffix":"y"`, `"best_of":2,"n":3`, `"best_of":2,"stream":true`, `"stream_options":{"include_usage":true}`, `"max_tokens_":1`,
			`"use_beam_search":true,"stream":true`, `"prompt_logprobs":1`, `"allowed_token_ids":[1]`, `"include_stop_str_in_output":true`, `"messages":[]`,
			`"top_logprobs":1`, `"min_tokens":2`, `"guided_regex":1`, `"stream":1`, `"echo":"yes"`, `"seed":1.5`, `"top_k":-2`, `"stop":[1]`,
			`"stop":{}`, `"logit_bias":[1]`, `"repetition_penalty":0`, `"n":0`, `"n":"1"`, `"user_":1`,
		},
		`{"messages":[{"role":"user","content":"x"}],%s}`: {
			`"max_tokens":0`, `"max_tokens":1,"max_completion_tokens":2`, `"top_logprobs":2`, `"logprobs":1`, `"functions":[{}]`,
			`"function_call":{"name":"f"}`, `"tool_choice":"required"`, `"tool_choice":{"type":"function","function":{"name":"f"}}`, `"tool_choice":"any"`, `"tool_choice":{"type":"allowed_tools"}`,
			`"response_format":{"type":"xml"}`, `"response_format":"text"`, `"modalities":["text","audio"]`,
			`"audio":{}`, `"web_search_options":{}`, `"reasoning_effort":"high"`, `"verbosity":"low"`, `"echo":true`, `"prompt":"x"`,
			`"continue_final_message":true`, `"tools":{}`, `"stream":true,"stream_options":{"no_such":true}`, `"stream":true,"stream_options":7`,
			`"best_of":2`, `"chat_template_kwargs":[]`,
		},
		`{"messages":%s}`: {
			`[]`, `{}`, `["x"]`, `[{"content":"x"}]`, `[{"role":"user"}]`, `[{"role":"user","content":null}]`, `[{"role":1,"content":"x"}]`,
			`[{"role":"user","content":1}]`, `[{"role":"user","content":["x"]}]`, `[{"role":"user","content":[{"text":"x"}]}]`,
			`[{"role":"user","content":[{"type":"text"}]}]`, `[{"role":"assistant","tool_calls":{}}]`, `[{"role":"assistant","tool_calls":[1]}]`,
			`[{"role":"assistant","tool_calls":[{"function":{"arguments":"{"}}]}]`, `null`,
		},
	}
	for frame, fragments := range bodies {
		path := "/v1/completions"
		if strings.Contains(frame, "messages") {
			path = "/v1/chat/completions"
		}
		for _, fragment := range fragments {
			a := ts.do("POST", path, fmt.Sprintf(frame, fragment))
			if e := a.errorOf(t); a.status != 400 || e["type"] != "invalid_request_error" || e["param"] == nil || e["code"] == nil {
				t.Errorf("%s: %d %s", fragment, a.status, a.body)
			}
		}
	}
	if n := ts.backend.submitted(); n != 0 {
		t.Errorf("%d of them were submitted", n)
	}
}

// A field without a row of its own endpoint would be dead, and two rows of one name and endpoint would hide each other.
func TestFieldTable(t *testing.T) {
	seen := map[string]endpoints{}
	for _, f := range fields {
		if f.on == 0 || f.rule == nil {
			t.Errorf("%s: row without endpoint or rule", f.name)
		}
		if seen[f.name]&f.on != 0 {
			t.Errorf("%s: two rows for one endpoint", f.name)
		}
		seen[f.name] |= f.on
	}
}

func TestModelDefaults(t *testing.T) {
	m := fakeModel("tiny", &fakeBackend{})
	temperature, topP, topK, penalty, length := float32(0.6), float32(0.95), int32(20), float32(1.05), int32(5)
	m.Info.Generation = engine.GenerationDefaults{
		Temperature: &temperature, TopP: &topP, TopK: &topK, RepetitionPenalty: &penalty, MaxNewTokens: &length,
	}
	b := &fakeBackend{}
	m.Backend = b
	ts := startServer(t, b, Config{Models: []Model{m}})
	ts.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"top_k":3,"seed":7}`, 200)
	got, want := b.last(), baseRequest()
	want.Sampling.Temperature, want.Sampling.TopP, want.Sampling.TopK, want.Sampling.RepetitionPenalty = 0.6, 0.95, 3, 1.05
	want.MaxTokens = 5
	got.Prompt = nil
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Choices of one prompt differ by seed, the same choice of different prompts does not, and requests without a seed differ.
func TestSeeds(t *testing.T) {
	b := &fakeBackend{}
	ts := startServer(t, b, Config{})
	ts.post("/v1/completions", `{"prompt":["x","y"],"n":2,"seed":-1,"max_tokens":1}`, 200)
	var seeds []uint64
	for _, r := range b.requests {
		seeds = append(seeds, r.Sampling.Seed)
	}
	if d := cmp.Diff([]uint64{math.MaxUint64, 0, math.MaxUint64, 0}, seeds); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	ts.post("/v1/completions", `{"prompt":"x","max_tokens":1}`, 200)
	ts.post("/v1/completions", `{"prompt":"x","max_tokens":1}`, 200)
	if b.requests[4].Sampling.Seed == b.requests[5].Sampling.Seed {
		t.Error("two requests without a seed have the same")
	}
}

// best_of returns the n with the highest mean log-probability; the fake's tokens are likelier the smaller they are.
func TestBestOf(t *testing.T) {
	texts := []string{"zz", "b", "yyy", "a!", "c"}
	b := &fakeBackend{}
	b.reply = func(r runtime.Request) string { return texts[r.Sampling.Seed] }
	ts := startServer(t, b, Config{})
	v := ts.post("/v1/completions", `{"prompt":"x","n":2,"best_of":5,"seed":0,"max_tokens":5}`, 200)
	for i, want := range []string{"a!", "b"} {
		if got := at(t, v, "choices", i, "text"); got != want {
			t.Errorf("choice %d: %v, want %s", i, got, want)
		}
		if index := at(t, v, "choices", i, "index"); index != float64(i) {
			t.Errorf("choice %d has index %v", i, index)
		}
	}
	if at(t, v, "choices", 0, "logprobs") != nil {
		t.Error("log-probabilities that nobody asked for")
	}
	if used := at(t, v, "usage", "completion_tokens"); used != float64(9) {
		t.Errorf("%v tokens used, want all 9 that were made", used)
	}
}

// The events of several choices come interleaved; each choice's own are whole and in order.
func TestStreamOfSeveral(t *testing.T) {
	b := &fakeBackend{}
	b.reply = func(r runtime.Request) string { return fmt.Sprintf("%c%d", r.Prompt[1], r.Sampling.Seed) }
	ts := startServer(t, b, Config{})
	a := ts.do("POST", "/v1/completions", `{"prompt":["x","y"],"n":3,"seed":0,"stream":true}`)
	want := map[int]string{0: "x0", 1: "x1", 2: "x2", 3: "y0", 4: "y1", 5: "y2"}
	if d := cmp.Diff(want, streamText(t, a.body)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	finished := 0
	for _, e := range events(t, a.body) {
		finished += strings.Count(e, `"finish_reason":"stop"`)
	}
	if finished != 6 || !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
		t.Errorf("%d ends: %s", finished, a.body)
	}
}

// prompted returns the text that the chat template made of a request.
func prompted(t *testing.T, ts *testServer, body string) string {
	t.Helper()
	ts.post("/v1/chat/completions", body, 200)
	return byteTokenizer{}.Decode(ts.backend.last().Prompt, false)
}

func TestMessages(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	ts.models.list[0].MaxContext = 10_000
	quoted, err := json.Marshal(`{"b": 1, "a": [2]}`)
	must(t, err)
	call := `{"id":"1","type":"function","function":{"name":"f","arguments":%s},"index":null}`
	cases := []struct{ name, body, want string }{
		{"text", `"messages":[{"role":"user","content":"x"}]`, "user: x\nassistant:"},
		{"parts", `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`, "user: a\nb\nassistant:"},
		{"no parts", `"messages":[{"role":"user","content":[]}]`, "user: \nassistant:"},
		{"refusal", `"messages":[{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]`, "assistant: no\nassistant:"},
		{"null content", `"messages":[{"role":"assistant","content":null,"tool_calls":null,"refusal":null}]`, "assistant: \nassistant:"},
		{
			"call", `"messages":[{"role":"assistant","tool_calls":[` + fmt.Sprintf(call, quoted) + `]}]`,
			"assistant: [" + fmt.Sprintf(call, `{"b": 1, "a": [2]}`) + "]\nassistant:",
		},
		{
			"call without arguments", `"messages":[{"role":"assistant","tool_calls":[` + fmt.Sprintf(call, `""`) + `]}]`,
			"assistant: [" + fmt.Sprintf(call, `{}`) + "]\nassistant:",
		},
		{"tools", `"tools":[{"z":1,"a":2}],"messages":[{"role":"u","content":"x"}]`, "tools: [{\"z\":1,\"a\":2}]\nu: x\nassistant:"},
		{"no tools", `"tools":[],"messages":[{"role":"u","content":"x"}]`, "u: x\nassistant:"},
		{"tools off", `"tools":[{}],"tool_choice":"none","messages":[{"role":"u","content":"x"}]`, "u: x\nassistant:"},
		{"kwargs", `"chat_template_kwargs":{"enable_thinking":false},"messages":[{"role":"u","content":"x"}]`, "kwargs: {\"enable_thinking\":false}\nu: x\nassistant:"},
		{"no prompt", `"add_generation_prompt":false,"messages":[{"role":"u","content":"x"}]`, "u: x\n"},
		{"special", `"add_special_tokens":true,"messages":[{"role":"u","content":"x"}]`, "<s>u: x\nassistant:"},
		{
			"continue", `"add_generation_prompt":false,"continue_final_message":true,"messages":[{"role":"u","content":"x"},{"role":"a","content":"Once "}]`,
			"u: x\na: Once ",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := prompted(t, ts, "{"+c.body+`,"max_tokens":1}`); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCutAfterFinal(t *testing.T) {
	cases := []struct {
		rendered, final, want string
		ok                    bool
	}{
		{"<u>hi<a>Once <end>", "Once ", "<u>hi<a>Once ", true},
		{"<u>hi<a>Once<end>", "Once ", "<u>hi<a>Once", true}, // the template trims
		{"<a>hi<u>hi<a>hi<end>", "hi", "<a>hi<u>hi<a>hi", true},
		{"<u>hi<a>  Once<end>", "  Once", "<u>hi<a>  Once", true},
		{"<u>hi<a><end>", "Once", "", false},
		{"<u>hi<a><end>", " ", "", false},
	}
	for _, c := range cases {
		if got, ok := cutAfterFinal(c.rendered, c.final); got != c.want || ok != c.ok {
			t.Errorf("%q in %q: %q %v", c.final, c.rendered, got, ok)
		}
	}
}
