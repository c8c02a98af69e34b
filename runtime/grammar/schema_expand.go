package grammar

import (
	"errors"
	"slices"
)

// expansion is what a schema comes to: conjunctions of which one has to hold.
type expansion struct {
	list []conjunction
	err  error
	open bool // it is being made
}

// errOpen is of a search for contradictions that comes to what is being expanded: nobody can tell yet.
var errOpen = errors.New("being expanded")

// expandAll is a list of conjunctions of which one has to hold for all of some schemas to hold.
func (s *schema) expandAll(all []*node) ([]conjunction, error) {
	list := []conjunction{{}}
	for _, n := range all {
		more, err := s.expand(n)
		if err == nil {
			list, err = s.join(list, more)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// expand returns what a schema comes to.
func (s *schema) expand(n *node) ([]conjunction, error) {
	return s.once(&n.expanded, n, s.expandNode)
}

// once makes an expansion that is not there yet.
func (s *schema) once(at **expansion, n *node, make func(n *node) ([]conjunction, error)) ([]conjunction, error) {
	if *at == nil {
		e := &expansion{open: true}
		*at = e
		e.list, e.err = make(n)
		e.open = false
		if errors.Is(e.err, errOpen) {
			*at = nil
			return nil, errOpen
		}
	}
	if (*at).open && s.peeking > 0 {
		return nil, errOpen
	}
	if (*at).open {
		return nil, wrong(n.where, "$ref comes back to the same schema without anything in between")
	}
	return (*at).list, (*at).err
}

func (s *schema) expandNode(n *node) ([]conjunction, error) {
	if n.refuses {
		return nil, nil
	}
	if n.denies != nil {
		return s.deny(n.denies)
	}
	list := []conjunction{{}}
	if n.says() {
		list[0] = conjunction{n}
	}
	for _, combine := range combiners() {
		if n.keywords[combine.keyword] == nil && n.one[combine.keyword] == nil && n.many[combine.keyword] == nil && n.named[combine.keyword] == nil {
			continue
		}
		more, err := combine.expand(s, n)
		if err == nil {
			list, err = s.join(list, more)
		}
		if err != nil {
			return nil, err
		}
	}
	return s.evaluated(n, list)
}

// combiner does a keyword that names other schemas for the same value.
type combiner struct {
	keyword      string
	expand, deny func(s *schema, n *node) ([]conjunction, error)
}

// combiners are these keywords, with what they come to and what their opposite does.
func combiners() []combiner {
	return []combiner{
		{"$ref", reference("$ref", (*schema).expand), reference("$ref", (*schema).deny)},
		{"$dynamicRef", reference("$dynamicRef", (*schema).expand), reference("$dynamicRef", (*schema).deny)},
		{"allOf", (*schema).allOf, func(s *schema, n *node) ([]conjunction, error) { return s.union(n.many["allOf"], (*schema).deny) }},
		{"anyOf", (*schema).anyOf, func(s *schema, n *node) ([]conjunction, error) {
			return s.product(n.many["anyOf"], (*schema).deny)
		}},
		{"oneOf", (*schema).oneOf, (*schema).notOneOf},
		{"not", func(s *schema, n *node) ([]conjunction, error) { return s.deny(n.one["not"]) }, func(s *schema, n *node) ([]conjunction, error) {
			list, err := s.expand(n.one["not"])
			return s.silently(list), err
		}},
		{"if", (*schema).condition, (*schema).notCondition},
		{"dependentSchemas", (*schema).dependentSchemas, (*schema).notDependentSchemas},
		{"dependentRequired", (*schema).dependentRequired, (*schema).notDependentRequired},
	}
}

func reference(keyword string, then func(s *schema, n *node) ([]conjunction, error)) func(s *schema, n *node) ([]conjunction, error) {
	return func(s *schema, n *node) ([]conjunction, error) {
		target, err := s.follow(n, keyword)
		if err != nil {
			return nil, err
		}
		return then(s, target)
	}
}

// union is what one of some schemas comes to.
func (s *schema) union(list []*node, of func(*schema, *node) ([]conjunction, error)) ([]conjunction, error) {
	var out []conjunction
	for _, n := range list {
		more, err := of(s, n)
		if err != nil {
			return nil, err
		}
		if out = append(out, more...); len(out) > maxAlternatives {
			return nil, tooLarge("the schema: more than %d alternatives", maxAlternatives)
		}
	}
	return out, nil
}

// product is what all of some schemas together come to.
func (s *schema) product(list []*node, of func(*schema, *node) ([]conjunction, error)) ([]conjunction, error) {
	out := []conjunction{{}}
	for _, n := range list {
		more, err := of(s, n)
		if err == nil {
			out, err = s.join(out, more)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *schema) allOf(n *node) ([]conjunction, error) {
	return s.product(n.many["allOf"], (*schema).expand)
}

// mostTogether is how many branches of "anyOf" are looked at in all combinations.
const mostTogether = 4

// anyOf is one branch. Where it matters what is evaluated, it is also several at once.
func (s *schema) anyOf(n *node) ([]conjunction, error) {
	branches := n.many["anyOf"]
	out, err := s.union(branches, (*schema).expand)
	if err != nil || !s.evaluates || len(branches) > mostTogether {
		return out, err
	}
	for set := range 1 << len(branches) {
		var some []*node
		for i, b := range branches {
			if set>>i&1 == 1 {
				some = append(some, b)
			}
		}
		if len(some) < 2 {
			continue
		}
		more, err := s.product(some, (*schema).expand)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// oneOf is one branch and none of those that may hold with it.
func (s *schema) oneOf(n *node) ([]conjunction, error) {
	var out []conjunction
	for i, b := range n.many["oneOf"] {
		list, err := s.expand(b)
		if err != nil {
			return nil, err
		}
		for j, other := range n.many["oneOf"] {
			if i == j || len(list) == 0 {
				continue
			}
			both, err := s.expand(other)
			if err == nil {
				both, err = s.join(list, both)
			}
			if err != nil {
				return nil, err
			}
			if len(both) == 0 { // they are apart
				continue
			}
			without, err := s.deny(other)
			if err == nil {
				list, err = s.join(list, without)
			}
			if err != nil {
				return nil, err
			}
		}
		if out = append(out, list...); len(out) > maxAlternatives {
			return nil, tooLarge("the schema: oneOf has more than %d alternatives", maxAlternatives)
		}
	}
	return out, nil
}

// notOneOf is no branch, or two of them.
func (s *schema) notOneOf(n *node) ([]conjunction, error) {
	branches := n.many["oneOf"]
	out, err := s.product(branches, (*schema).deny)
	for i := range branches {
		for j := range i {
			if err != nil {
				return nil, err
			}
			var both []conjunction
			both, err = s.product([]*node{branches[j], branches[i]}, (*schema).expand)
			out = append(out, s.silently(both)...)
		}
	}
	return out, err
}

// condition is "if" with "then", or its opposite with "else".
func (s *schema) condition(n *node) ([]conjunction, error) {
	if n.one["then"] == nil && n.one["else"] == nil && !s.evaluates {
		return []conjunction{{}}, nil
	}
	holds, err := s.expand(n.one["if"])
	if err == nil && n.one["then"] != nil {
		holds, err = s.with(holds, n.one["then"], (*schema).expand)
	}
	if err != nil {
		return nil, err
	}
	fails, err := s.deny(n.one["if"])
	if err == nil && n.one["else"] != nil {
		fails, err = s.with(fails, n.one["else"], (*schema).expand)
	}
	return slices.Concat(holds, fails), err
}

func (s *schema) with(list []conjunction, n *node, of func(*schema, *node) ([]conjunction, error)) ([]conjunction, error) {
	more, err := of(s, n)
	if err != nil {
		return nil, err
	}
	return s.join(list, more)
}

func (s *schema) notCondition(n *node) ([]conjunction, error) {
	var out []conjunction
	if then := n.one["then"]; then != nil {
		list, err := s.expand(n.one["if"])
		if err == nil {
			list, err = s.with(s.silently(list), then, (*schema).deny)
		}
		if err != nil {
			return nil, err
		}
		out = list
	}
	if other := n.one["else"]; other != nil {
		list, err := s.deny(n.one["if"])
		if err == nil {
			list, err = s.with(list, other, (*schema).deny)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// silently says the same without anything becoming evaluated.
func (s *schema) silently(list []conjunction) []conjunction {
	out := make([]conjunction, len(list))
	for i, c := range list {
		for _, n := range c {
			out[i] = append(out[i], s.silence(n))
		}
	}
	return out
}
