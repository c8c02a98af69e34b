package server

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"llmc/runtime"
)

// createResponse answers POST /v1/responses: stateless, whole or as events.
func (s *Server) createResponse(c *fasthttp.RequestCtx) error {
	return s.generate(c, onResponses, func(s *Server, r *request) dialect {
		return &responses{req: r, id: "resp_" + s.newID(), created: s.now().Unix(), now: s.now, newID: s.newID, open: -1}
	})
}

// responses is the dialect of /v1/responses. An answer is a list of items: reasoning, messages and calls, in the order in which they come.
type responses struct {
	req     *request
	id      string
	created int64
	newID   func() string
	now     func() time.Time
	events  int // of the stream so far

	items []*outputItem
	open  int // item that is being written; -1: none
}

// outputItem is an item of the answer.
type outputItem struct {
	kind   string // "reasoning", "message", "function_call"
	id     string
	call   call
	text   []byte
	closed bool
}

// MarshalJSON writes the item as it is so far.
func (i *outputItem) MarshalJSON() ([]byte, error) {
	status := "in_progress"
	if i.closed {
		status = "completed"
	}
	switch i.kind {
	case "function_call":
		return json.Marshal(struct {
			ID        string `json:"id"`
			Type      string `json:"type"`
			Status    string `json:"status"`
			CallID    string `json:"call_id"`
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		}{i.id, i.kind, status, i.call.id, i.call.name, string(i.text)})
	case "reasoning":
		return json.Marshal(struct {
			ID      string   `json:"id"`
			Type    string   `json:"type"`
			Summary []string `json:"summary"`
			Content []any    `json:"content"`
			Status  string   `json:"status"`
		}{i.id, i.kind, []string{}, i.parts(), status})
	}
	return json.Marshal(struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Status  string `json:"status"`
		Role    string `json:"role"`
		Content []any  `json:"content"`
	}{i.id, i.kind, status, "assistant", i.parts()})
}

func (i *outputItem) parts() []any {
	if len(i.text) == 0 && !i.closed {
		return []any{}
	}
	return []any{i.part()}
}

// part is the content of a message or of reasoning.
func (i *outputItem) part() any {
	if i.kind == "reasoning" {
		return map[string]any{"type": "reasoning_text", "text": string(i.text)}
	}
	return map[string]any{"type": "output_text", "text": string(i.text), "annotations": []any{}, "logprobs": []any{}}
}

// itemEvents are the names of the events of an item's text, by its kind, and the prefix of its id.
var itemEvents = map[string]struct{ text, prefix string }{
	"message": {"output_text", "msg_"}, "reasoning": {"reasoning_text", "rs_"}, "function_call": {"function_call_arguments", "fc_"},
}

// event appends one event.
func (d *responses) event(dst []byte, name string, members map[string]any) []byte {
	if !d.req.stream {
		return dst
	}
	members["type"], members["sequence_number"] = name, d.events
	d.events++
	body, err := json.Marshal(members)
	if err != nil {
		panic(err) // values are ours
	}
	return fmt.Appendf(dst, "event: %s\ndata: %s\n\n", name, body)
}

func (d *responses) begin(dst []byte, b *batch) []byte {
	dst = d.event(dst, "response.created", map[string]any{"response": d.object(b, "in_progress")})
	return d.event(dst, "response.in_progress", map[string]any{"response": d.object(b, "in_progress")})
}

func (d *responses) arrival(dst []byte, b *batch, c *choice, p piece) []byte {
	for _, p := range c.interpreted(d.req, p) {
		dst = d.piece(dst, p)
	}
	if c.finish != "" {
		dst = d.close(dst)
	}
	return dst
}

// piece adds to the item that it belongs to.
func (d *responses) piece(dst []byte, p piece) []byte {
	switch {
	case p.reasoning != "":
		dst = d.write(d.item(dst, "reasoning", call{}), p.reasoning)
	case len(p.calls) > 0:
		if one := p.calls[0]; one.name != "" {
			dst = d.item(d.close(dst), "function_call", one)
		}
		dst = d.write(dst, p.calls[0].arguments)
	case p.text != "":
		dst = d.write(d.item(dst, "message", call{}), p.text)
	}
	return dst
}

// item makes sure that an item of a kind is being written.
func (d *responses) item(dst []byte, kind string, of call) []byte {
	if d.open >= 0 && d.items[d.open].kind == kind {
		return dst
	}
	dst = d.close(dst)
	i := &outputItem{kind: kind, id: itemEvents[kind].prefix + d.newID(), call: of}
	d.open, d.items = len(d.items), append(d.items, i)
	dst = d.event(dst, "response.output_item.added", map[string]any{"output_index": d.open, "item": i})
	if kind != "function_call" {
		dst = d.event(dst, "response.content_part.added", map[string]any{"item_id": i.id, "output_index": d.open, "content_index": 0, "part": i.part()})
	}
	return dst
}

