package grammar

import (
	"fmt"
	"strings"

	"llmc/runtime/server/strictjson"
)

// deny returns what a schema's opposite comes to: one of its keywords does not hold (De Morgan). What can not be written of that is left out: less is written then.
func (s *schema) deny(n *node) ([]conjunction, error) {
	return s.once(&n.denied, n, s.denyNode)
}

func (s *schema) denyNode(n *node) ([]conjunction, error) {
	if n.refuses {
		return []conjunction{{}}, nil
	}
	if n.denies != nil {
		list, err := s.expand(n.denies)
		return s.silently(list), err
	}
	if n.one["unevaluatedProperties"] != nil || n.one["unevaluatedItems"] != nil {
		return nil, wrong(n.where, "unevaluatedProperties and unevaluatedItems are not supported in constrained output where a schema must not hold: in not, in if, or in a branch of oneOf that others are not apart from")
	}
	var out []conjunction
	for _, row := range denials() {
		if !(conjunction{n}).has(row.keyword) {
			continue
		}
		all, err := row.deny(s, n)
		if err != nil {
			return nil, err
		}
		for _, made := range all {
			if !made.refuses && !s.impossible(conjunction{made}) {
				out = append(out, conjunction{made})
			}
		}
	}
	if n.some != nil {
		s.leaveOut(n, "not")
	}
	if n.keywords["enum"] != nil || n.keywords["const"] != nil {
		list, err := s.denyValues(n)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	for _, combine := range combiners() {
		if !(conjunction{n}).has(combine.keyword) {
			continue
		}
		more, err := combine.deny(s, n)
		if err != nil {
			return nil, err
		}
		if out = append(out, more...); len(out) > maxAlternatives {
			return nil, tooLarge("the schema: not comes to more than %d alternatives", maxAlternatives)
		}
	}
	return out, nil
}

// leaveOut notes what can not be written.
func (s *schema) leaveOut(n *node, what string) {
	if s.dropped == "" {
		s.dropped = n.where + ": " + what
	}
}

// scalar makes a schema of one keyword for values of types.
func (s *schema) scalar(types typeSet, keyword string, v strictjson.Value) *node {
	return s.making(fmt.Sprintf("%d %s %s", types, keyword, v), types, func(n *node) { n.keywords[keyword] = v })
}

// denial is how what a keyword says does not hold: under one of the schemas returned.
type denial struct {
	keyword string
	deny    func(s *schema, n *node) ([]*node, error)
}

// turned is the keyword that says the opposite, of the same value.
func turned(types typeSet, keyword, opposite string) denial {
	return denial{keyword, func(s *schema, n *node) ([]*node, error) {
		return []*node{s.scalar(types, opposite, n.keywords[keyword])}, nil
	}}
}

// counted is the opposite of a keyword that counts: the other bound, one further.
func counted(types typeSet, keyword, opposite string, by int) denial {
	return denial{keyword, func(s *schema, n *node) ([]*node, error) {
		k, _, err := n.count(keyword)
		if err != nil || k+by < 0 || by > 0 && k+by > maxRepeat { // longer ones are not written
			return nil, err
		}
		return []*node{s.scalar(types, opposite, number(k+by))}, nil
	}}
}

func denials() []denial {
	return []denial{
		{"type", (*schema).denyType}, {"!type", (*schema).denyType},
		turned(typeNumber, "minimum", "exclusiveMaximum"), turned(typeNumber, "exclusiveMinimum", "maximum"),
		turned(typeNumber, "maximum", "exclusiveMinimum"), turned(typeNumber, "exclusiveMaximum", "minimum"),
		turned(typeNumber, "multipleOf", "!multipleOf"), turned(typeNumber, "!multipleOf", "multipleOf"),
		turned(typeString, "pattern", "!pattern"), turned(typeString, "!pattern", "pattern"),
		{"!enum", func(s *schema, n *node) ([]*node, error) {
			return []*node{s.scalar(everyType, "enum", n.keywords["!enum"])}, nil
		}},
		// "format" says nothing unless a validator wants it to: what is not valid either way is not written.
		counted(typeString, "minLength", "maxLength", -1), counted(typeString, "maxLength", "minLength", 1),
		counted(typeArray, "minItems", "maxItems", -1), counted(typeArray, "maxItems", "minItems", 1),
		counted(typeObject, "minProperties", "maxProperties", -1), counted(typeObject, "maxProperties", "minProperties", 1),
		{"uniqueItems", func(s *schema, n *node) ([]*node, error) {
			if string(n.keywords["uniqueItems"]) == "true" {
				s.leaveOut(n, "arrays that have an item twice, which not asks for")
			}
			return nil, nil
		}},
		{"items", (*schema).denyItems}, {"prefixItems", (*schema).denyPrefix}, {"contains", (*schema).denyContains},
		{"properties", (*schema).denyProperties}, {"required", (*schema).denyRequired},
		{"patternProperties", (*schema).denyPatterns}, {"additionalProperties", (*schema).denyFurther}, {"propertyNames", (*schema).denyNames},
	}
}

func (s *schema) denyType(n *node) ([]*node, error) {
	types, err := conjunction{n}.types()
	if err != nil || types == everyType {
		return nil, err
	}
	other := everyType &^ types
	return []*node{s.making(fmt.Sprintf("%d", other), other, func(*node) {})}, nil
}

// denyValues is what is none of the values of "enum" and "const".
func (s *schema) denyValues(n *node) ([]conjunction, error) {
	values, _, err := conjunction{n}.values()
	if err != nil {
		return nil, err
	}
	var scalars []string
	out := []conjunction{{}}
	for _, v := range values {
		if k := v.Kind(); k != "object" && k != "array" {
			scalars = append(scalars, string(v))
			continue
		}
		out, err = s.with(out, s.like(v, 0), (*schema).deny)
		if err != nil {
			return nil, err
		}
	}
	if len(scalars) == 0 {
		return out, nil
	}
	return s.join([]conjunction{{s.scalar(everyType, "!enum", strictjson.Value("["+strings.Join(scalars, ",")+"]"))}}, out)
}

// like is the schema of a value, said by its parts.
func (s *schema) like(v strictjson.Value, depth int) *node {
	list, isArray := v.Array()
	members, isObject := v.Object()
	if depth > maxNesting || !isArray && !isObject {
		return s.scalar(everyType, "enum", strictjson.Value("["+string(v)+"]"))
	}
	if isArray {
		return s.making("like "+string(v), typeArray, func(n *node) {
			n.keywords["minItems"], n.keywords["maxItems"] = number(len(list)), number(len(list))
			for _, e := range list {
				n.many["prefixItems"] = append(n.many["prefixItems"], s.like(e, depth+1))
			}
		})
	}
	return s.making("like "+string(v), typeObject, func(n *node) {
		n.keywords["maxProperties"] = number(len(members))
		var names []string
		for _, m := range members {
			names = append(names, quotedJSON(m.Key))
			n.named["properties"] = append(n.named["properties"], property{m.Key, s.like(m.Value, depth+1)})
		}
		n.keywords["required"] = strictjson.Value("[" + strings.Join(names, ",") + "]")
	})
}

func (s *schema) denyItems(n *node) ([]*node, error) {
	from := len(n.many["prefixItems"])
	sub := s.not(n.one["items"])
	return []*node{s.making(fmt.Sprintf("contains %d from %d", sub.id, from), typeArray, func(made *node) {
		made.one["contains"] = sub
		made.keywords["!from"] = number(from)
	})}, nil
}

func (s *schema) denyPrefix(n *node) ([]*node, error) {
	var out []*node
	for i, sub := range n.many["prefixItems"] {
		sub = s.not(sub)
		out = append(out, s.making(fmt.Sprintf("item %d is %d", i, sub.id), typeArray, func(made *node) {
			made.keywords["minItems"] = number(i + 1)
			for range i {
				made.many["prefixItems"] = append(made.many["prefixItems"], s.making("anything", everyType, func(*node) {}))
			}
			made.many["prefixItems"] = append(made.many["prefixItems"], sub)
		}))
	}
	return out, nil
}

func (s *schema) denyContains(n *node) ([]*node, error) {
	c, err := n.counting()
	if err != nil {
		return nil, err
	}
	sub := n.one["contains"]
	var out []*node
	between := func(least, most int) {
		out = append(out, s.making(fmt.Sprintf("contains %d from %d, %d to %d", sub.id, c.from, least, most), typeArray, func(made *node) {
			made.one["contains"] = sub
			made.keywords["!from"], made.keywords["minContains"] = number(c.from), number(least)
			if most >= 0 {
				made.keywords["maxContains"] = number(most)
			}
		}))
	}
	if c.least > 0 {
		between(0, c.least-1)
	}
	if c.most >= 0 && c.most < maxRepeat {
		between(c.most+1, -1)
	}
	return out, nil
}

// having makes the schema of objects that have a property under a schema.
func (s *schema) having(name string, sub *node, required bool) *node {
	return s.making(fmt.Sprintf("%q is %d, %v", name, sub.id, required), typeObject, func(made *node) {
		made.named["properties"] = []property{{name, sub}}
		if required {
			made.keywords["required"] = strictjson.Value("[" + quotedJSON(name) + "]")
		}
	})
}

func (s *schema) denyProperties(n *node) ([]*node, error) {
	var out []*node
	for _, p := range n.named["properties"] {
		if p.of.says() || p.of.refuses || p.of.denies != nil {
			out = append(out, s.having(p.name, s.not(p.of), true))
		}
	}
	return out, nil
}

func (s *schema) denyRequired(n *node) ([]*node, error) {
	names, err := n.requires()
	var out []*node
	for _, name := range names {
		out = append(out, s.having(name, s.refused(), false))
	}
	return out, err
}

func (s *schema) denyPatterns(n *node) ([]*node, error) {
	var out []*node
	for _, p := range n.named["patternProperties"] {
		out = append(out, s.witness(&witness{of: n, keyword: "patternProperties", pattern: p.name, value: s.not(p.of)}))
	}
	return out, nil
}

func (s *schema) denyFurther(n *node) ([]*node, error) {
	return []*node{s.witness(&witness{of: n, keyword: "additionalProperties", value: s.not(n.one["additionalProperties"])})}, nil
}

func (s *schema) denyNames(n *node) ([]*node, error) {
	return []*node{s.witness(&witness{of: n, keyword: "propertyNames", name: s.not(n.one["propertyNames"])})}, nil
}
