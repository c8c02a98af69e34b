package server

import (
	"strconv"
	"strings"

	"llmc/runtime/server/strictjson"
)

// readMessages checks a conversation and brings it into the form that chat templates of text models expect: content is a string,
// arguments of tool calls are objects. All other keys are left to the template.
func readMessages(r *request, v strictjson.Value) *apiError {
	messages, ok := v.Array()
	if !ok {
		return wrongType(v, "an array of messages")
	}
	if len(messages) == 0 || len(messages) > maxMessages {
		return invalid("", "invalid_value", "must have 1 to %d messages", maxMessages)
	}
	out := make([]byte, 0, len(v))
	for i, m := range messages {
		out = append(out, "[,"[min(i, 1)])
		var err *apiError
		if out, err = r.appendMessage(out, m); err != nil {
			err.message = "message " + strconv.Itoa(i) + ": " + err.message
			return err
		}
	}
	r.chat.Messages, r.messages = append(out, ']'), true
	return nil
}

// appendMessage writes one message and keeps its content as that of the last one seen. Keys that are null are left out: clients
// that send an answer back send those too, and templates take a key that is there for a value.
func (r *request) appendMessage(dst []byte, m strictjson.Value) ([]byte, *apiError) {
	members, ok := m.Object()
	if !ok {
		return dst, wrongType(m, "an object")
	}
	role, seen := "", map[string]bool{}
	r.finalText = ""
	dst = append(dst, '{')
	for _, member := range members {
		if member.Value.IsNull() {
			continue
		}
		if len(seen) > 0 {
			dst = append(dst, ',')
		}
		seen[member.Key] = true
		if member.Key == "role" {
			role, _ = member.Value.Text()
		}
		dst = append(appendQuoted(dst, member.Key), ':')
		var err *apiError
		if dst, err = r.appendMessageValue(dst, member); err != nil {
			err.message = clip(member.Key, maxParam) + ": " + err.message
			return dst, err
		}
	}
	if role == "" || len(role) > maxNameBytes {
		return dst, invalid("", "invalid_value", "role must be a string such as system, user, assistant or tool")
	}
	if !seen["content"] {
		if role != "assistant" {
			return dst, invalid("", "invalid_value", "content is missing: a string or an array of text parts")
		}
		dst = append(dst, `,"content":""`...)
	}
	return append(dst, '}'), nil
}

func (r *request) appendMessageValue(dst []byte, m strictjson.Member) (_ []byte, err *apiError) {
	switch m.Key {
	case "content":
		return r.appendContent(dst, m.Value)
	case "tool_calls":
		return appendToolCalls(dst, m.Value)
	}
	return append(dst, m.Value...), nil
}

// appendContent writes a content as the template expects it: one string, of which text parts are lines, as vLLM joins them, and images lines of their own; or
// a list of parts.
func (r *request) appendContent(dst []byte, v strictjson.Value) ([]byte, *apiError) {
	parts, err := r.contentParts(v)
	if err != nil {
		return dst, err
	}
	var texts, lines []string
	list := []byte{'['}
	for i, p := range parts {
		list = append(list, ","[:min(i, 1)]...)
		if p.image {
			lines, list = append(lines, r.model.ImageName), append(list, `{"type":"image"}`...)
			continue
		}
		texts, lines = append(texts, p.text), append(lines, p.text)
		list = append(appendQuoted(append(list, `{"type":"text","text":`...), p.text), '}')
	}
	r.finalText = strings.Join(texts, "\n")
	if r.model.Parts {
		return append(append(dst, list...), ']'), nil
	}
	return appendQuoted(dst, strings.Join(lines, "\n")), nil
}

// contentPart is a text, or an image, whose file is the request's next.
type contentPart struct {
	text  string
	image bool
}

// contentParts returns the parts of a content.
func (r *request) contentParts(v strictjson.Value) ([]contentPart, *apiError) {
	if text, ok := v.Text(); ok {
		return []contentPart{{text: text}}, nil
	}
	elements, ok := v.Array()
	if !ok {
		return nil, wrongType(v, "a string or an array of text parts")
	}
	parts := make([]contentPart, len(elements))
	for i, e := range elements {
		var err *apiError
		if parts[i], err = r.contentPart(e); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// textParts names the types of content parts that are text, and the key that holds it.
var textParts = map[string]string{"text": "text", "refusal": "refusal"}

func (r *request) contentPart(part strictjson.Value) (p contentPart, err *apiError) {
	members, ok := part.Object()
	if !ok {
		return p, wrongType(part, "an object with type and text")
	}
	kind := ""
	for _, m := range members {
		if m.Key == "type" {
			kind, _ = m.Value.Text()
		}
	}
	key, ok := textParts[kind]
	switch {
	case kind == imagePart && r.model.readsImages():
		return contentPart{image: true}, r.readImagePart(members)
	case !ok && r.model.readsImages():
		return p, invalid("", "unsupported_value", "parts of type %.32q are not supported, the model reads text and %s", kind, imagePart)
	case !ok:
		return p, invalid("", "unsupported_value", "parts of type %.32q are not supported, the model reads text", kind)
	}
	for _, m := range members {
		if text, ok := m.Value.Text(); ok && m.Key == key {
			return contentPart{text: text}, nil
		}
	}
	return p, invalid("", "invalid_value", "a part of type %s needs a string %s", kind, key)
}

// appendToolCalls writes the calls of an earlier answer with their arguments as objects: on the wire they are JSON in a string,
// templates want to walk them.
func appendToolCalls(dst []byte, v strictjson.Value) ([]byte, *apiError) {
	calls, ok := v.Array()
	if !ok {
		return dst, wrongType(v, "an array")
	}
	dst = append(dst, '[')
	for i, call := range calls {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err *apiError
		if dst, err = appendCall(dst, call, "function", appendFunction); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendFunction(dst []byte, function strictjson.Value) ([]byte, *apiError) {
	return appendCall(dst, function, "arguments", appendArguments)
}

// appendCall copies an object, writing the value of one key in another way.
func appendCall(dst []byte, v strictjson.Value, key string, write func([]byte, strictjson.Value) ([]byte, *apiError)) ([]byte, *apiError) {
	members, ok := v.Object()
	if !ok {
		return dst, wrongType(v, "an object")
	}
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, m.Key), ':')
		if m.Key != key {
			dst = append(dst, m.Value...)
			continue
		}
		var err *apiError
		if dst, err = write(dst, m.Value); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendArguments(dst []byte, v strictjson.Value) ([]byte, *apiError) {
	text, ok := v.Text()
	if !ok {
		return append(dst, v...), nil
	}
	if strings.TrimSpace(text) == "" {
		return append(dst, "{}"...), nil
	}
	arguments, err := strictjson.Check([]byte(text))
	if err != nil {
		return dst, invalid("", "invalid_value", "arguments are not valid JSON: %v", err)
	}
	return append(dst, arguments...), nil
}