// write adds text to the open item.
func (d *responses) write(dst []byte, text string) []byte {
	if text == "" || d.open < 0 {
		return dst
	}
	i := d.items[d.open]
	i.text = append(i.text, text...)
	members := map[string]any{"item_id": i.id, "output_index": d.open, "delta": text}
	if i.kind != "function_call" {
		members["content_index"] = 0
	}
	if i.kind == "message" {
		members["logprobs"] = []any{}
	}
	return d.event(dst, "response."+itemEvents[i.kind].text+".delta", members)
}

// close ends the open item.
func (d *responses) close(dst []byte) []byte {
	if d.open < 0 {
		return dst
	}
	i, at := d.items[d.open], d.open
	d.open, i.closed = -1, true
	name := "response." + itemEvents[i.kind].text + ".done"
	if i.kind == "function_call" {
		dst = d.event(dst, name, map[string]any{"item_id": i.id, "output_index": at, "name": i.call.name, "arguments": string(i.text)})
	} else {
		members := map[string]any{"item_id": i.id, "output_index": at, "content_index": 0, "text": string(i.text)}
		if i.kind == "message" {
			members["logprobs"] = []any{}
		}
		dst = d.event(dst, name, members)
		dst = d.event(dst, "response.content_part.done", map[string]any{"item_id": i.id, "output_index": at, "content_index": 0, "part": i.part()})
	}
	return d.event(dst, "response.output_item.done", map[string]any{"output_index": at, "item": i})
}

func (d *responses) end(dst []byte, b *batch) []byte {
	status := d.status(b)
	return d.event(dst, "response."+status, map[string]any{"response": d.object(b, status)})
}

func (d *responses) failure(dst []byte, e *apiError) []byte {
	return d.event(dst, "error", map[string]any{"code": e.code, "message": e.message, "param": e.param})
}

func (d *responses) whole(dst []byte, b *batch) []byte {
	all := b.choices[0].all
	if all.reasoning != "" {
		d.piece(nil, piece{reasoning: all.reasoning})
	}
	if all.text != "" || len(all.calls) == 0 {
		d.item(nil, "message", call{})
		d.piece(nil, piece{text: all.text})
	}
	for _, one := range all.calls {
		d.piece(nil, piece{calls: []call{one}})
	}
	d.close(nil)
	body, err := json.Marshal(d.object(b, d.status(b)))
	if err != nil {
		panic(err) // values are ours
	}
	return append(dst, body...)
}

// status is that of an answer that has ended.
func (d *responses) status(b *batch) string {
	if b.choices[0].finish == runtime.FinishLength {
		return "incomplete"
	}
	return "completed"
}

// object is the answer as it is so far.
func (d *responses) object(b *batch, status string) map[string]any {
	r := d.req
	orNull := func(v []byte, otherwise string) json.RawMessage {
		if v == nil {
			return json.RawMessage(otherwise)
		}
		return json.RawMessage(v)
	}
	object := map[string]any{
		"id": d.id, "object": "response", "created_at": d.created, "status": status, "model": r.model.Name, "error": nil, "incomplete_details": nil,
		"instructions": nil, "max_output_tokens": nil, "output": d.items, "parallel_tool_calls": r.severalCalls, "previous_response_id": nil,
		"reasoning": map[string]any{"effort": nil, "summary": nil}, "store": false, "temperature": r.base.Sampling.Temperature, "top_p": r.base.Sampling.TopP,
		"text": map[string]any{"format": orNull(r.responses.format, `{"type":"text"}`)}, "tool_choice": "auto", "tools": orNull(r.responses.tools, "[]"), "truncation": "disabled",
		"metadata": orNull(r.responses.metadata, "{}"), "usage": nil, "background": false,
	}
	if d.items == nil {
		object["output"] = []any{}
	}
	switch {
	case r.choice.none:
		object["tool_choice"] = "none"
	case r.choice.required:
		object["tool_choice"] = "required"
	case r.choice.name != "":
		object["tool_choice"] = map[string]any{"type": "function", "name": r.choice.name}
	}
	if r.responses.instructions != "" {
		object["instructions"] = r.responses.instructions
	}
	if r.maxTokens != unset {
		object["max_output_tokens"] = r.maxTokens
	}
	if status == "incomplete" {
		object["incomplete_details"] = map[string]any{"reason": "max_output_tokens"}
	}
	if status != "in_progress" {
		u := b.usage()
		thought, _ := b.reasoned()
		object["completed_at"] = d.now().Unix()
		usage := map[string]any{
			"input_tokens": u.PromptTokens, "input_tokens_details": map[string]any{"cached_tokens": u.CachedTokens, "cache_write_tokens": u.PromptTokens - u.CachedTokens},
			"output_tokens": u.OutputTokens, "output_tokens_details": map[string]any{"reasoning_tokens": thought}, "total_tokens": u.PromptTokens + u.OutputTokens,
		}
		if u.Joules > 0 {
			usage["energy_joules"] = u.Joules
		}
		object["usage"] = usage
	}
	return object
}
