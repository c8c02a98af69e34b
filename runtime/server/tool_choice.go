package server

import (
	"encoding/json"
	"slices"

	"llmc/runtime/grammar"
	"llmc/runtime/server/strictjson"
)

// toolChoice says whether the reply has to be a call.
type toolChoice struct {
	none     bool
	required bool   // of any tool
	name     string // of this one; "" is none in particular
}

// forced tells whether the reply is nothing but calls.
func (c toolChoice) forced() bool { return c.required || c.name != "" }

// readToolChoice reads "none", "auto", "required", or the function that is to be called, its name in an object of its own or not.
func readToolChoice(r *request, v strictjson.Value) *apiError {
	if choice, ok := v.Text(); ok {
		switch choice {
		case "none":
			r.choice.none = true
		case "required":
			r.choice.required = true
		case "auto":
		default:
			return invalid("", "invalid_value", "must be none, auto, required or a function")
		}
		return nil
	}
	var named struct {
		Type     string
		Name     string
		Function struct{ Name string }
	}
	if json.Unmarshal(v, &named) != nil || named.Type != "function" || named.Name+named.Function.Name == "" {
		return invalid("", "unsupported_value", "must be none, auto, required or a function with its name")
	}
	r.choice.name = named.Name
	if named.Name == "" {
		r.choice.name = named.Function.Name
	}
	return nil
}

// readTools reads the tools of a chat. What is in them is the chat template's matter.
func readTools(r *request, v strictjson.Value) *apiError {
	elements, _ := v.Array()
	for _, e := range elements {
		if _, ok := e.Object(); !ok {
			return wrongType(e, "an array of objects")
		}
	}
	return rawArray(func(r *request) *[]byte { return &r.chat.Tools }, maxTools)(r, v)
}

// offered is a tool of a request.
type offered struct {
	Function struct {
		Name       string
		Parameters map[string]json.RawMessage
	}
}

// force constrains the reply to calls where the request asks for that: to the arguments of the function that it names, or to a list of calls. The form is the same for all
// models, as it is with vLLM; what the model was taught would need special tokens.
func (r *request) force() *apiError {
	if !r.choice.forced() {
		return nil
	}
	var tools []offered
	if r.chat.Tools == nil || json.Unmarshal(r.chat.Tools, &tools) != nil {
		return invalid("tool_choice", "invalid_value", "tool_choice: needs tools, each a function with a name and its parameters")
	}
	if r.choice.name != "" {
		tools = slices.DeleteFunc(tools, func(t offered) bool { return t.Function.Name != r.choice.name })
		if len(tools) == 0 {
			return invalid("tool_choice", "invalid_value", "tool_choice: no tool is called %.64q", r.choice.name)
		}
	}
	schema, refusal := callSchema(tools, r.choice.name != "", r.severalCalls)
	if refusal == nil {
		r.constraintBy = "tool_choice"
		refusal = r.constrain(grammar.Source{Kind: grammar.JSONSchema, Text: schema})
	}
	if refusal != nil {
		return refusal.of("tool_choice")
	}
	return nil
}

// mostCalls bounds a list of calls.
const mostCalls = 32

// callSchema is the schema of the arguments of the only tool, or that of a list of calls. Definitions of tools' schemas are moved to the root, where
// references look for them.
func callSchema(tools []offered, arguments, several bool) (string, *apiError) {
	definitions := map[string]json.RawMessage{}
	var calls []any
	for _, t := range tools {
		parameters := map[string]json.RawMessage{"type": json.RawMessage(`"object"`)}
		for key, value := range t.Function.Parameters {
			if key != "$defs" {
				parameters[key] = value
				continue
			}
			var defined map[string]json.RawMessage
			if json.Unmarshal(value, &defined) != nil {
				return "", invalid("", "invalid_value", "tool %.64q: $defs must be an object", t.Function.Name)
			}
			for name, definition := range defined {
				if other, twice := definitions[name]; twice && string(other) != string(definition) {
					return "", invalid("", "unsupported_value", "several tools define %.64q in $defs: give the definitions names of their own", name)
				}
				definitions[name] = definition
			}
		}
		if arguments {
			parameters["$defs"] = marshaled(definitions)
			return string(marshaled(parameters)), nil
		}
		calls = append(calls, map[string]any{
			"type": "object", "properties": map[string]any{"name": map[string]any{"const": t.Function.Name}, "parameters": parameters},
			"required": []string{"name", "parameters"}, "additionalProperties": false,
		})
	}
	most := 1
	if several {
		most = mostCalls
	}
	return string(marshaled(map[string]any{"type": "array", "minItems": 1, "maxItems": most, "items": map[string]any{"anyOf": calls}, "$defs": definitions})), nil
}

// marshaled is the JSON of values that have one.
func marshaled(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
