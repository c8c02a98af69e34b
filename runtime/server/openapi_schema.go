package server

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// A schema is a JSON Schema (draft 2020-12), as OpenAPI 3.1 has it.
type schema map[string]any

var (
	anything = schema{}
	aFlag    = schema{"type": "boolean"}
	aText    = schema{"type": "string"}
	anObject = schema{"type": "object"}
	// textOrTexts are a text, or several.
	textOrTexts = schema{"anyOf": []schema{aText, {"type": "array", "items": aText, "maxItems": maxDocuments}}}
	tokenID     = schema{"$ref": "#/components/schemas/TokenID"}
)

// integers is an integer from least to most.
func integers(least, most int64) schema {
	return schema{"type": "integer", "minimum": least, "maximum": most}
}

// between is a number from least to most.
func between(least, most float64) schema {
	return schema{"type": "number", "minimum": least, "maximum": most}
}

// aboveZero is a number above 0.
func aboveZero(most float64) schema {
	return schema{"type": "number", "exclusiveMinimum": 0, "maximum": most}
}

// atMost is a text of that many bytes.
func atMost(bytes int) schema { return schema{"type": "string", "maxLength": bytes} }

// list is an array of least to most elements; a most of 0 is no bound.
func list(items schema, least, most int) schema {
	s := schema{"type": "array", "items": items}
	if least > 0 {
		s["minItems"] = least
	}
	if most > 0 {
		s["maxItems"] = most
	}
	return s
}

func oneOf(values ...any) schema { return schema{"enum": values} }

func either(some ...schema) schema { return schema{"anyOf": some} }

// notTaken is a field that the server knows and refuses.
func notTaken(why string) schema {
	return schema{"not": schema{}, "description": "Not supported: " + why}
}

// object is an object of these members and no others. Members that may be left out may be null, which is as if they were not there.
func object(required []string, members map[string]schema) schema {
	properties := map[string]any{}
	for name, member := range members {
		properties[name] = member
		needed := false
		for _, r := range required {
			needed = needed || r == name
		}
		if !needed && len(member) > 0 {
			properties[name] = schema{"anyOf": []schema{member, {"type": "null"}}}
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// tokenNames is a pattern of the ids of a vocabulary as texts: whole numbers below n, without leading zeros.
func tokenNames(n int) string {
	last := strconv.Itoa(n - 1)
	var ways []string
	if len(last) > 1 {
		ways = append(ways, "[0-9]", fmt.Sprintf("[1-9][0-9]{1,%d}", len(last)-2))
		if len(last) == 2 {
			ways = ways[:1]
		}
	}
	for i := range last {
		least := byte('0')
		if i == 0 && len(last) > 1 {
			least = '1'
		}
		if rest := len(last) - i - 1; last[i] > least {
			ways = append(ways, fmt.Sprintf("%s[%c-%c][0-9]{%d}", last[:i], least, last[i]-1, rest))
		}
	}
	return "^(" + strings.Join(append(ways, last), "|") + ")$"
}

// schemaOf is the schema of a Go value's JSON.
func schemaOf(t reflect.Type) schema {
	switch t.Kind() {
	case reflect.Bool:
		return aFlag
	case reflect.String:
		return aText
	case reflect.Float32, reflect.Float64:
		return schema{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return schema{"type": "integer"}
	case reflect.Pointer:
		return either(schemaOf(t.Elem()), schema{"type": "null"})
	case reflect.Slice, reflect.Array: // nil ones are null
		return either(schema{"type": "array", "items": schemaOf(t.Elem())}, schema{"type": "null"})
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		return schemaOfStruct(t)
	}
	return anything
}

func schemaOfStruct(t reflect.Type) schema {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		properties[name] = schemaOf(f.Type)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	return schema{"type": "object", "properties": properties, "required": required}
}

// most32 is the largest of many counts.
const most32 = math.MaxInt32
