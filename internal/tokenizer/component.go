package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// component is one normalizer, pre-tokenizer, post-processor or decoder of the file.
type component struct {
	kind   string // "type" in the file
	params json.RawMessage
}

// present reports whether a section of the file is there and not null.
func present(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && string(raw) != "null"
}

// components flattens a section: a Sequence, whose parts are under key, gives those parts in order.
func components(section json.RawMessage, key string) ([]component, error) {
	var list []component
	var visit func(raw json.RawMessage, depth int) error
	visit = func(raw json.RawMessage, depth int) error {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return errors.New("not an object")
		}
		var kind string
		if err := json.Unmarshal(fields["type"], &kind); err != nil {
			return errors.New("type is missing")
		}
		if kind != "Sequence" {
			list = append(list, component{kind, raw})
			if len(list) > maxComponents {
				return fmt.Errorf("more than %d parts", maxComponents)
			}
			return nil
		}
		if depth == maxNesting {
			return fmt.Errorf("sequences nested more than %d deep", maxNesting)
		}
		var parts []json.RawMessage
		if err := json.Unmarshal(fields[key], &parts); err != nil {
			return fmt.Errorf("a Sequence has no %s", key)
		}
		for _, part := range parts {
			if err := visit(part, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if !present(section) {
		return nil, nil
	}
	return list, visit(section, 0)
}

// maker builds the steps of one kind of component.
type maker[T any] struct {
	kind string
	make func(c component) ([]T, error)
}

// build makes the steps of a section of the file.
func build[T any](section json.RawMessage, name, key string, makers []maker[T]) ([]T, error) {
	list, err := components(section, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var steps []T
	for _, c := range list {
		made, err := makeOne(c, makers)
		if err != nil {
			return nil, fmt.Errorf("%s %.40s: %w", name, c.kind, err)
		}
		steps = append(steps, made...)
	}
	return steps, nil
}

func makeOne[T any](c component, makers []maker[T]) ([]T, error) {
	for _, m := range makers {
		if m.kind == c.kind {
			return m.make(c)
		}
	}
	return nil, errors.New("unknown type")
}

// fixed is the maker of a component without parameters.
func fixed[T any](kind string, steps ...T) maker[T] {
	return maker[T]{kind, func(component) ([]T, error) { return steps, nil }}
}

// with reads the parameters of a component into P and passes them on.
func with[T, P any](kind string, make func(P) ([]T, error)) maker[T] {
	return maker[T]{kind, func(c component) ([]T, error) {
		var params P
		if err := json.Unmarshal(c.params, &params); err != nil {
			return nil, shortError(err)
		}
		return make(params)
	}}
}

// jsonKinds words what encoding/json calls the kinds of values.
var jsonKinds = map[string]string{
	"array": "an array", "object": "an object", "string": "a string", "number": "a number", "bool": "true or false",
}

// shortError words the errors of encoding/json for a reader of the file.
func shortError(err error) error {
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return fmt.Errorf("field %q must not be %s", mistyped.Field, jsonKinds[mistyped.Value])
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("byte %d: %w", syntax.Offset, err)
	}
	return err
}

// character is a string of exactly one character.
type character rune

func (c *character) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 || size != len(s) {
		return fmt.Errorf("%.40q is not one character", s)
	}
	*c = character(r)
	return nil
}
