package server

import (
	"math"
	"slices"
	"strconv"

	"llmc/runtime/server/strictjson"
)

// The fields of /v1/responses become those of a chat: its items messages, its flat tools nested ones.

// responseOptions are what requests of /v1/responses have beyond those of chats.
type responseOptions struct {
	instructions string
	input        strictjson.Value
	tools        strictjson.Value
	metadata     strictjson.Value
	format       strictjson.Value // of the text; nil: {"type": "text"}
}

// responseFields are the rows of the table of fields for /v1/responses.
var responseFields = []field{
	{"input", onResponses, func(r *request, v strictjson.Value) *apiError { r.responses.input = v; return nil }},
	{"instructions", onResponses, words(func(r *request) *string { return &r.responses.instructions }, math.MaxInt32)},
	{"tools", onResponses, readResponseTools},
	{"tool_choice", onResponses, readToolChoice},
	{"parallel_tool_calls", onResponses, flag(func(r *request) *bool { return &r.severalCalls })},
	{"max_output_tokens", onResponses, integer(func(r *request) *int { return &r.maxTokens }, 1, math.MaxInt32)},
	{"temperature", onResponses, number(func(r *request) *float32 { return &r.base.Sampling.Temperature }, 0, 2)},
	{"top_p", onResponses, readTopP},
	{"top_k", onResponses, readTopK},
	{"seed", onResponses, readSeed},
	{"stream", onResponses, flag(func(r *request) *bool { return &r.stream })},
	{"stream_options", onResponses, ignored}, // padding against traffic analysis; a hint
	{"text", onResponses, readResponseText},
	{"metadata", onResponses, func(r *request, v strictjson.Value) *apiError { r.responses.metadata = v; return nil }},
	{"chat_template_kwargs", onResponses, readTemplateKwargs},
	{"priority", onResponses, integer(func(r *request) *int { return &r.base.Priority }, math.MinInt32, math.MaxInt32)},
	{"cache_salt", onResponses, words(func(r *request) *string { return &r.base.CacheSalt }, maxNameBytes)},
	{"truncation", onResponses, only("shorten the input before sending it", `"disabled"`)},
	{"background", onResponses, only("answers come on the connection that asked for them", "false")},
	{"previous_response_id", onResponses, refused("no responses are kept here; send the whole conversation as input")},
	{"conversation", onResponses, refused("no conversations are kept here; send the whole conversation as input")},
	{"prompt", onResponses, refused("there are no stored prompts here")},
	{"include", onResponses, readInclude},
	{"top_logprobs", onResponses, only("use /v1/chat/completions", "0")},
	{"max_tool_calls", onResponses, refused("there are no tools of the server's own")},
	{"reasoning", onResponses, readReasoning},
	{"store", onResponses, ignored}, // nothing is kept, and the answer says so
	{"service_tier", onResponses, ignored},
	{"safety_identifier", onResponses, ignored},
	{"prompt_cache_key", onResponses, ignored},
	{"prompt_cache_retention", onResponses, ignored},
}

// readInclude accepts that more of an answer is wanted only where there is none of it.
func readInclude(_ *request, v strictjson.Value) *apiError {
	list, ok := v.Array()
	if !ok {
		return wrongType(v, "an array")
	}
	for _, one := range list {
		if text, _ := one.Text(); text != "reasoning.encrypted_content" {
			return invalid("", "unsupported_value", "%.64s is not supported", one)
		}
	}
	return nil
}

// readReasoning accepts hints that ask for nothing: how much a model reasons is its template's matter.
func readReasoning(_ *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object")
	}
	for _, m := range members {
		if m.Key == "effort" && !m.Value.IsNull() {
			return invalid("", "unsupported_parameter", "effort: give it in chat_template_kwargs if the model's template reads it")
		}
	}
	return nil
}

// readResponseText reads the format of the text.
func readResponseText(r *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object")
	}
	for _, m := range members {
		switch {
		case m.Value.IsNull():
		case m.Key == "verbosity":
			if text, _ := m.Value.Text(); text != "medium" {
				return invalid("", "unsupported_value", "verbosity: ask for it in the messages")
			}
		case m.Key == "format":
			return readFlatFormat(r, m.Value)
		default:
			return invalid("", "unknown_parameter", "unknown key %.64q", m.Key)
		}
	}
	return nil
}

// readFlatFormat reads a format whose schema's members stand beside its type.
func readFlatFormat(r *request, v strictjson.Value) *apiError {
	members, _ := v.Object()
	kind, named := besideType(members)
	if kind != "json_schema" {
		return readResponseFormat(r, v)
	}
	r.responses.format = v
	return readNamedSchema(r, named)
}

// besideType is an object's type, and an object of its other members.
func besideType(members []strictjson.Member) (kind string, others strictjson.Value) {
	others = strictjson.Value{'{'}
	for _, m := range members {
		if m.Key == "type" {
			kind, _ = m.Value.Text()
			continue
		}
		if len(others) > 1 {
			others = append(others, ',')
		}
		others = append(append(appendQuoted(others, m.Key), ':'), m.Value...)
	}
	return kind, append(others, '}')
}

