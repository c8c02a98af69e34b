package grammar

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"llmc/runtime/server/strictjson"
)

// node is a schema within a schema, or one that was made of others. It is not changed once it is made.
type node struct {
	id       int    // tells it from all others
	where    string // JSON pointer, as a fragment; of those that were made, what they say
	in       *resource
	scope    *scope
	refuses  bool // "false"
	keywords map[string]strictjson.Value
	one      map[string]*node
	many     map[string][]*node
	named    map[string][]property
	denies   *node // what must not hold; such a node says nothing else
	some     *witness
	silent   bool // what it says makes nothing "evaluated" and leaves open which further properties there are

	expanded *expansion
	denied   *expansion
	quiet    *node // the same, silent
	values   *valueSet
	regexps  map[string]*regexp.Regexp
}

// property is a schema with a name, or a pattern of names.
type property struct {
	name string
	of   *node
}

// The names of keywords that only schemas have that were made of others begin with "!": what the keyword without it says does not hold ("!enum", "!pattern", "!multipleOf"),
// "!type" is a set of types, "!from" the first place that "contains" looks at.

// says tells whether a schema says anything about a value itself.
func (n *node) says() bool {
	return len(n.keywords)+len(n.one)+len(n.many)+len(n.named) > 0 || n.some != nil
}

// at reads the schema at a place.
func (s *schema) at(p spot, from *scope) (*node, error) {
	sc := s.enter(from, p.in)
	key := p.where + "\x00" + sc.key
	if n := s.nodes[key]; n != nil {
		return n, nil
	}
	n := s.newNode(p.where)
	n.in, n.scope = p.in, sc
	if len(s.nodes) > maxRules {
		return nil, tooLarge("the schema: more than %d schemas in it", maxRules)
	}
	s.nodes[key] = n
	if b, ok := p.v.Bool(); ok {
		n.refuses = !b
		return n, nil
	}
	members, ok := p.v.Object()
	if !ok {
		return nil, wrong(p.where, "a schema must be an object or a boolean, not %s", p.v.Kind())
	}
	for _, m := range modern(members) {
		if err := s.take(n, m); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (s *schema) newNode(where string) *node {
	s.made++
	return &node{id: s.made, where: where, keywords: map[string]strictjson.Value{}, one: map[string]*node{}, many: map[string][]*node{}, named: map[string][]property{}}
}

// take reads one keyword.
func (s *schema) take(n *node, m strictjson.Member) error {
	what := keywords[m.Key]
	at := n.where + "/" + m.Key
	child := func(where string, v strictjson.Value) (*node, error) {
		return s.at(spot{where, v, s.within(where, n.in)}, n.scope)
	}
	switch {
	case what == annotation:
	case what == unknown:
		if k := misspelt(m.Key); k != "" && !strings.HasPrefix(m.Key, "x-") {
			return wrong(n.where, "the keyword %.64q is not known; if it is to be %s, write it so", m.Key, k)
		}
	case what == unsupported:
		return wrong(n.where, "the keyword %s is not supported in constrained output", m.Key)
	case what == asValue:
		n.keywords[m.Key] = m.Value
	case what == asSchema:
		sub, err := child(at, m.Value)
		n.one[m.Key] = sub
		return err
	case what == asList:
		list, ok := m.Value.Array()
		if !ok || len(list) == 0 {
			return wrong(n.where, "%s must be an array of schemas", m.Key)
		}
		for i, v := range list {
			sub, err := child(at+"/"+strconv.Itoa(i), v)
			if err != nil {
				return err
			}
			n.many[m.Key] = append(n.many[m.Key], sub)
		}
	case what == asNamed:
		list, ok := m.Value.Object()
		if !ok {
			return wrong(n.where, "%s must be an object", m.Key)
		}
		n.named[m.Key] = []property{}
		for _, p := range list {
			sub, err := child(at+"/"+pointer(p.Key), p.Value)
			if err != nil {
				return err
			}
			n.named[m.Key] = append(n.named[m.Key], property{p.Key, sub})
		}
	}
	return nil
}

// making returns the schema that was made under a description, or makes it: equal ones are the same.
func (s *schema) making(description string, types typeSet, fill func(n *node)) *node {
	key := "making " + description
	n := s.nodes[key]
	if n == nil {
		n = s.newNode(description)
		n.silent = true
		if types != everyType {
			n.keywords["!type"] = strictjson.Value(strconv.Itoa(int(types)))
		}
		fill(n)
		s.nodes[key] = n
	}
	return n
}

// not is the schema of what is not valid under another.
func (s *schema) not(n *node) *node {
	if n.denies != nil {
		return n.denies
	}
	return s.making(fmt.Sprintf("not %d", n.id), everyType, func(made *node) { made.denies = n })
}

func (s *schema) refused() *node {
	return s.making("nothing", everyType, func(n *node) { n.refuses = true })
}

// silence returns a schema that says the same silently.
func (s *schema) silence(n *node) *node {
	if n.silent {
		return n
	}
	if n.quiet == nil {
		quiet := *n
		s.made++
		quiet.id, quiet.silent, quiet.expanded, quiet.denied = s.made, true, nil, nil
		n.quiet = &quiet
	}
	return n.quiet
}

// requires are the names that a schema requires.
func (n *node) requires() ([]string, error) { return n.texts("required", n.keywords["required"]) }

func (n *node) texts(keyword string, v strictjson.Value) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.Array()
	var names []string
	for _, e := range list {
		name, isText := e.Text()
		ok = ok && isText
		names = append(names, name)
	}
	if !ok {
		return nil, wrong(n.where, "%s must be an array of names", keyword)
	}
	return names, nil
}

// get is the schema of a name.
func get(list []property, name string) *node {
	for _, p := range list {
		if p.name == name {
			return p.of
		}
	}
	return nil
}

func number(k int) strictjson.Value { return strictjson.Value(fmt.Sprint(k)) }

// pointer is a name as a step of a JSON pointer.
func pointer(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
