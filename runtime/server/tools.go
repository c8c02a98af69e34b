package server

import (
	"strconv"

	"llmc/runtime"
	"llmc/runtime/grammar"
	"llmc/runtime/reply"
)

// call is some of a call of a tool. Its first piece has a name and an id.
type call struct {
	index     int
	id, name  string
	arguments string
}

// silent tells whether a piece shows nothing.
func (p piece) silent() bool { return p.text == "" && p.reasoning == "" && len(p.calls) == 0 }

// special tells whether a text is one token that is left out of texts.
func (m *Model) special(text string) bool {
	ids, err := m.Tokenizer.Encode(text, false)
	return err == nil && len(ids) == 1 && isSpecial(m.Tokenizer, ids[0])
}

// parser tells the parts of a reply to a prompt apart; nil: all is content.
func (r *request) parser(p *prompt) *reply.Parser {
	replies := r.model.Replies
	switch {
	case r.choice.name != "":
		return reply.Arguments(r.choice.name)
	case r.choice.required:
		return reply.List()
	case r.on&chatting == 0 || r.constraint.Kind != grammar.None || !replies.Reasons() && !replies.Calls():
		return nil
	}
	return replies.Parser(p.text, r.chat.Tools)
}

// interpret tells the parts of a whole reply apart.
func (c *choice) interpret(r *request) {
	if c.parser == nil {
		return
	}
	parts := c.interpreted(r, piece{text: c.all.text})
	c.all.text = ""
	for _, p := range parts {
		c.all.text += p.text
		c.all.reasoning += p.reasoning
		for _, one := range p.calls {
			if one.index == len(c.all.calls) {
				c.all.calls = append(c.all.calls, one)
			} else {
				c.all.calls[one.index].arguments += one.arguments
			}
		}
	}
}

// interpreted tells the parts of a streamed piece apart. Probabilities and ids go with the first.
func (c *choice) interpreted(r *request, p piece) []piece {
	if c.parser == nil {
		return []piece{p}
	}
	var parts []piece
	for _, d := range c.parser.Feed(p.text) {
		parts = append(parts, c.part(r, d))
	}
	if c.finish != "" {
		for _, d := range c.parser.End() {
			parts = append(parts, c.part(r, d))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, piece{})
	}
	parts[0].samples, parts[0].ids = p.samples, p.ids
	return parts
}

// part is one part of a reply, of which nothing may be left: what the request does not want to see.
func (c *choice) part(r *request, d reply.Delta) (p piece) {
	switch {
	case d.Call != nil && (r.severalCalls || d.Call.Index == 0):
		one := call{index: d.Call.Index, name: d.Call.Name, arguments: d.Call.Arguments}
		if one.name != "" {
			one.id = r.newCallID()
		}
		p.calls = []call{one}
	case d.Call == nil && r.showReasoning:
		p.reasoning = d.Reasoning
	}
	if d.Content != "" {
		p.text = d.Content
	}
	return p
}

// callIDLength is that of ids of calls: some templates take no others.
const callIDLength = 9

func (r *request) newCallID() string {
	id := r.newID()
	return id[:min(callIDLength, len(id))]
}

// finishReason is why a choice ended, in the words of the OpenAI API.
func (c *choice) finishReason() string {
	if c.finish == runtime.FinishStop && !c.named && c.parser != nil && c.parser.Called() {
		return "tool_calls"
	}
	return string(c.finish)
}

// appendReasoning appends the members that clients know reasoning by: vLLM's, and the older one that DeepSeek's API has.
func appendReasoning(dst []byte, text string) []byte {
	dst = appendQuoted(append(dst, `"reasoning":`...), text)
	return appendQuoted(append(dst, `,"reasoning_content":`...), text)
}

// appendCallPieces appends the member of a streamed message that has pieces of calls.
func appendCallPieces(dst []byte, calls []call) []byte {
	dst = append(dst, `"tool_calls":[`...)
	for i, c := range calls {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"index":`...), int64(c.index), 10)
		dst = append(dst, ',')
		dst = append(appendOneCall(dst, c), '}')
	}
	return append(dst, ']')
}

// appendCalls appends the member of a message that has calls.
func appendCalls(dst []byte, calls []call) []byte {
	dst = append(dst, `"tool_calls":[`...)
	for i, c := range calls {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendOneCall(append(dst, '{'), c), '}')
	}
	return append(dst, ']')
}

func appendOneCall(dst []byte, c call) []byte {
	if c.name == "" {
		dst = append(dst, `"function":{"arguments":`...)
	} else {
		dst = appendQuoted(append(dst, `"id":`...), c.id)
		dst = appendQuoted(append(dst, `,"type":"function","function":{"name":`...), c.name)
		dst = append(dst, `,"arguments":`...)
	}
	return append(appendQuoted(dst, c.arguments), '}')
}
