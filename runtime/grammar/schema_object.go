package grammar

import "slices"

// object is what the schemas of a conjunction say of objects.
type object struct {
	s           *schema
	c           conjunction
	names       []string // in the order in which they come
	required    map[string]bool
	patterns    []string
	implied     bool // nothing is said of further properties, so there are none
	least, most int  // properties; most < 0: any number
}

// objectOf is the expression of objects.
func (s *schema) objectOf(c conjunction, types typeSet) (*expr, error) {
	o := &object{s: s, c: c, required: map[string]bool{}}
	if err := o.read(); err != nil {
		return nil, err
	}
	list, ok, err := s.witnessed(c, o.names)
	if err != nil {
		return nil, err
	}
	if ok {
		var subs []*expr
		for _, placed := range list {
			subs = append(subs, call(s.ruleOf(placed)))
		}
		return alt(subs...), nil
	}
	var known []*expr
	for _, name := range o.names {
		e, err := o.property(name)
		if err != nil {
			return nil, err
		}
		if len(e.subs) == 0 && o.required[name] {
			return nothing, nil
		}
		known = append(known, e)
	}
	for name := range o.required {
		if !slices.Contains(o.names, name) {
			return nothing, nil
		}
	}
	further, err := o.further()
	if err != nil {
		return nil, err
	}
	g, err := o.graph(known, further)
	if err != nil {
		return nil, err
	}
	return seq(text("{"), s.space, over(g), s.space, text("}")), nil
}

func (o *object) read() (err error) {
	if o.least, o.most, err = o.c.counts("minProperties", "maxProperties"); err != nil {
		return err
	}
	closes, open := false, false // what is said of further properties
	for _, n := range o.c {
		closes = closes || !n.silent && len(n.named["properties"])+len(n.named["patternProperties"]) > 0
		open = open || !n.silent && n.one["additionalProperties"] != nil
	}
	o.implied = closes && !open
	add := func(name string) {
		if !slices.Contains(o.names, name) {
			o.names = append(o.names, name)
		}
	}
	for _, n := range o.c {
		for _, p := range n.named["patternProperties"] {
			if !slices.Contains(o.patterns, p.name) {
				o.patterns = append(o.patterns, p.name)
			}
		}
	}
	for _, n := range o.c {
		for _, p := range n.named["properties"] {
			if ok, err := o.writes(n, p.name); err != nil {
				return err
			} else if ok {
				add(p.name)
			}
		}
	}
	for _, n := range o.c {
		names, err := n.requires()
		if err != nil {
			return err
		}
		for _, name := range names {
			o.required[name] = true
			if ok, err := o.writes(n, name); err != nil {
				return err
			} else if ok {
				add(name)
			}
		}
	}
	if o.implied && o.least > len(o.names) { // more properties have to be there
		o.implied = false
		for _, n := range o.c {
			for _, p := range n.named["properties"] {
				add(p.name)
			}
		}
	}
	return nil
}

