package server

import (
	"encoding/json"
	"strings"
	"testing"
)

// Tokens of reasoning, the marker before them included, are told apart in usage: of whole answers, of streams, and of chunks on the way. A token of the fake model is a byte.
func TestReasoningTokens(t *testing.T) {
	const want = float64(len("<think>Hm."))
	reasoned := func(t *testing.T, usage any, key string) float64 {
		t.Helper()
		details, ok := usage.(map[string]any)[key].(map[string]any)
		if !ok {
			t.Fatalf("usage %v", usage)
		}
		return details["reasoning_tokens"].(float64)
	}
	ts := toolServer(t, calling)
	for _, more := range []string{"", `,"include_reasoning":false`, `,"tool_choice":"none"`} {
		answer := ts.post("/v1/chat/completions", `{`+toolChat+more+`}`, 200)
		if got := reasoned(t, answer["usage"], "completion_tokens_details"); got != want {
			t.Errorf("%s: %v tokens of reasoning, want %v", more, got, want)
		}
	}
	a := ts.do("POST", "/v1/chat/completions", `{`+toolChat+`,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`)
	last, chunks := 0.0, 0
	for _, e := range events(t, a.body) {
		var chunk map[string]any
		if json.Unmarshal([]byte(e), &chunk) != nil || chunk["usage"] == nil {
			continue
		}
		chunks++
		got := reasoned(t, chunk["usage"], "completion_tokens_details")
		if got < last || got > want {
			t.Errorf("%v tokens of reasoning after %v", got, last)
		}
		last = got
	}
	if last != want || chunks < 10 {
		t.Errorf("%v tokens of reasoning at the end of %d chunks, want %v", last, chunks, want)
	}
	answer := ts.post("/v1/responses", `{"input":"x"}`, 200)
	if got := reasoned(t, answer["usage"], "output_tokens_details"); got != want {
		t.Errorf("responses: %v tokens of reasoning, want %v", got, want)
	}
	for _, body := range []string{"No thought.", "<tool_call>{}</tool_call>"} {
		ts := toolServer(t, body)
		if got := reasoned(t, ts.post("/v1/chat/completions", `{`+toolChat+`}`, 200)["usage"], "completion_tokens_details"); got != 0 {
			t.Errorf("%q: %v tokens of reasoning", body, got)
		}
	}
	plain := startServer(t, &fakeBackend{}, Config{})
	if text := string(plain.do("POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}]}`).body); strings.Contains(text, "reasoning_tokens") {
		t.Errorf("reasoning of a model that has none: %s", text)
	}
}
