package grammar

import (
	"encoding/binary"
	"net/url"
	"slices"

	"llmc/runtime/server/strictjson"
)

// A JSON schema (draft 2020-12) becomes rules of which every text is valid under it; what that can not be said of is refused by name. What is written is less than
// what is valid where the standard leaves open what nobody means: properties come in the order of the schema, and where there are "properties" or "prefixItems" and nothing is
// said of further ones, there are none. A rule stands for a conjunction of schemas, so "allOf" and what stands beside "$ref" are no more than longer lists; a schema is a list of
// conjunctions of which one has to hold (schema_expand.go), what is not valid under one too (schema_not.go), which gives "not", "if" and "oneOf" their meaning.

const (
	// maxAlternatives is how many conjunctions a schema may come to.
	maxAlternatives = 512
	// maxSchemaWork bounds what reading a schema takes: schemas looked at in conjunctions.
	maxSchemaWork = 1 << 20
)

// schema reads one.
type schema struct {
	*jsonRules
	resources map[string]*resource // by address
	roots     map[string]*resource // by the place of their root
	scopes    map[string]*scope
	evaluates bool // what is evaluated matters somewhere
	nodes     map[string]*node
	made      int
	rules     map[string]*rule
	strings   map[string]*rule // by what is said of them
	todo      []pending        // rules whose bodies are to be made
	empty     map[string]bool
	deep      int // how deep the search for contradictions is, in required properties
	peeking   int // and in conjunctions
	work      int
	dropped   string // what could not be written, and was left out
}

type pending struct {
	rule *rule
	of   conjunction
}

// conjunction is schemas that hold together, without those of their keywords that name others for the same value.
type conjunction []*node

func (c conjunction) key() string {
	var b []byte
	for _, n := range c {
		b = binary.AppendUvarint(b, uint64(n.id))
	}
	return string(b)
}

// schemaRule is the rule of the texts of a schema. compact leaves out white space.
func schemaRule(source string, compact bool) (*rule, error) {
	root, err := strictjson.Check([]byte(source))
	if err != nil {
		return nil, wrong("", "the schema is not valid JSON: %v", err)
	}
	s := &schema{jsonRules: newJSONRules(compact), resources: map[string]*resource{}, roots: map[string]*resource{}, scopes: map[string]*scope{}, nodes: map[string]*node{},
		rules: map[string]*rule{}, strings: map[string]*rule{}, empty: map[string]bool{}}
	whole := s.resource(&url.URL{}, spot{where: "#", v: root})
	if err := s.index(whole.root); err != nil {
		return nil, err
	}
	top, err := s.at(spot{"#", root, s.roots["#"]}, &scope{})
	if err != nil {
		return nil, err
	}
	body, err := s.value([]*node{top})
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return nil, err
	}
	return &rule{name: "schema", body: body}, nil
}

// finish makes the bodies of all rules.
func (s *schema) finish() (err error) {
	for len(s.todo) > 0 {
		p := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		if len(s.rules) > maxRules {
			return tooLarge("the schema: more than %d different values", maxRules)
		}
		if p.rule.body, err = s.body(p.of); err != nil {
			return err
		}
	}
	return nil
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

// spend counts what reading a schema takes.
func (s *schema) spend(n int) error {
	if s.work += n; s.work > maxSchemaWork {
		return tooLarge("the schema: its combinations of schemas take more than %d steps", maxSchemaWork)
	}
	return nil
}

// join is one conjunction of each list, in all ways in which they do not contradict each other.
func (s *schema) join(a, b []conjunction) ([]conjunction, error) {
	var out []conjunction
	known := map[string]bool{}
	for _, x := range a {
		for _, y := range b {
			if err := s.spend(1 + len(x) + len(y)); err != nil {
				return nil, err
			}
			c := slices.Clone(x)
			for _, n := range y {
				if !slices.Contains(c, n) {
					c = append(c, n)
				}
			}
			if len(x) > 0 && len(y) > 0 && s.impossible(c) {
				continue
			}
			if key := c.key(); !known[key] {
				known[key] = true
				out = append(out, c)
			}
			if len(out) > maxAlternatives {
				return nil, tooLarge("the schema: anyOf, oneOf, not and if come to more than %d alternatives", maxAlternatives)
			}
		}
	}
	return out, nil
}
