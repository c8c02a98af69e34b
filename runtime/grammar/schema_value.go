package grammar

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"llmc/runtime/server/strictjson"
)

// typeSet is a set of types, a bit for each.
type typeSet uint8

const (
	typeNull typeSet = 1 << iota
	typeBoolean
	typeInteger
	typeFraction // numbers that are no integers
	typeString
	typeArray
	typeObject

	typeNumber = typeInteger | typeFraction
	everyType  = typeObject<<1 - 1
)

var typeNames = map[string]typeSet{
	"null": typeNull, "boolean": typeBoolean, "integer": typeInteger, "number": typeNumber, "string": typeString, "array": typeArray, "object": typeObject,
}

// types are those that all schemas allow.
func (c conjunction) types() (typeSet, error) {
	all := everyType
	for _, n := range c {
		if v := n.keywords["!type"]; v != nil {
			set, _ := v.Int()
			all &= typeSet(set)
		}
		v := n.keywords["type"]
		if v == nil {
			continue
		}
		names := []strictjson.Value{v}
		if list, ok := v.Array(); ok {
			names = list
		}
		own := typeSet(0)
		for _, name := range names {
			s, _ := name.Text()
			if typeNames[s] == 0 {
				return 0, wrong(n.where, "type %.32s is not known", name)
			}
			own |= typeNames[s]
		}
		if string(n.keywords["nullable"]) == "true" {
			own |= typeNull
		}
		all &= own
	}
	return all, nil
}

// typed are the expressions of the values of types.
var typed = []struct {
	of   typeSet
	expr func(s *schema, c conjunction, types typeSet) (*expr, error)
}{
	{typeNull, func(_ *schema, c conjunction, _ typeSet) (*expr, error) { return c.words("null"), nil }},
	{typeBoolean, func(_ *schema, c conjunction, _ typeSet) (*expr, error) { return c.words("true", "false"), nil }},
	{typeNumber, (*schema).numberOf},
	{typeString, (*schema).stringOf},
	{typeArray, (*schema).arrayOf},
	{typeObject, (*schema).objectOf},
}

// body is the expression of the values under a conjunction.
func (s *schema) body(c conjunction) (*expr, error) {
	types, err := c.types()
	if err != nil {
		return nil, err
	}
	values, finite, err := c.values()
	if err != nil {
		return nil, err
	}
	if finite {
		return s.fitting(c, values)
	}
	var subs []*expr
	for _, t := range typed {
		if types&t.of == 0 {
			continue
		}
		e, err := t.expr(s, c, types)
		if err != nil {
			return nil, err
		}
		subs = append(subs, e)
	}
	return alt(subs...), nil
}

// values are those that every "enum" and "const" has; finite tells that there is one.
func (c conjunction) values() (values []strictjson.Value, finite bool, err error) {
	for _, n := range c {
		var lists [][]strictjson.Value
		if v := n.keywords["const"]; v != nil {
			lists = append(lists, []strictjson.Value{v})
		}
		if v := n.keywords["enum"]; v != nil {
			list, ok := v.Array()
			if !ok {
				return nil, false, wrong(n.where, "enum must be an array")
			}
			lists = append(lists, list)
		}
		for _, list := range lists {
			if !finite {
				values, finite = list, true
				continue
			}
			known := map[string]bool{}
			for _, v := range list {
				known[canonical(v)] = true
			}
			values = slices.DeleteFunc(slices.Clone(values), func(v strictjson.Value) bool { return !known[canonical(v)] })
		}
	}
	return values, finite, nil
}

// canonical is a text that equal values have in common.
func canonical(v strictjson.Value) string {
	if list, ok := v.Array(); ok {
		var parts []string
		for _, e := range list {
			parts = append(parts, canonical(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	if members, ok := v.Object(); ok {
		var parts []string
		for _, m := range members {
			parts = append(parts, strconv.Quote(m.Key)+":"+canonical(m.Value))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	}
	if s, ok := v.Text(); ok {
		return strconv.Quote(s)
	}
	if v.Kind() == "number" {
		if r := exact(v); r != nil {
			return r.RatString()
		}
	}
	return string(v)
}

// typeOf is the type of a value.
func typeOf(v strictjson.Value) typeSet {
	if v.Kind() == "number" {
		if r := exact(v); r != nil && !r.IsInt() {
			return typeFraction
		}
		return typeInteger
	}
	return typeNames[v.Kind()]
}

// words are those of a list that are not excluded.
func (c conjunction) words(list ...string) *expr {
	var subs []*expr
	out := c.excluded()
	for _, word := range list {
		if out[word] == nil {
			subs = append(subs, text(word))
		}
	}
	return alt(subs...)
}

// excluded are the values that must not be, none of them an object or an array, by their canonical text.
func (c conjunction) excluded() map[string]strictjson.Value {
	out := map[string]strictjson.Value{}
	for _, n := range c {
		list, _ := n.keywords["!enum"].Array()
		for _, v := range list {
			out[canonical(v)] = v
		}
	}
	return out
}

// without takes what spelled says of the excluded values out of an expression.
func (c conjunction) without(e *expr, spelled func(v strictjson.Value) *expr) *expr {
	values := c.excluded()
	var none []*expr
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if sub := spelled(values[key]); sub != nil {
			none = append(none, sub)
		}
	}
	if len(none) == 0 {
		return e
	}
	return but(e, alt(none...))
}

// fitting is the expression of those of some values that are valid under a conjunction's other keywords.
func (s *schema) fitting(c conjunction, values []strictjson.Value) (*expr, error) {
	var subs []*expr
	for _, v := range values {
		ok, err := s.allHold(c, v)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		subs = append(subs, text(compactText(v)))
		if whole := wholeText(v); whole != "" {
			subs = append(subs, text(whole))
		}
	}
	return alt(subs...), nil
}

// wholeText is a whole number as models write it, whose schema has it with a fraction or an exponent; "": it is none, or a large one. It is not done the other way round: who reads
// an integer may not take 1.0.
func wholeText(v strictjson.Value) string {
	if v.Kind() != "number" || !strings.ContainsAny(string(v), ".eE") {
		return ""
	}
	r := exact(v)
	if r == nil || !r.IsInt() || len(r.Num().String()) > mostInteger {
		return ""
	}
	return r.Num().String()
}

// compactText is a value without white space.
func compactText(v strictjson.Value) string {
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return string(v) // it has been checked: never
	}
	return b.String()
}
