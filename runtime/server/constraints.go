package server

import (
	"llmc/runtime/grammar"
	"llmc/runtime/server/strictjson"
)

// maxGrammarChoices is how many choices a list may have.
const maxGrammarChoices = 1 << 14

// constrain notes what the output has to keep to; more than one such thing is refused.
func (r *request) constrain(s grammar.Source) *apiError {
	if r.constraint.Kind != grammar.None {
		return invalid("", "invalid_value", "the output is constrained by another field already")
	}
	r.constraint = s
	return nil
}

// constraint is the rule of a field that constrains the output.
func constraint(read func(v strictjson.Value) (grammar.Source, *apiError)) rule {
	return func(r *request, v strictjson.Value) *apiError {
		s, err := read(v)
		if err != nil {
			return err
		}
		return r.constrain(s)
	}
}

// readSchema takes a JSON schema, as an object or as its text.
func readSchema(v strictjson.Value) (grammar.Source, *apiError) {
	s := grammar.Source{Kind: grammar.JSONSchema, Text: string(v)}
	if text, ok := v.Text(); ok {
		s.Text = text
	} else if kind := v.Kind(); kind != "object" && kind != "boolean" {
		return s, wrongType(v, "a JSON schema")
	}
	return s, nil
}

func readRegex(v strictjson.Value) (grammar.Source, *apiError) {
	text, ok := v.Text()
	if !ok {
		return grammar.Source{}, wrongType(v, "a string")
	}
	return grammar.Source{Kind: grammar.Regex, Text: text}, nil
}

func readGrammar(v strictjson.Value) (grammar.Source, *apiError) {
	text, ok := v.Text()
	if !ok {
		return grammar.Source{}, wrongType(v, "a string")
	}
	return grammar.Source{Kind: grammar.EBNF, Text: text}, nil
}

func readChoices(v strictjson.Value) (grammar.Source, *apiError) {
	s := grammar.Source{Kind: grammar.Choice}
	list, ok := v.Array()
	if !ok {
		return s, wrongType(v, "an array of strings")
	}
	if len(list) > maxGrammarChoices {
		return s, invalid("", "array_above_max_length", "must have at most %d elements", maxGrammarChoices)
	}
	for _, e := range list {
		text, ok := e.Text()
		if !ok {
			return s, wrongType(e, "a string")
		}
		s.Choices = append(s.Choices, text)
	}
	return s, nil
}

func readAnyObject(v strictjson.Value) (grammar.Source, *apiError) {
	on, ok := v.Bool()
	if !ok {
		return grammar.Source{}, wrongType(v, "a boolean")
	}
	if !on {
		return grammar.Source{}, invalid("", "invalid_value", "must be true where it is given")
	}
	return grammar.Source{Kind: grammar.JSONObject}, nil
}

// structuredOutputs are the keys of vLLM's structured_outputs that say what the output has to keep to.
var structuredOutputs = map[string]func(strictjson.Value) (grammar.Source, *apiError){
	"json": readSchema, "regex": readRegex, "choice": readChoices, "grammar": readGrammar, "json_object": readAnyObject,
}

func readStructuredOutputs(r *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object")
	}
	compact := false
	for _, m := range members {
		read := structuredOutputs[m.Key]
		var err *apiError
		switch {
		case m.Value.IsNull():
		case read != nil:
			err = constraint(read)(r, m.Value)
		case m.Key == "disable_any_whitespace":
			if compact, ok = m.Value.Bool(); !ok {
				err = wrongType(m.Value, "a boolean")
			}
		default:
			err = invalid("", "unsupported_parameter", "the key is not supported; json, regex, choice, grammar, json_object and disable_any_whitespace are")
		}
		if err != nil {
			return err.of(m.Key)
		}
	}
	r.constraint.Compact = compact
	if r.constraint.Kind == grammar.None {
		return invalid("", "invalid_value", "says nothing: give json, regex, choice, grammar or json_object")
	}
	return nil
}

func readResponseFormat(r *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object")
	}
	kind, schema := "", strictjson.Value(nil)
	for _, m := range members {
		switch m.Key {
		case "type":
			kind, _ = m.Value.Text()
		case "json_schema":
			schema = m.Value
		}
	}
	switch {
	case kind == "text":
		return nil
	case kind == "json_object":
		return r.constrain(grammar.Source{Kind: grammar.JSONObject})
	case kind != "json_schema":
		return invalid("", "unsupported_value", "type %.32q: text, json_object and json_schema are supported", kind)
	case schema == nil:
		return invalid("", "invalid_value", "type json_schema needs the key json_schema")
	}
	return readNamedSchema(r, schema)
}

// readNamedSchema reads OpenAI's object around a schema: name, description and strict change nothing, since output is always kept to the schema.
func readNamedSchema(r *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object").of("json_schema")
	}
	for _, m := range members {
		switch m.Key {
		case "schema":
			s, err := readSchema(m.Value)
			if err == nil {
				err = r.constrain(s)
			}
			return err
		case "name", "description", "strict":
		default:
			return invalid("", "unknown_parameter", "json_schema: unknown key %.64q", m.Key)
		}
	}
	return r.constrain(grammar.Source{Kind: grammar.JSONObject}) // "schema" may be left out
}

// compile makes the grammar of the request.
func (r *request) compile() error {
	if r.constraint.Kind == grammar.None {
		return nil
	}
	if r.model.Grammars == nil {
		return invalid(r.constraintBy, "unsupported_parameter", r.constraintBy+": the output of model %.200q can not be constrained: its tokens are not pieces of text", r.model.Name)
	}
	g, err := r.model.Grammars.Compile(r.constraint)
	if err != nil {
		return invalid(r.constraintBy, "invalid_grammar", "%s: the output can not be constrained: %v", r.constraintBy, err)
	}
	r.base.Grammar = g
	return nil
}
