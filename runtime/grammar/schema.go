package grammar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"llmc/runtime/server/strictjson"
)

// A JSON schema (draft 2020-12) becomes rules of which every text is valid under it; keywords for which that can not be are refused by name. What is written is less than
// what is valid where the standard leaves open what nobody means: properties come in the order of the schema, and where there are "properties" or "prefixItems" and nothing is
// said of further ones, there are none. A rule stands for a conjunction of schemas, so "allOf" and what stands beside "$ref" are no more than longer lists.

// maxAlternatives is how many conjunctions a schema may come to.
const maxAlternatives = 512

// schema reads one.
type schema struct {
	*jsonRules
	root  strictjson.Value
	nodes map[string]*node
	rules map[string]*rule
	todo  []pending // rules whose bodies are to be made
	// within counts the schemas whose enum this is made for.
	within int
}

type pending struct {
	rule *rule
	of   conjunction
}

// node is a schema within a schema.
type node struct {
	where    string // JSON pointer, as a fragment
	refuses  bool   // "false"
	keywords map[string]strictjson.Value
	props    []strictjson.Member
	patterns []strictjson.Member
}

// conjunction is schemas that hold together, without those of their keywords that name others for the same value.
type conjunction []*node

func (c conjunction) key() string {
	var b strings.Builder
	for _, n := range c {
		b.WriteString(n.where + "\x00")
	}
	return b.String()
}

