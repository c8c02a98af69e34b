package grammar

import (
	"fmt"
	"strings"
)

// evaluated turns "unevaluatedProperties" and "unevaluatedItems" into "additionalProperties" and "items": what a schema's own keywords and those of schemas for the same value look at is
// known in each conjunction that it comes to. Where more than a conjunction says holds, more is evaluated, and what is said of the rest only matters less.
func (s *schema) evaluated(n *node, list []conjunction) ([]conjunction, error) {
	properties, items := n.one["unevaluatedProperties"], n.one["unevaluatedItems"]
	if properties == nil && items == nil {
		return list, nil
	}
	var out []conjunction
	for _, c := range list {
		var rest conjunction
		if properties != nil && !c.evaluates("additionalProperties") {
			rest = append(rest, s.furtherThan(c, properties))
		}
		if items != nil && !c.evaluates("items") {
			rest = append(rest, s.behind(c, items))
		}
		all := append(append(conjunction{}, c...), rest...)
		if !s.impossible(all) {
			out = append(out, all)
		}
	}
	return out, nil
}

// evaluates tells whether a keyword looks at all that is left.
func (c conjunction) evaluates(keyword string) bool {
	for _, n := range c {
		if !n.silent && n.one[keyword] != nil {
			return true
		}
	}
	return false
}

// furtherThan is the schema of properties that no schema of a conjunction looks at.
func (s *schema) furtherThan(c conjunction, sub *node) *node {
	names := map[string][]property{}
	var described strings.Builder
	anything := s.making("anything", everyType, func(*node) {})
	for _, keyword := range []string{"properties", "patternProperties"} {
		for _, n := range c {
			for _, p := range n.named[keyword] {
				if !n.silent && get(names[keyword], p.name) == nil {
					names[keyword] = append(names[keyword], property{p.name, anything})
					fmt.Fprintf(&described, "%s %q", keyword, p.name)
				}
			}
		}
	}
	made := s.making(fmt.Sprintf("further than %s: %d", &described, sub.id), everyType, func(n *node) {
		n.named = names
		n.one["additionalProperties"] = sub
	})
	return s.spoken(made)
}

// spoken is a schema that was made, whose keywords count for those around it.
func (s *schema) spoken(n *node) *node {
	return s.making(fmt.Sprintf("spoken %d", n.id), everyType, func(made *node) {
		id := made.id
		*made = *n
		made.id, made.silent = id, false
	})
}

// behind is the schema of items that no schema of a conjunction looks at: behind all prefixes, and not what "contains" looks for.
func (s *schema) behind(c conjunction, sub *node) *node {
	prefix := 0
	allowed := []*node{sub}
	for _, n := range c {
		if n.silent {
			continue
		}
		prefix = max(prefix, len(n.many["prefixItems"]))
		if found := n.one["contains"]; found != nil {
			allowed = append(allowed, found)
		}
	}
	var described strings.Builder
	for _, n := range allowed {
		fmt.Fprintf(&described, "%d,", n.id)
	}
	made := s.making(fmt.Sprintf("behind %d: %s", prefix, &described), everyType, func(n *node) {
		for range prefix {
			n.many["prefixItems"] = append(n.many["prefixItems"], s.making("anything", everyType, func(*node) {}))
		}
		n.one["items"] = sub
		if len(allowed) > 1 {
			n.one["items"] = s.making("one of "+described.String(), everyType, func(n *node) { n.many["anyOf"] = allowed })
		}
	})
	return s.spoken(made)
}