// writes tells whether a property that a schema names is one to be written, where others are not: not if it is named only to be without it.
func (o *object) writes(n *node, name string) (bool, error) {
	if !o.implied || !n.silent {
		return true, nil
	}
	for _, other := range o.c {
		for _, p := range other.named["patternProperties"] {
			if ok, err := matches(other, p.name, name); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

// property is the expression of a property that the schemas name: nothing where its name or no value is allowed.
func (o *object) property(name string) (*expr, error) {
	var all []*node
	for _, n := range o.c {
		subs, err := n.about(name)
		if err != nil {
			return nil, err
		}
		all = append(all, subs...)
		if names := n.one["propertyNames"]; names != nil {
			if ok, err := o.s.holds(names, jsonString(name)); !ok || err != nil {
				return nothing, err
			}
		}
	}
	value, err := o.s.value(all)
	if err != nil || len(value.subs) == 0 {
		return nothing, err
	}
	return seq(quoted(text(spell(name))), text(":"), o.s.space, value), nil
}

// mostPatterns is how many patterns names are looked for in that match several of them.
const mostPatterns = 3

// further is the expression of properties that are not named.
func (o *object) further() (*expr, error) {
	var spelledNames []*expr
	for _, name := range o.names {
		spelledNames = append(spelledNames, text(spell(name)))
	}
	named := alt(spelledNames...)
	matching := make([]*expr, len(o.patterns))
	for i, p := range o.patterns {
		e, err := jsonText.read(p, search)
		if err != nil {
			return nil, wrong(o.c[0].where, "patternProperties: %v", err)
		}
		matching[i] = e
	}
	var subs []*expr
	add := func(content *expr, patterns []string) error {
		e, err := o.group(content, patterns)
		subs = append(subs, e)
		return err
	}
	for _, set := range patternSets(len(o.patterns)) { // names that match these patterns and no other
		content := anyContent
		var patterns []string
		for i, e := range matching {
			if slices.Contains(set, i) {
				patterns = append(patterns, o.patterns[i])
				if content == anyContent {
					content = e
				} else {
					content = both(content, e)
				}
			}
		}
		rest := []*expr{named}
		for i, e := range matching {
			if !slices.Contains(set, i) {
				rest = append(rest, e)
			}
		}
		if err := add(but(content, alt(rest...)), patterns); err != nil {
			return nil, err
		}
	}
	if !o.implied {
		content := anyContent
		if len(matching)+len(o.names) > 0 {
			content = but(anyContent, alt(append(matching, named)...))
		}
		if err := add(content, nil); err != nil {
			return nil, err
		}
	}
	return alt(subs...), nil
}

// patternSets lists which of some patterns a name may match: all sets where they are few, else one each.
func patternSets(patterns int) (out [][]int) {
	if patterns > mostPatterns {
		for i := range patterns {
			out = append(out, []int{i})
		}
		return out
	}
	for bits := 1; bits < 1<<patterns; bits++ {
		var set []int
		for i := range patterns {
			if bits>>i&1 == 1 {
				set = append(set, i)
			}
		}
		out = append(out, set)
	}
	return out
}

// group is the expression of properties whose names match some patterns; none: no pattern.
func (o *object) group(content *expr, patterns []string) (*expr, error) {
	var all []*node
	for _, n := range o.c {
		some := false
		for _, p := range n.named["patternProperties"] {
			if slices.Contains(patterns, p.name) {
				all, some = append(all, p.of), true
			}
		}
		if sub := n.one["additionalProperties"]; sub != nil && !some {
			all = append(all, sub)
		}
	}
	value, err := o.s.value(all)
	if err != nil || len(value.subs) == 0 {
		return nothing, err
	}
	if content, err = o.allowed(content); err != nil {
		return nil, err
	}
	key := call(&rule{name: "name", body: quoted(content)})
	return seq(key, text(":"), o.s.space, value), nil
}

// allowed keeps names to "propertyNames".
func (o *object) allowed(content *expr) (*expr, error) {
	var all []*node
	for _, n := range o.c {
		if names := n.one["propertyNames"]; names != nil {
			all = append(all, names)
		}
	}
	if len(all) == 0 {
		return content, nil
	}
	list, err := o.s.expandAll(all)
	if err != nil {
		return nil, err
	}
	var subs []*expr
	for _, c := range list {
		e, err := o.s.nameOf(c)
		if err != nil {
			return nil, err
		}
		subs = append(subs, both(content, e))
	}
	return alt(subs...), nil
}

// nameOf is the expression of the content of strings under a conjunction.
func (s *schema) nameOf(c conjunction) (*expr, error) {
	types, err := c.types()
	if err != nil || types&typeString == 0 {
		return nothing, err
	}
	values, finite, err := c.values()
	if err != nil || !finite {
		e, err2 := s.content(c)
		return e, firstOf(err, err2)
	}
	var subs []*expr
	for _, v := range values {
		ok, err := s.allHold(c, v)
		if err != nil {
			return nil, err
		}
		if name, isText := v.Text(); ok && isText {
			subs = append(subs, text(spell(name)))
		}
	}
	return alt(subs...), nil
}

// graph is the ways through the properties. Node (i, n): names up to i have been passed, and n properties have been written, as far as that is counted.
func (o *object) graph(known []*expr, further *expr) (*graph, error) {
	if o.least > len(o.names)+1 {
		return nil, wrong(o.c[0].where, "minProperties: at most one more than the properties that the schema names is supported in constrained output, since names that it leaves open may be equal")
	}
	counted := max(1, o.least, o.most)
	if len(known)*counted > maxStates {
		return nil, tooLarge("%s: properties times maxProperties", o.c[0].where)
	}
	g := &graph{nodes: (len(known) + 1) * (counted + 1)}
	at := func(i, n int) int { return i*(counted+1) + min(n, counted) }
	limit := counted
	if o.most >= 0 {
		limit = o.most
	}
	for i, e := range known {
		for n := 0; n <= limit; n++ {
			if !o.required[o.names[i]] {
				g.edge(at(i, n), at(i+1, n), empty)
			}
			if e != nothing && (o.most < 0 || n < o.most) {
				g.edge(at(i, n), at(i+1, n+1), o.s.separated(n > 0, e))
			}
		}
	}
	further = call(&rule{name: "further", body: further})
	for n := 0; n <= limit; n++ {
		if n >= o.least {
			g.final = append(g.final, at(len(known), n))
		}
		if n+1 < o.least || o.most >= 0 && n >= o.most {
			continue
		}
		last := at(len(known), n)
		for m := n; o.most < 0 && m == n || m < o.most; m++ {
			next := g.node()
			g.edge(last, next, o.s.separated(m > 0, further))
			g.final = append(g.final, next)
			last = next
		}
		if o.most < 0 {
			g.edge(last, last, o.s.separated(true, further))
		}
	}
	return g, nil
}