// schemaRule is the rule of the texts of a schema. compact leaves out white space.
func schemaRule(source string, compact bool) (*rule, error) {
	root, err := strictjson.Check([]byte(source))
	if err != nil {
		return nil, wrong("", "the schema is not valid JSON: %v", err)
	}
	s := &schema{jsonRules: newJSONRules(compact), root: root, nodes: map[string]*node{}, rules: map[string]*rule{}}
	top, err := s.at("#", root)
	if err != nil {
		return nil, err
	}
	body, err := s.value([]*node{top})
	if err != nil {
		return nil, err
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	return &rule{name: "schema", body: body}, nil
}

// finish makes the bodies of all rules.
func (s *schema) finish() (err error) {
	for len(s.todo) > 0 {
		p := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		if p.rule.body, err = s.body(p.of); err != nil {
			return err
		}
	}
	return nil
}

// at reads the schema at a place.
func (s *schema) at(where string, v strictjson.Value) (*node, error) {
	if n := s.nodes[where]; n != nil {
		return n, nil
	}
	n := &node{where: where, keywords: map[string]strictjson.Value{}}
	if len(s.nodes) > maxRules {
		return nil, tooLarge("the schema: more than %d schemas in it", maxRules)
	}
	s.nodes[where] = n
	if b, ok := v.Bool(); ok {
		n.refuses = !b
		return n, nil
	}
	members, ok := v.Object()
	if !ok {
		return nil, wrong(where, "a schema must be an object or a boolean, not %s", v.Kind())
	}
	for _, m := range members {
		if err := n.take(m); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// value is the expression of what all of some schemas allow.
func (s *schema) value(all []*node) (*expr, error) {
	list, err := s.expandAll(all)
	if err != nil {
		return nil, err
	}
	var subs []*expr
	for _, c := range list {
		subs = append(subs, call(s.ruleOf(c)))
	}
	return alt(subs...), nil
}

func (s *schema) ruleOf(c conjunction) *rule {
	key := c.key()
	r := s.rules[key]
	if r == nil {
		name := "value"
		if len(c) > 0 {
			name = c[0].where
		}
		r = &rule{name: name}
		s.rules[key] = r
		s.todo = append(s.todo, pending{r, c})
	}
	return r
}

// expandAll is a list of conjunctions of which one has to hold.
func (s *schema) expandAll(all []*node) ([]conjunction, error) {
	list := []conjunction{{}}
	for _, n := range all {
		more, err := s.expand(n, map[*node]bool{})
		if err != nil {
			return nil, err
		}
		if list, err = join(list, more); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// join is one conjunction of each list, in all ways.
func join(a, b []conjunction) ([]conjunction, error) {
	if len(a)*len(b) > maxAlternatives {
		return nil, tooLarge("the schema: anyOf and oneOf come to more than %d alternatives", maxAlternatives)
	}
	var out []conjunction
	for _, x := range a {
		for _, y := range b {
			c := slices.Clone(x)
			for _, n := range y {
				if !slices.Contains(c, n) {
					c = append(c, n)
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func (s *schema) expand(n *node, open map[*node]bool) ([]conjunction, error) {
	if n.refuses {
		return nil, nil
	}
	if open[n] {
		return nil, wrong(n.where, "$ref comes back to the same schema without anything in between")
	}
	open[n] = true
	defer delete(open, n)
	list := []conjunction{{}}
	if len(n.keywords) > 0 {
		list[0] = conjunction{n}
	}
	for _, combine := range combiners() {
		v := n.keywords[combine.keyword]
		if v == nil {
			continue
		}
		more, err := combine.expand(s, n, v, open)
		if err == nil {
			list, err = join(list, more)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// combiners are the keywords that name other schemas for the same value.
func combiners() []combiner {
	return []combiner{
		{"$ref", func(s *schema, n *node, v strictjson.Value, open map[*node]bool) ([]conjunction, error) {
			target, err := s.follow(n, v)
			if err != nil {
				return nil, err
			}
			return s.expand(target, open)
		}},
		{"allOf", func(s *schema, n *node, v strictjson.Value, open map[*node]bool) ([]conjunction, error) {
			branches, err := s.branches(n, "allOf", v, open)
			list := []conjunction{{}}
			for i := 0; i < len(branches) && err == nil; i++ {
				list, err = join(list, branches[i])
			}
			return list, err
		}},
		{"anyOf", func(s *schema, n *node, v strictjson.Value, open map[*node]bool) ([]conjunction, error) {
			branches, err := s.branches(n, "anyOf", v, open)
			return slices.Concat(branches...), err
		}},
		{"oneOf", func(s *schema, n *node, v strictjson.Value, open map[*node]bool) ([]conjunction, error) {
			branches, err := s.branches(n, "oneOf", v, open)
			for i := range branches {
				for j := range i {
					if err == nil && !s.apart(branches[i], branches[j]) {
						err = wrong(n.where, "oneOf: a value may be valid under both branch %d and branch %d, and nothing can be written that surely is not; "+
							"give them a required property with different constants, or different types, or use anyOf", j, i)
					}
				}
			}
			return slices.Concat(branches...), err
		}},
	}
}

// combiner does one of them.
type combiner struct {
	keyword string
	expand  func(s *schema, n *node, v strictjson.Value, open map[*node]bool) ([]conjunction, error)
}

// branches expands a list of schemas.
func (s *schema) branches(n *node, keyword string, v strictjson.Value, open map[*node]bool) ([][]conjunction, error) {
	list, ok := v.Array()
	if !ok || len(list) == 0 {
		return nil, wrong(n.where, "%s must be an array of schemas", keyword)
	}
	var out [][]conjunction
	total := 0
	for i, b := range list {
		sub, err := s.at(fmt.Sprintf("%s/%s/%d", n.where, keyword, i), b)
		if err != nil {
			return nil, err
		}
		expanded, err := s.expand(sub, open)
		if err != nil {
			return nil, err
		}
		if total += len(expanded); total > maxAlternatives {
			return nil, tooLarge("the schema: %s has more than %d alternatives", keyword, maxAlternatives)
		}
		out = append(out, expanded)
	}
	return out, nil
}

// follow finds what a reference names.
func (s *schema) follow(n *node, v strictjson.Value) (*node, error) {
	ref, ok := v.Text()
	if !ok {
		return nil, wrong(n.where, "$ref must be a string")
	}
	if ref != "#" && !strings.HasPrefix(ref, "#/") {
		return nil, wrong(n.where, "$ref %.64q: only references within the schema are supported, such as #/$defs/name", ref)
	}
	at := s.root
	for _, step := range strings.Split(ref, "/")[1:] {
		at = descend(at, unescape(step))
		if at == nil {
			return nil, wrong(n.where, "$ref %.64q names nothing", ref)
		}
	}
	return s.at(ref, at)
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
