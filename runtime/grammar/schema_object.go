package grammar

import (
	"regexp"
	"slices"
	"strings"

	"llmc/runtime/server/strictjson"
)

// object is what the schemas of a conjunction say of objects.
type object struct {
	s           *schema
	c           conjunction
	names       []string // in the order in which they come
	required    map[string]bool
	patterns    []string
	least, most int // properties; most < 0: any number
}

// objectOf is the expression of objects.
func (s *schema) objectOf(c conjunction, _ typeSet) (*expr, error) {
	o := &object{s: s, c: c, required: map[string]bool{}}
	if err := o.read(); err != nil {
		return nil, err
	}
	var known []*expr
	for _, name := range o.names {
		e, err := o.property(name)
		if err != nil {
			return nil, err
		}
		known = append(known, e)
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
	for _, n := range o.c {
		for _, m := range n.props {
			if !slices.Contains(o.names, m.Key) {
				o.names = append(o.names, m.Key)
			}
		}
		for _, m := range n.patterns {
			if !slices.Contains(o.patterns, m.Key) {
				o.patterns = append(o.patterns, m.Key)
			}
		}
	}
	for _, n := range o.c {
		v := n.keywords["required"]
		if v == nil {
			continue
		}
		list, ok := v.Array()
		if !ok {
			return wrong(n.where, "required must be an array of names")
		}
		for _, e := range list {
			name, ok := e.Text()
			if !ok {
				return wrong(n.where, "required must be an array of names")
			}
			if o.required[name] = true; !slices.Contains(o.names, name) {
				o.names = append(o.names, name)
			}
		}
	}
	return nil
}

// property is the expression of a property that the schemas name: nothing where its name is not allowed.
func (o *object) property(name string) (*expr, error) {
	var all []*node
	for _, n := range o.c {
		subs, err := o.of(n, func(m strictjson.Member) bool { return m.Key == name }, func(p string) (bool, error) {
			re, err := regexp.Compile(codeUnits(p))
			if err != nil {
				return false, wrong(n.where, "patternProperties: %v", err)
			}
			return re.MatchString(name), nil
		})
		if err != nil {
			return nil, err
		}
		all = append(all, subs...)
	}
	value, err := o.s.value(all)
	if err != nil {
		return nil, err
	}
	key, err := o.named(text(spell(name)))
	if err != nil {
		return nil, err
	}
	return seq(quoted(key), text(":"), o.s.space, value), nil
}

// of returns what a schema says of a property.
func (o *object) of(n *node, named func(strictjson.Member) bool, matched func(pattern string) (bool, error)) ([]*node, error) {
	var all []*node
	add := func(where string, v strictjson.Value) error {
		sub, err := o.s.at(where, v)
		all = append(all, sub)
		return err
	}
	for _, m := range n.props {
		if named(m) {
			if err := add(n.where+"/properties/"+pointer(m.Key), m.Value); err != nil {
				return nil, err
			}
		}
	}
	for _, m := range n.patterns {
		ok, err := matched(m.Key)
		if err == nil && ok {
			err = add(n.where+"/patternProperties/"+pointer(m.Key), m.Value)
		}
		if err != nil {
			return nil, err
		}
	}
	if v := n.keywords["additionalProperties"]; v != nil && len(all) == 0 {
		if err := add(n.where+"/additionalProperties", v); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// pointer is a name as a step of a JSON pointer.
func pointer(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

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
	add := func(content *expr, pattern string) error {
		e, err := o.group(content, pattern)
		subs = append(subs, e)
		return err
	}
	for i, p := range o.patterns { // names that match one pattern and no other
		content := but(matching[i], named)
		for j, other := range matching {
			if j != i {
				content = but(content, other)
			}
		}
		if err := add(content, p); err != nil {
			return nil, err
		}
	}
	if !o.closed() {
		if err := add(but(anyContent, alt(append(matching, named)...)), ""); err != nil {
			return nil, err
		}
	}
	return alt(subs...), nil
}

// closed tells whether only names that are named or match a pattern are written: where others are not allowed, and where nothing is said of them.
func (o *object) closed() bool {
	return slices.ContainsFunc(o.c, func(n *node) bool {
		v := n.keywords["additionalProperties"]
		return string(v) == "false" || v == nil && (len(n.props) > 0 || len(n.patterns) > 0)
	}) && o.least <= len(o.names)
}

// group is the expression of properties that match one pattern; "": none.
func (o *object) group(content *expr, pattern string) (*expr, error) {
	var all []*node
	for _, n := range o.c {
		subs, err := o.of(n, func(strictjson.Member) bool { return false }, func(p string) (bool, error) { return p == pattern, nil })
		if err != nil {
			return nil, err
		}
		all = append(all, subs...)
	}
	value, err := o.s.value(all)
	if err != nil {
		return nil, err
	}
	if content, err = o.named(content); err != nil {
		return nil, err
	}
	key := call(&rule{name: "name", body: quoted(content)})
	return seq(key, text(":"), o.s.space, value), nil
}

// named keeps names to "propertyNames".
func (o *object) named(content *expr) (*expr, error) {
	var all []*node
	for _, n := range o.c {
		v := n.keywords["propertyNames"]
		if v == nil {
			continue
		}
		sub, err := o.s.at(n.where+"/propertyNames", v)
		if err != nil {
			return nil, err
		}
		all = append(all, sub)
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
	e, err := s.content(c)
	if err != nil {
		return nil, err
	}
	values, finite, err := c.values()
	if err != nil || !finite {
		return e, err
	}
	var subs []*expr
	for _, v := range values {
		if name, ok := v.Text(); ok {
			subs = append(subs, text(spell(name)))
		}
	}
	return both(e, alt(subs...)), nil
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
			if o.most < 0 || n < o.most {
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
