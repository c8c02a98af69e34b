package grammar

import "slices"

// apart tells whether surely no value is valid under a conjunction of one list and one of another.
func (s *schema) apart(a, b []conjunction) bool {
	for _, x := range a {
		for _, y := range b {
			if !s.disjoint(x, y) {
				return false
			}
		}
	}
	return true
}

// disjoint looks for a reason that is easy to see: types, constants, ranges of numbers, or a required property with one of these.
func (s *schema) disjoint(a, b conjunction) bool {
	if disjointScalars(a, b) {
		return true
	}
	ta, _ := a.types()
	tb, _ := b.types()
	if ta&tb != typeObject {
		return false
	}
	for _, name := range a.requires() {
		if b.forbids(name) {
			return true
		}
		if slices.Contains(b.requires(), name) && s.disjointProperty(a, b, name) {
			return true
		}
	}
	return slices.ContainsFunc(b.requires(), a.forbids)
}

func disjointScalars(a, b conjunction) bool {
	ta, errA := a.types()
	tb, errB := b.types()
	va, finiteA, _ := a.values()
	vb, finiteB, _ := b.values()
	if errA != nil || errB != nil {
		return false
	}
	// Constants restrict types, too.
	if finiteA {
		own := typeSet(0)
		for _, v := range va {
			own |= typeOf(v)
		}
		ta &= own
	}
	if finiteB {
		own := typeSet(0)
		for _, v := range vb {
			own |= typeOf(v)
		}
		tb &= own
	}
	if ta&tb == 0 {
		return true
	}
	if finiteA && finiteB {
		known := map[string]bool{}
		for _, v := range va {
			known[canonical(v)] = true
		}
		for _, v := range vb {
			if known[canonical(v)] {
				return false
			}
		}
		return true
	}
	if ta&tb&^typeNumber != 0 {
		return false
	}
	ia, errA := a.interval()
	ib, errB := b.interval()
	return errA == nil && errB == nil && (ia.high.below(ib.low) || ib.high.below(ia.low))
}

// below tells whether all up to one bound is below all from another on.
func (b *bound) below(other *bound) bool {
	if b == nil || other == nil {
		return false
	}
	order := b.at.Cmp(other.at)
	return order < 0 || order == 0 && (b.open || other.open)
}

func (c conjunction) requires() []string {
	var names []string
	for _, n := range c {
		list, _ := n.keywords["required"].Array()
		for _, e := range list {
			if name, ok := e.Text(); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// forbids tells whether a schema rules a property out.
func (c conjunction) forbids(name string) bool {
	return slices.ContainsFunc(c, func(n *node) bool {
		known := false
		for _, m := range n.props {
			if m.Key == name {
				if string(m.Value) == "false" {
					return true
				}
				known = true
			}
		}
		return !known && len(n.patterns) == 0 && string(n.keywords["additionalProperties"]) == "false"
	})
}

// disjointProperty tells whether what two conjunctions say of a property is disjoint.
func (s *schema) disjointProperty(a, b conjunction, name string) bool {
	var sides [2][]*node
	for i, c := range []conjunction{a, b} {
		for _, n := range c {
			for _, m := range n.props {
				if m.Key != name {
					continue
				}
				sub, err := s.at(n.where+"/properties/"+pointer(name), m.Value)
				if err != nil {
					return false
				}
				sides[i] = append(sides[i], sub)
			}
		}
	}
	x, errX := s.expandAll(sides[0])
	y, errY := s.expandAll(sides[1])
	if errX != nil || errY != nil {
		return false
	}
	for _, p := range x {
		for _, q := range y {
			if !disjointScalars(p, q) {
				return false
			}
		}
	}
	return true
}
