package grammar

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"llmc/runtime/server/strictjson"
)

// resource is a schema with an address of its own: the whole, and each that has "$id". References in it are relative to that.
type resource struct {
	number  int
	base    *url.URL
	root    spot
	anchors map[string]spot
	dynamic []string // names of those anchors that are dynamic
}

// spot is a place in the schema.
type spot struct {
	where string
	v     strictjson.Value
	in    *resource
}

// scope is which resources came first on the way to a schema, of those that have dynamic anchors: what "$dynamicRef" depends on. (JSON Schema Core, draft 2020-12, 7.1 and 8.2.3.2.)
type scope struct {
	first map[string]*resource
	key   string
}

// enter is the scope within a resource.
func (s *schema) enter(sc *scope, r *resource) *scope {
	if r == nil || !slices.ContainsFunc(r.dynamic, func(name string) bool { return sc.first[name] == nil }) {
		return sc
	}
	key := sc.key + strconv.Itoa(r.number) + ","
	next := s.scopes[key]
	if next == nil {
		next = &scope{map[string]*resource{}, key}
		for name, other := range sc.first {
			next.first[name] = other
		}
		for _, name := range r.dynamic {
			if next.first[name] == nil {
				next.first[name] = r
			}
		}
		s.scopes[key] = next
	}
	return next
}

// index finds the resources and anchors of a schema and of those in it.
func (s *schema) index(p spot) error {
	members, ok := p.v.Object()
	if !ok {
		return nil
	}
	for _, m := range members {
		id, isText := m.Value.Text()
		if isText && (m.Key == "$id" || m.Key == "id") && !strings.HasPrefix(id, "#") {
			base, err := p.in.base.Parse(strings.TrimSuffix(id, "#"))
			if err != nil {
				return wrong(p.where, "%s %.64q is no address", m.Key, id)
			}
			if base.Fragment == "" { // else an anchor as old drafts have it
				p.in = s.resource(base, p)
			}
		}
	}
	for _, m := range members {
		name, isText := m.Value.Text()
		switch {
		case !isText:
		case m.Key == "$anchor":
			p.in.anchors[name] = p
		case m.Key == "$dynamicAnchor":
			p.in.anchors[name] = p
			p.in.dynamic = append(p.in.dynamic, name)
		case m.Key == "$id" && strings.HasPrefix(name, "#"):
			p.in.anchors[name[1:]] = p
		}
	}
	for _, m := range modern(members) {
		if err := s.indexKeyword(p, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) indexKeyword(p spot, m strictjson.Member) error {
	at := p.where + "/" + m.Key
	what := keywords[m.Key]
	if m.Key == "$defs" || m.Key == "definitions" {
		what = asNamed
	}
	if m.Key == "unevaluatedProperties" || m.Key == "unevaluatedItems" {
		s.evaluates = true
	}
	switch what {
	case asSchema:
		return s.index(spot{at, m.Value, p.in})
	case asList:
		list, _ := m.Value.Array()
		for i, v := range list {
			if err := s.index(spot{at + "/" + strconv.Itoa(i), v, p.in}); err != nil {
				return err
			}
		}
	case asNamed:
		list, _ := m.Value.Object()
		for _, sub := range list {
			if err := s.index(spot{at + "/" + pointer(sub.Key), sub.Value, p.in}); err != nil {
				return err
			}
		}
	}
	return nil
}

// resource adds one.
func (s *schema) resource(base *url.URL, root spot) *resource {
	r := &resource{number: len(s.roots), base: base, anchors: map[string]spot{}}
	r.root = spot{root.where, root.v, r}
	s.roots[root.where] = r
	s.resources[base.String()] = r
	return r
}

// within is the resource that a place in another belongs to.
func (s *schema) within(where string, outer *resource) *resource {
	if r := s.roots[where]; r != nil {
		return r
	}
	return outer
}

// follow finds what a reference names.
func (s *schema) follow(n *node, keyword string) (*node, error) {
	ref, ok := n.keywords[keyword].Text()
	if !ok {
		return nil, wrong(n.where, "%s must be a string", keyword)
	}
	address, fragment, _ := strings.Cut(ref, "#")
	in := n.in
	if address != "" {
		u, err := n.in.base.Parse(address)
		if err == nil {
			in = s.resources[u.String()]
		}
		if err != nil || in == nil {
			return nil, wrong(n.where, "%s %.96q names another document: only references within the schema are followed, such as #/$defs/name; put what it names under $defs", keyword, ref)
		}
	}
	to, ok := s.find(in, fragment)
	if !ok {
		return nil, wrong(n.where, "%s %.64q names nothing", keyword, ref)
	}
	if keyword == "$dynamicRef" && slices.Contains(to.in.dynamic, fragment) {
		if first := n.scope.first[fragment]; first != nil {
			to = first.anchors[fragment]
		}
	}
	return s.at(to, n.scope)
}

// find is the place that a fragment of a reference names.
func (s *schema) find(in *resource, fragment string) (spot, bool) {
	if fragment != "" && fragment[0] != '/' {
		to, ok := in.anchors[unescape(fragment)]
		return to, ok
	}
	to := in.root
	for _, step := range strings.Split(fragment, "/")[1:] {
		name := unescape(step)
		v := descend(to.v, name)
		if v == nil {
			return to, false
		}
		where := to.where + "/" + pointer(name)
		to = spot{where, v, s.within(where, to.in)}
	}
	return to, true
}

// unescape undoes the escapes of a step of a JSON pointer in a fragment.
func unescape(step string) string {
	var b strings.Builder
	for i := 0; i < len(step); i++ {
		if step[i] == '%' && i+2 < len(step) {
			if c, err := strconv.ParseUint(step[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(step[i])
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(b.String())
}

// descend is a member or an element of a value; nil: there is none.
func descend(v strictjson.Value, step string) strictjson.Value {
	if members, ok := v.Object(); ok {
		for _, m := range members {
			if m.Key == step {
				return m.Value
			}
		}
	}
	if list, ok := v.Array(); ok {
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(list) {
			return list[i]
		}
	}
	return nil
}
