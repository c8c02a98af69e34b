package main

import (
	"encoding/json"
	"maps"
	"strings"
)

// dialect is one API: where a question goes, and where the text is in what comes back.
type dialect struct {
	name         string
	path, stream string                           // {model} is the model's name; stream "": does not stream
	body         func(q *question) map[string]any // without stream
	says         bool                             // the body says stream:true where it streams
	whole        func(a *wire) string
	event        func(e *wire) string
}

// wire is what is of use in answers and events of any API.
type wire struct {
	Choices []choice
	Type    string // of an event of responses
	Delta   json.RawMessage
	Output  []struct {
		Arguments string
		Content   []struct{ Text string }
	}
	Generated *string `json:"generated_text"`
	Text      string  `json:"text_output"`
	Outputs   []struct{ Data []json.RawMessage }
	Data      []struct{ Embedding json.RawMessage }
	Error     json.RawMessage
}

type choice struct {
	Text    string
	Message said
	Delta   said
}

// said is a message, or a part of one.
type said struct {
	Content string
	Calls   []struct {
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
}

func (s said) text() string {
	text := s.Content
	for _, c := range s.Calls {
		text += c.Function.Name + c.Function.Arguments
	}
	return text
}

// dialects lists the APIs that text is asked of.
var dialects = []dialect{
	{name: "completions", path: "/v1/completions", stream: "/v1/completions", says: true,
		body:  func(q *question) map[string]any { return map[string]any{"prompt": q.prompt, "max_tokens": q.tokens} },
		whole: func(a *wire) string { return a.choice().Text }, event: func(e *wire) string { return e.choice().Text }},
	{name: "chat", path: "/v1/chat/completions", stream: "/v1/chat/completions", says: true,
		body: func(q *question) map[string]any {
			return map[string]any{"messages": []any{map[string]any{"role": "user", "content": q.prompt}}, "max_tokens": q.tokens}
		},
		whole: func(a *wire) string { return a.choice().Message.text() }, event: func(e *wire) string { return e.choice().Delta.text() }},
	{name: "responses", path: "/v1/responses", stream: "/v1/responses", says: true,
		body: func(q *question) map[string]any {
			return map[string]any{"input": q.prompt, "max_output_tokens": q.tokens}
		},
		whole: wholeResponse, event: partOfResponse},
	{name: "tgi", path: "/generate", stream: "/generate_stream",
		body: func(q *question) map[string]any {
			return map[string]any{"inputs": q.prompt, "parameters": map[string]any{"max_new_tokens": q.tokens}}
		},
		whole: generated, event: generated},
	{name: "triton", path: "/v2/models/{model}/generate", stream: "/v2/models/{model}/generate_stream",
		body: func(q *question) map[string]any {
			return map[string]any{"text_input": q.prompt, "max_tokens": q.tokens, "temperature": 0}
		},
		whole: func(a *wire) string { return a.Text }, event: func(e *wire) string { return e.Text }},
	{name: "kserve", path: "/v2/models/{model}/infer",
		body: func(q *question) map[string]any {
			return map[string]any{"inputs": []any{
				map[string]any{"name": "text_input", "shape": []int{1}, "datatype": "BYTES", "data": []any{q.prompt}},
				map[string]any{"name": "max_tokens", "shape": []int{1}, "datatype": "INT32", "data": []any{q.tokens}},
				map[string]any{"name": "temperature", "shape": []int{1}, "datatype": "FP32", "data": []any{0}},
			}}
		},
		whole: firstOutput},
	{name: "embeddings", path: "/v1/embeddings",
		body:  func(q *question) map[string]any { return map[string]any{"input": q.prompt} },
		whole: embedding},
}

// choice is the first choice, nothing where there is none.
func (w *wire) choice() (c choice) {
	if len(w.Choices) > 0 {
		c = w.Choices[0]
	}
	return c
}

// firstOutput is the first element of the first tensor, as JSON.
func firstOutput(a *wire) string {
	if len(a.Outputs) == 0 || len(a.Outputs[0].Data) == 0 {
		return ""
	}
	return string(a.Outputs[0].Data[0])
}

// embedding is the first vector, as JSON.
func embedding(a *wire) string {
	if len(a.Data) == 0 {
		return ""
	}
	return string(a.Data[0].Embedding)
}

func wholeResponse(a *wire) string {
	var text strings.Builder
	for _, o := range a.Output {
		for _, c := range o.Content {
			text.WriteString(c.Text)
		}
		text.WriteString(o.Arguments)
	}
	return text.String()
}

func partOfResponse(e *wire) string {
	var text string
	if strings.HasSuffix(e.Type, ".delta") {
		_ = json.Unmarshal(e.Delta, &text)
	}
	return text
}

func generated(a *wire) string {
	if a.Generated == nil {
		return ""
	}
	return *a.Generated
}

// request returns path and body of a question.
func (d *dialect) request(q *question, stream bool) (path string, body []byte) {
	fields := d.body(q)
	maps.Copy(fields, q.fields)
	if path = d.path; stream {
		path = d.stream
	}
	if strings.Contains(path, "{model}") {
		path = strings.ReplaceAll(path, "{model}", q.model)
	} else {
		fields["model"] = q.model
	}
	if stream && d.says {
		fields["stream"] = true
	}
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err) // questions are this program's own
	}
	return path, body
}
