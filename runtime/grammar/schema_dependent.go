package grammar

import (
	"fmt"

	"llmc/runtime/server/strictjson"
)

// dependentSchemas lists for each name: the property is not there, or it is and the schema holds.
func (s *schema) dependentSchemas(n *node) ([]conjunction, error) {
	out := []conjunction{{}}
	for _, p := range n.named["dependentSchemas"] {
		there, err := s.with([]conjunction{{s.present(p.name)}}, p.of, (*schema).expand)
		if err == nil {
			out, err = s.join(out, append([]conjunction{{s.absent(p.name)}}, there...))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// absent is the schema of what has no such property.
func (s *schema) absent(name string) *node {
	return s.making(fmt.Sprintf("lacks %q", name), everyType, func(made *node) { made.named["properties"] = []property{{name, s.refused()}} })
}

// present is the schema of objects that have a property.
func (s *schema) present(name string) *node {
	return s.making(fmt.Sprintf("has %q", name), typeObject, func(made *node) {
		made.keywords["required"] = strictjson.Value("[" + quotedJSON(name) + "]")
	})
}

func (s *schema) notDependentSchemas(n *node) ([]conjunction, error) {
	var out []conjunction
	for _, p := range n.named["dependentSchemas"] {
		there, err := s.with([]conjunction{{s.present(p.name)}}, p.of, (*schema).deny)
		if err != nil {
			return nil, err
		}
		out = append(out, there...)
	}
	return out, nil
}

// dependents calls yield with each name and those that it wants beside it.
func (n *node) dependents(yield func(name string, wanted []string) error) error {
	members, ok := n.keywords["dependentRequired"].Object()
	if !ok {
		return wrong(n.where, "dependentRequired must be an object")
	}
	for _, m := range members {
		wanted, err := n.texts("dependentRequired", m.Value)
		if err == nil {
			err = yield(m.Key, wanted)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) dependentRequired(n *node) ([]conjunction, error) {
	out := []conjunction{{}}
	err := n.dependents(func(name string, wanted []string) (err error) {
		var there conjunction // what is wanted comes before what wants it, where the schema says no order
		for _, w := range wanted {
			there = append(there, s.present(w))
		}
		there = append(there, s.present(name))
		if len(wanted) > 0 {
			out, err = s.join(out, []conjunction{{s.absent(name)}, there})
		}
		return err
	})
	return out, err
}

func (s *schema) notDependentRequired(n *node) ([]conjunction, error) {
	var out []conjunction
	err := n.dependents(func(name string, wanted []string) error {
		for _, w := range wanted {
			out = append(out, conjunction{s.present(name), s.having(w, s.refused(), false)})
		}
		return nil
	})
	return out, err
}
