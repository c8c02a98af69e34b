package server

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"llmc/runtime"
)

// What /generate answers has the members that the schema of Text Generation Inference requires.
func TestTGIGenerate(t *testing.T) {
	b := &fakeBackend{reply: func(runtime.Request) string { return "ab" }}
	ts := startServer(t, b, Config{})
	got := ts.post("/generate", `{"inputs":"xy","parameters":{"max_new_tokens":7,"details":true,"decoder_input_details":true,"return_full_text":true}}`, 200)
	if got["generated_text"] != "xyab" {
		t.Errorf("%v", got)
	}
	details := got["details"].(map[string]any)
	if details["finish_reason"] != "eos_token" || details["seed"] != nil || len(details["prefill"].([]any)) != 3 {
		t.Errorf("%v", details)
	}
	token := details["tokens"].([]any)[0].(map[string]any)
	delete(token, "logprob")
	if d := cmp.Diff(map[string]any{"id": float64('a'), "text": "a", "special": false}, token); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	r := b.last()
	if r.MaxTokens != 7 || r.Sampling.Temperature != 0 || r.PromptLogprobs != 0 || len(r.Prompt) != 3 {
		t.Errorf("%+v", r)
	}
	// POST / answers a list, as the Hub's inference API did.
	var list []map[string]any
	if a := ts.do("POST", "/", `{"inputs":"xy"}`); json.Unmarshal([]byte(a.body), &list) != nil || len(list) != 1 || list[0]["generated_text"] != "ab" {
		t.Errorf("%s", a.body)
	}
	if r := b.last(); r.Sampling.Temperature != 1 || r.MaxTokens != 128-3 {
		t.Errorf("without parameters: %+v", r)
	}
}

// Tokens are sampled where do_sample or a parameter of sampling says so.
func TestTGISampling(t *testing.T) {
	b := &fakeBackend{}
	ts := startServer(t, b, Config{})
	for parameters, want := range map[string]float32{
		``: 0, `"do_sample":true`: 1, `"temperature":0.5`: 0.5, `"top_p":0.5`: 1, `"top_k":3`: 1, `"repetition_penalty":1.2`: 0, `"temperature":1`: 0,
	} {
		ts.post("/generate", `{"inputs":"x","parameters":{`+parameters+`}}`, 200)
		if got := b.last().Sampling.Temperature; got != want {
			t.Errorf("%s: temperature %g, want %g", parameters, got, want)
		}
	}
	ts.post("/generate", `{"inputs":"abcdef","parameters":{"truncate":2,"stop":["q"],"seed":3,"frequency_penalty":1,"best_of":2,"do_sample":true}}`, 200)
	r := b.last()
	if string([]byte{byte(r.Prompt[0]), byte(r.Prompt[1])}) != "ef" || len(r.Prompt) != 2 || r.Sampling.Seed != 4 || r.Sampling.FrequencyPenalty != 1 || r.Stop[0] != "q" {
		t.Errorf("%+v", r)
	}
}

// The events of a stream each have a token; the last has the whole text.
func TestTGIStream(t *testing.T) {
	b := &fakeBackend{reply: func(runtime.Request) string { return "añ" }}
	ts := startServer(t, b, Config{})
	a := ts.do("POST", "/generate_stream", `{"inputs":"x","parameters":{"max_new_tokens":9,"top_n_tokens":2}}`)
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%v", a.header)
	}
	text := ""
	var last map[string]any
	for i, e := range strings.Split(strings.TrimSpace(a.body), "\n\n") {
		last = nil
		if err := json.Unmarshal([]byte(strings.TrimPrefix(e, "data:")), &last); err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		token := last["token"].(map[string]any)
		if int(last["index"].(float64)) != i+1 || last["top_tokens"] == nil {
			t.Errorf("%s", e)
		}
		if token["special"] != true {
			text += token["text"].(string)
		}
	}
	details := last["details"].(map[string]any)
	if text != "añ" || last["generated_text"] != "añ" || details["finish_reason"] != "eos_token" || details["input_length"].(float64) != 2 {
		t.Errorf("text %q, last %v", text, last)
	}
}

// Errors have the words and statuses that the client tells apart.
func TestTGIErrors(t *testing.T) {
	b := &fakeBackend{queue: 1, gate: make(chan struct{})}
	ts := startServer(t, b, Config{})
	for body, want := range map[string]string{
		`{"inputs":""}`: "inputs", `{}`: "inputs", `{"inputs":"x","parameters":{"temperature":0}}`: "temperature", `{"inputs":"x","parameters":{"grammr":1}}`: "grammr",
		`{"inputs":"x","parameters":{"watermark":true}}`: "watermark", `{"inputs":"x","parameters":{"grammar":{"type":"xml","value":1}}}`: "xml", `{"inputs":"x","parameters":{"typical_p":0.5}}`: "typical_p",
		`{"inputs":"x","parameters":{"best_of":2},"stream":true}`: "best_of", `{"inputs":"x","parameters":[]}`: "parameters", `{"inputs":"x","parameters":{"max_new_tokens":999}}`: "context",
	} {
		got := ts.post("/generate", body, 422)
		if message, _ := got["error"].(string); !strings.Contains(message, want) || got["error_type"] != "validation" {
			t.Errorf("%s: %v", body, got)
		}
	}
	if got := ts.post("/generate", `{"inputs":"x","parameters":{"adapter_id":"nobody"}}`, 404); got["error_type"] != "validation" {
		t.Errorf("%v", got)
	}
	first := ts.open("POST", "/generate_stream", `{"inputs":"x"}`)
	defer first.Body.Close()
	if got := ts.post("/generate", `{"inputs":"x"}`, 429); got["error_type"] != "overloaded" {
		t.Errorf("%v", got)
	}
	close(b.gate)
}

func TestTGITokenize(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	a := ts.do("POST", "/tokenize", `{"inputs":"ñb"}`)
	want := `[{"id":256,"text":"<s>","start":0,"stop":0},{"id":195,"text":"�","start":0,"stop":1},{"id":177,"text":"�","start":1,"stop":1},{"id":98,"text":"b","start":1,"stop":2}]`
	if strings.TrimSpace(a.body) != want {
		t.Errorf("%s", a.body)
	}
	got := ts.post("/chat_tokenize", `{"messages":[{"role":"u","content":"x"}]}`, 200)
	if got["templated_text"] != "u: x\nassistant:" || len(got["tokenize_response"].([]any)) != len("u: x\nassistant:") {
		t.Errorf("%v", got)
	}
	info := ts.do("GET", "/info", "").json(t)
	if info["model_id"] != "tiny" || info["max_total_tokens"].(float64) != 128 {
		t.Errorf("%v", info)
	}
}
