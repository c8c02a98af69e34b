package grammar

import (
	"fmt"
	"regexp"
)

// witness is a property that an object must have for a keyword about all of its properties not to hold.
type witness struct {
	of      *node
	keyword string
	pattern string // of patternProperties
	name    *node  // what its name is under; nil: anything
	value   *node  // what its value is under; nil: anything
}

// witness is the schema of the objects that have one.
func (s *schema) witness(w *witness) *node {
	return s.making(fmt.Sprintf("some %d %s %q", w.of.id, w.keyword, w.pattern), typeObject, func(n *node) { n.some = w })
}

// may tells whether a property of a name can be the witness.
func (w *witness) may(s *schema, name string) (bool, error) {
	switch {
	case w.keyword == "patternProperties":
		return matches(w.of, w.pattern, name)
	case w.name != nil:
		return s.holds(w.name, jsonString(name))
	}
	subs, err := w.of.about(name)
	return len(subs) == 1 && subs[0] == w.of.one["additionalProperties"], err
}

// matches tells whether a pattern of names is in a name.
func matches(n *node, pattern, name string) (bool, error) {
	re, err := n.compiled("patternProperties", pattern)
	return err == nil && re.MatchString(name), err
}

// compiled is a regular expression of a schema.
func (n *node) compiled(keyword, source string) (*regexp.Regexp, error) {
	re := n.regexps[source]
	if re == nil {
		var err error
		if re, err = regexp.Compile(codeUnits(source)); err != nil {
			return nil, wrong(n.where, "%s: %v", keyword, err)
		}
		if n.regexps == nil {
			n.regexps = map[string]*regexp.Regexp{}
		}
		n.regexps[source] = re
	}
	return re, nil
}

// about returns what a schema says of a property.
func (n *node) about(name string) ([]*node, error) {
	var all []*node
	if sub := get(n.named["properties"], name); sub != nil {
		all = append(all, sub)
	}
	for _, p := range n.named["patternProperties"] {
		ok, err := matches(n, p.name, name)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, p.of)
		}
	}
	if sub := n.one["additionalProperties"]; sub != nil && len(all) == 0 {
		all = append(all, sub)
	}
	return all, nil
}

// witnessed is what a conjunction comes to in which one property has to be a witness: each of those that are named in turn. ok is false where it has none.
func (s *schema) witnessed(c conjunction, names []string) (list []conjunction, ok bool, err error) {
	for i, n := range c {
		if n.some == nil {
			continue
		}
		for _, name := range names {
			may, err := n.some.may(s, name)
			if err != nil {
				return nil, false, err
			}
			if !may {
				continue
			}
			value := n.some.value
			if value == nil {
				value = s.making("anything", everyType, func(*node) {})
			}
			placed := append(append(conjunction{}, c[:i]...), c[i+1:]...)
			if placed = append(placed, s.having(name, value, true)); !s.impossible(placed) {
				list = append(list, placed)
			}
		}
		return list, true, nil
	}
	return nil, false, nil
}
