package grammar

import (
	"bytes"
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"llmc/runtime/server/strictjson"
)

// maxWithin is how often schemas with "enum" and other keywords may lie within each other.
const maxWithin = 3

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

// keywordsOf are those that say something about values of a type.
var keywordsOf = map[typeSet][]string{
	typeInteger: {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
	typeString:  {"minLength", "maxLength", "pattern", "format"},
	typeArray:   {"items", "prefixItems", "minItems", "maxItems"},
	typeObject:  {"properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties"},
}

// typed are the expressions of the values of types.
var typed = []struct {
	of   typeSet
	expr func(s *schema, c conjunction, types typeSet) (*expr, error)
}{
	{typeNull, func(*schema, conjunction, typeSet) (*expr, error) { return text("null"), nil }},
	{typeBoolean, func(*schema, conjunction, typeSet) (*expr, error) { return alt(text("true"), text("false")), nil }},
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
		return s.fitting(c, types, values)
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
		if r, ok := new(big.Rat).SetString(string(v)); ok && len(v) < maxBoundText {
			return r.RatString()
		}
	}
	return string(v)
}

// typeOf is the type of a value.
func typeOf(v strictjson.Value) typeSet {
	if v.Kind() == "number" {
		if f, _ := v.Float(); f == float64(int64(f)) {
			return typeInteger
		}
		return typeFraction
	}
	return typeNames[v.Kind()]
}

// fitting is the expression of those of some values that are valid under a conjunction's other keywords.
func (s *schema) fitting(c conjunction, types typeSet, values []strictjson.Value) (*expr, error) {
	var subs []*expr
	rest := map[typeSet]*walker{} // of the other keywords
	for _, v := range values {
		t := typeOf(v)
		if t&types == 0 {
			continue
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, v); err != nil {
			return nil, wrong("", "%.32s: %v", v, err)
		}
		if t == typeFraction {
			t = typeInteger
		}
		if c.has(keywordsOf[t]...) {
			w, err := s.without(c, t, rest)
			if err != nil {
				return nil, err
			}
			if w == nil || !w.read(w.begin(0), respelled(v, compact.Bytes())).leaves {
				continue
			}
		}
		subs = append(subs, text(compact.String()))
	}
	return alt(subs...), nil
}

// respelled is a value as the rules spell it.
func respelled(v strictjson.Value, compact []byte) []byte {
	if s, ok := v.Text(); ok {
		return []byte(`"` + spell(s) + `"`)
	}
	return compact
}

// without is what reads the values of a type under a conjunction but for "enum" and "const"; nil: there are none.
func (s *schema) without(c conjunction, t typeSet, made map[typeSet]*walker) (*walker, error) {
	if w, ok := made[t]; ok {
		return w, nil
	}
	made[t] = nil
	var plain conjunction
	for _, n := range c {
		p := &node{where: n.where + " without enum", keywords: map[string]strictjson.Value{}, props: n.props, patterns: n.patterns}
		for k, v := range n.keywords {
			if k != "enum" && k != "const" {
				p.keywords[k] = v
			}
		}
		plain = append(plain, p)
	}
	if t == typeInteger {
		t = typeNumber
	}
	for _, row := range typed {
		if row.of != t {
			continue
		}
		own := &schema{jsonRules: s.jsonRules, root: s.root, nodes: s.nodes, rules: map[string]*rule{}, within: s.within + 1}
		if own.within > maxWithin {
			return nil, tooLarge("%s: enum beside other keywords, within itself %d times", c[0].where, maxWithin)
		}
		e, err := row.expr(own, plain, everyType)
		if err != nil {
			return nil, err
		}
		if err := own.finish(); err != nil {
			return nil, err
		}
		p, err := link(newWork(), &rule{name: "value", body: e})
		if err == nil {
			made[t&^typeFraction] = newWalker(p, nil)
		}
	}
	return made[t&^typeFraction], nil
}
