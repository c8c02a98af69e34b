package server

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"llmc/runtime"
	"llmc/runtime/reply"
)

const (
	calling    = "<think>Hm.</think>\nI ask.\n<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"ü\"}}</tool_call>\n<tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call>"
	toolChat   = `"messages":[{"role":"u","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]`
	hermesLike = "<think></think><tool_call>"
)

// toolServer serves a model that answers with a text, and whose template teaches calls and reasoning.
func toolServer(t *testing.T, text string) *testServer {
	b := &fakeBackend{reply: func(runtime.Request) string { return text }}
	model := fakeModel("tiny", b)
	model.MaxContext = 10_000
	model.Replies = reply.Detect(hermesLike)
	ts := startServer(t, b, Config{Models: []Model{model}})
	ts.backend = b
	return ts
}

func firstChoice(t *testing.T, answer map[string]any) map[string]any {
	t.Helper()
	return answer["choices"].([]any)[0].(map[string]any)
}

func TestToolCalls(t *testing.T) {
	ts := toolServer(t, calling)
	choice := firstChoice(t, ts.post("/v1/chat/completions", `{`+toolChat+`}`, 200))
	want := map[string]any{
		"role": "assistant", "content": "I ask.", "refusal": nil, "reasoning": "Hm.", "reasoning_content": "Hm.",
		"tool_calls": []any{
			map[string]any{"id": "0123", "type": "function", "function": map[string]any{"name": "f", "arguments": `{"a": "ü"}`}},
			map[string]any{"id": "0123", "type": "function", "function": map[string]any{"name": "g", "arguments": `{}`}},
		},
	}
	if d := cmp.Diff(want, choice["message"]); d != "" || choice["finish_reason"] != "tool_calls" {
		t.Errorf("finish %v (-want +got):\n%s", choice["finish_reason"], d)
	}
	choice = firstChoice(t, ts.post("/v1/chat/completions", `{`+toolChat+`,"parallel_tool_calls":false,"include_reasoning":false}`, 200))
	message := choice["message"].(map[string]any)
	if len(message["tool_calls"].([]any)) != 1 || message["reasoning"] != nil {
		t.Errorf("%v", message)
	}
	// Without tools, or with tool_choice none, calls are text.
	for _, body := range []string{`{"messages":[{"role":"u","content":"x"}]}`, `{` + toolChat + `,"tool_choice":"none"}`} {
		choice = firstChoice(t, ts.post("/v1/chat/completions", body, 200))
		if message := choice["message"].(map[string]any); !strings.Contains(message["content"].(string), "<tool_call>") || choice["finish_reason"] != "stop" {
			t.Errorf("%s: %v", body, choice)
		}
	}
}

// The deltas of a stream put together are the whole answer, each with one part.
func TestToolCallsStreamed(t *testing.T) {
	ts := toolServer(t, calling)
	a := ts.do("POST", "/v1/chat/completions", `{`+toolChat+`,"stream":true,"logprobs":true}`)
	content, reasoning, finish, tokens := "", "", "", 0
	var names, arguments []string
	for _, e := range events(t, a.body) {
		var chunk struct {
			Choices []struct {
				Delta struct {
					Content          string
					ReasoningContent string `json:"reasoning_content"`
					ToolCalls        []struct {
						Index    int
						ID       string
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
				Logprobs     *struct{ Content []any }
				FinishReason string `json:"finish_reason"`
			}
		}
		if e == "[DONE]" {
			continue
		}
		if err := json.Unmarshal([]byte(e), &chunk); err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		for _, c := range chunk.Choices {
			content += c.Delta.Content
			reasoning += c.Delta.ReasoningContent
			finish += c.FinishReason
			if c.Logprobs != nil {
				tokens += len(c.Logprobs.Content)
			}
			for _, call := range c.Delta.ToolCalls {
				if call.Index == len(names) {
					names, arguments = append(names, call.Function.Name+" "+call.ID), append(arguments, "")
				}
				arguments[call.Index] += call.Function.Arguments
			}
		}
	}
	if content != "I ask." || reasoning != "Hm." || finish != "tool_calls" || tokens != len(calling) {
		t.Errorf("content %q, reasoning %q, finish %q, %d tokens of %d", content, reasoning, finish, tokens, len(calling))
	}
	if d := cmp.Diff([]string{"f 0123", "g 0123", `{"a": "ü"}`, "{}"}, append(names, arguments...)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
