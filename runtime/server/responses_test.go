package server

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const responseTools = `"tools":[{"type":"function","name":"f","parameters":{},"strict":null}]`

// Items come in order: what was thought, what was said, what is called.
func TestResponses(t *testing.T) {
	ts := toolServer(t, calling)
	got := ts.post("/v1/responses", `{"model":"tiny","instructions":"Be kind.","input":"x",`+responseTools+`,"max_output_tokens":500,"metadata":{"a":"b"}}`, 200)
	want := []any{
		map[string]any{"id": "rs_0123", "type": "reasoning", "status": "completed", "summary": []any{}, "content": []any{map[string]any{"type": "reasoning_text", "text": "Hm."}}},
		map[string]any{"id": "msg_0123", "type": "message", "status": "completed", "role": "assistant",
			"content": []any{map[string]any{"type": "output_text", "text": "I ask.", "annotations": []any{}, "logprobs": []any{}}}},
		map[string]any{"id": "fc_0123", "type": "function_call", "status": "completed", "call_id": "0123", "name": "f", "arguments": `{"a": "ü"}`},
		map[string]any{"id": "fc_0123", "type": "function_call", "status": "completed", "call_id": "0123", "name": "g", "arguments": `{}`},
	}
	if d := cmp.Diff(want, got["output"]); d != "" || got["status"] != "completed" || got["store"] != false {
		t.Errorf("status %v (-want +got):\n%s", got["status"], d)
	}
	if usage := got["usage"].(map[string]any); usage["output_tokens"].(float64) < 10 || usage["input_tokens"].(float64) < 10 {
		t.Errorf("%v", usage)
	}
	prompt := (byteTokenizer{}).Decode(ts.backend.last().Prompt, false)
	if want := "tools: [{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}]\nsystem: Be kind.\nuser: x\nassistant:"; prompt != want {
		t.Errorf("prompt %q, want %q", prompt, want)
	}
	got = ts.post("/v1/responses", `{"input":"x","max_output_tokens":3}`, 200)
	if got["status"] != "incomplete" || got["incomplete_details"].(map[string]any)["reason"] != "max_output_tokens" {
		t.Errorf("%v", got)
	}
}

// A conversation of items is that of messages.
func TestResponsesInput(t *testing.T) {
	ts := toolServer(t, "ok")
	ts.post("/v1/responses", `{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"reasoning","id":"rs_1","summary":[]},
		{"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[{"type":"output_text","text":"b","annotations":[]}]},
		{"type":"function_call","id":"fc_1","call_id":"1","name":"f","arguments":"{\"x\":1}","status":"completed"},{"type":"function_call","call_id":"2","name":"g","arguments":"{}"},
		{"type":"function_call_output","call_id":"1","output":"7"}]}`, 200)
	want := "user: a\nassistant: b\nassistant: " +
		`[{"id":"1","type":"function","function":{"name":"f","arguments":{"x":1}}},{"id":"2","type":"function","function":{"name":"g","arguments":{}}}]` + "\ntool: 7\nassistant:"
	if got := (byteTokenizer{}).Decode(ts.backend.last().Prompt, false); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for body, want := range map[string]string{
		`{}`: "input", `{"input":[]}`: "input", `{"input":7}`: "input", `{"input":[{"type":"item_reference","id":"x"}]}`: "item_reference", `{"input":[{"role":"user"}]}`: "content",
		`{"input":[{"role":"user","content":[{"type":"input_file"}]}]}`: "input_file", `{"input":"x","previous_response_id":"resp_1"}`: "previous_response_id",
		`{"input":"x","tools":[{"type":"web_search"}]}`: "web_search", `{"input":"x","background":true}`: "background", `{"input":"x","messages":[]}`: "messages",
		`{"input":"x","reasoning":{"effort":"high"}}`: "effort", `{"input":[{"role":"","content":"x"}]}`: "role",
	} {
		got := ts.post("/v1/responses", body, 400)
		if message := got["error"].(map[string]any)["message"].(string); !strings.Contains(message, want) {
			t.Errorf("%s: %s", body, message)
		}
	}
}

// Events are numbered; the last has what all before it said.
func TestResponsesStreamed(t *testing.T) {
	ts := toolServer(t, calling)
	a := ts.do("POST", "/v1/responses", `{"input":"x",`+responseTools+`,"stream":true}`)
	texts := map[string]string{}
	var names []string
	var last map[string]any
	for i, e := range strings.Split(strings.TrimSuffix(a.body, "\n\n"), "\n\n") {
		head, data, _ := strings.Cut(e, "\n")
		last = nil
		if err := json.Unmarshal([]byte(strings.TrimPrefix(data, "data: ")), &last); err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		name := strings.TrimPrefix(head, "event: ")
		if last["type"] != name || int(last["sequence_number"].(float64)) != i {
			t.Errorf("%s", e)
		}
		if delta, ok := last["delta"].(string); ok {
			texts[name] += delta
		} else {
			names = append(names, strings.TrimPrefix(name, "response."))
		}
	}
	want := map[string]string{"response.reasoning_text.delta": "Hm.", "response.output_text.delta": "I ask.", "response.function_call_arguments.delta": `{"a": "ü"}{}`}
	if d := cmp.Diff(want, texts); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	part := "output_item.added content_part.added %s.done content_part.done output_item.done "
	order := "created in_progress " + strings.Replace(part, "%s", "reasoning_text", 1) + strings.Replace(part, "%s", "output_text", 1) +
		strings.Repeat("output_item.added function_call_arguments.done output_item.done ", 2) + "completed"
	if got := strings.Join(names, " "); got != order {
		t.Errorf("got  %s\nwant %s", got, order)
	}
	if output := last["response"].(map[string]any)["output"].([]any); len(output) != 4 {
		t.Errorf("%v", output)
	}
}