// readResponseTools turns tools, which have their function's members beside their type, into those of chats.
func readResponseTools(r *request, v strictjson.Value) *apiError {
	list, ok := v.Array()
	if !ok {
		return wrongType(v, "an array")
	}
	if len(list) > maxTools {
		return invalid("", "array_above_max_length", "must have at most %d elements", maxTools)
	}
	r.responses.tools = v
	tools := []byte{'['}
	for i, one := range list {
		members, ok := one.Object()
		if !ok {
			return wrongType(one, "an array of objects")
		}
		given := slices.DeleteFunc(members, func(m strictjson.Member) bool { return m.Key != "type" && m.Value.IsNull() })
		kind, function := besideType(given)
		if kind != "function" {
			return invalid("", "unsupported_value", "tool %d: type %.64q is not supported, only function is", i, kind)
		}
		if i > 0 {
			tools = append(tools, ',')
		}
		tools = append(append(append(tools, `{"type":"function","function":`...), function...), '}')
	}
	if len(list) > 0 {
		r.chat.Tools = append(tools, ']')
	}
	return nil
}

// readInput makes messages of instructions and items.
func (r *request) readInput() *apiError {
	messages := []byte{'['}
	add := func(message []byte) {
		if len(messages) > 1 {
			messages = append(messages, ',')
		}
		messages = append(messages, message...)
	}
	if text := r.responses.instructions; text != "" {
		add(append(appendQuoted([]byte(`{"role":"system","content":`), text), '}'))
	}
	if text, ok := r.responses.input.Text(); ok {
		add(append(appendQuoted([]byte(`{"role":"user","content":`), text), '}'))
	} else if err := r.items(add); err != nil {
		return err.of("input")
	}
	value, err := strictjson.Check(append(messages, ']'))
	if err != nil {
		panic(err) // it was made of checked parts
	}
	if err := readMessages(r, value); err != nil {
		return err.of("input")
	}
	return nil
}

// items hands on the messages of a list of items. Calls that follow one another are one message's.
func (r *request) items(add func(message []byte)) *apiError {
	list, ok := r.responses.input.Array()
	if !ok {
		return wrongType(r.responses.input, "a string or an array of items")
	}
	if len(list) > maxMessages {
		return invalid("", "array_above_max_length", "must have at most %d items", maxMessages)
	}
	var calls []byte
	end := func() {
		if calls != nil {
			add(append(append([]byte(`{"role":"assistant","tool_calls":[`), calls...), "]}"...))
			calls = nil
		}
	}
	for i, one := range list {
		item, err := readItem(one)
		if err != nil {
			err.message = "item " + strconv.Itoa(i) + ": " + err.message
			return err
		}
		if item.call != nil {
			if calls != nil {
				calls = append(calls, ',')
			}
			calls = append(calls, item.call...)
			continue
		}
		if item.message != nil {
			end()
			add(item.message)
		}
	}
	end()
	return nil
}

// responseItem is an item as a message, as a call of one, or neither: what is not shown again.
type responseItem struct{ message, call []byte }

func readItem(v strictjson.Value) (item responseItem, refusal *apiError) {
	of, ok := membersOf(v)
	if !ok {
		return item, wrongType(v, "an object")
	}
	text := func(key string) string {
		s, _ := of[key].Text()
		return s
	}
	kind := text("type")
	switch kind {
	case "", "message":
		content, err := readItemContent(of["content"])
		if err != nil {
			return item, err
		}
		item.message = appendQuoted([]byte(`{"role":`), text("role"))
		item.message = append(append(append(item.message, `,"content":`...), content...), '}')
	case "function_call":
		item.call = appendQuoted([]byte(`{"id":`), text("call_id"))
		item.call = appendQuoted(append(item.call, `,"type":"function","function":{"name":`...), text("name"))
		item.call = append(appendQuoted(append(item.call, `,"arguments":`...), text("arguments")), "}}"...)
	case "function_call_output":
		content, err := readItemContent(of["output"])
		if err != nil {
			return item, err
		}
		item.message = appendQuoted([]byte(`{"role":"tool","tool_call_id":`), text("call_id"))
		item.message = append(append(append(item.message, `,"content":`...), content...), '}')
	case "reasoning": // templates leave out what was thought in earlier turns
	default:
		return item, invalid("", "unsupported_value", "type %.64q is not supported", kind)
	}
	return item, nil
}

// membersOf are the members of an object by their keys.
func membersOf(v strictjson.Value) (of map[string]strictjson.Value, ok bool) {
	members, ok := v.Object()
	of = map[string]strictjson.Value{}
	for _, m := range members {
		of[m.Key] = m.Value
	}
	return of, ok
}

// itemParts are the types of parts that are text.
var itemParts = map[string]string{"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal", "summary_text": "text"}

// readItemContent turns the content of an item into that of a message.
func readItemContent(v strictjson.Value) ([]byte, *apiError) {
	if v == nil {
		return nil, invalid("", "invalid_value", "content is missing")
	}
	list, ok := v.Array()
	if !ok {
		return v, nil // a string, or what readMessages refuses
	}
	dst := []byte{'['}
	for i, part := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		of, ok := membersOf(part)
		if !ok {
			return nil, wrongType(part, "an object with type")
		}
		kind, _ := of["type"].Text()
		switch key := itemParts[kind]; {
		case key != "":
			text, ok := of[key].Text()
			if !ok {
				return nil, invalid("", "invalid_value", "a part of type %s needs a string %s", kind, key)
			}
			dst = append(appendQuoted(append(dst, `{"type":"text","text":`...), text), '}')
		case kind == "input_image" && of["image_url"] != nil:
			dst = append(append(append(dst, `{"type":"image_url","image_url":{"url":`...), of["image_url"]...), "}}"...)
		default:
			return nil, invalid("", "unsupported_value", "parts of type %.64q are not supported", kind)
		}
	}
	return append(dst, ']'), nil
}
