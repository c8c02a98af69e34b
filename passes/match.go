package passes

import (
	"maps"
	"slices"

	"llmc/ir"
)

// Match is a place where a pattern fits.
type Match struct {
	Context *Context
	Func    *ir.Func
	Root    *ir.Value

	values map[string]*ir.Value
	attrs  map[string]any
	inner  []*ir.Value // results of ops below the root that the pattern consumes
}

// Value returns what a variable of the pattern matched.
func (m *Match) Value(name string) *ir.Value { return m.values[name] }

// Attr returns what an attribute variable ("e" for $e) matched.
func (m *Match) Attr(name string) any { return m.attrs[name] }

// Set gives a variable of Replace its value.
func (m *Match) Set(name string, v *ir.Value) { m.values[name] = v }

// SetAttr gives an attribute variable of Replace its value.
func (m *Match) SetAttr(name string, val any) { m.attrs[name] = val }

// matchValue tries to fit e to v; on failure the bindings are as before.
func (m *Match) matchValue(e *expr, v *ir.Value) bool {
	if v == nil {
		return false
	}
	if e.kind == nil {
		return m.bind(e.name, v)
	}
	op := v.Def
	if op == nil || op.Kind != e.kind || v.Index != e.result {
		return false
	}
	saved := m.save()
	if m.matchAttrs(e, op) && m.matchArgs(e, op) && (e.name == "" || m.bind(e.name, v)) {
		if v != m.Root {
			m.inner = append(m.inner, v)
		}
		return true
	}
	m.restore(saved)
	return false
}

func (m *Match) bind(name string, v *ir.Value) bool {
	if old, ok := m.values[name]; ok {
		return old == v
	}
	m.values[name] = v
	return true
}

// matchAttrs wants every attribute that differs from its default to be named: a rewrite must not lose one.
func (m *Match) matchAttrs(e *expr, op *ir.Op) bool {
	for _, a := range op.Attrs {
		if !slices.ContainsFunc(e.attrs, func(x attrExpr) bool { return x.name == a.Name }) {
			return false
		}
	}
	for _, a := range e.attrs {
		val := attrValue(op, a.name)
		if a.bind == "" && val != a.lit {
			return false
		}
		if a.bind == "" {
			continue
		}
		if old, ok := m.attrs[a.bind]; ok && old != val {
			return false
		}
		m.attrs[a.bind] = val
	}
	return true
}

// attrValue returns an attribute as stored or by default.
func attrValue(op *ir.Op, name string) any {
	switch findAttr(op.Kind, name).Kind {
	case ir.Int:
		return op.Int(name)
	case ir.Float:
		return op.Float(name)
	}
	return op.Text(name)
}

func (m *Match) matchArgs(e *expr, op *ir.Op) bool {
	for _, absent := range op.Args[len(e.args):] {
		if absent != nil {
			return false
		}
	}
	if m.matchEach(e.args, op.Args) {
		return true
	}
	return op.Kind.Has(ir.Commutative) && m.matchEach(e.args, []*ir.Value{op.Args[1], op.Args[0]})
}

func (m *Match) matchEach(patterns []*expr, args []*ir.Value) bool {
	saved := m.save()
	for i, p := range patterns {
		if !m.matchValue(p, args[i]) {
			m.restore(saved)
			return false
		}
	}
	return true
}

type savedMatch struct {
	values map[string]*ir.Value
	attrs  map[string]any
	inner  int
}

func (m *Match) save() savedMatch {
	return savedMatch{maps.Clone(m.values), maps.Clone(m.attrs), len(m.inner)}
}

func (m *Match) restore(s savedMatch) {
	m.values, m.attrs, m.inner = s.values, s.attrs, m.inner[:s.inner]
}

// consumable tells whether the ops below the root may go: nobody else reads them, or they cost nothing, or the rule
// gives their result anew.
func (m *Match) consumable(gives []string) bool {
	for _, v := range m.inner {
		given := slices.ContainsFunc(gives, func(name string) bool { return m.values[name] == v })
		if !given && !v.Def.Kind.Has(ir.View) && readers(m.Func, v.Def.Results...) > 1 {
			return false
		}
	}
	return true
}

// readers counts the operands and results of f that are one of values. Counting anew beats keeping books: a function has
// a few thousand ops, and few of them change.
func readers(f *ir.Func, values ...*ir.Value) int {
	n := 0
	for _, op := range f.Ops {
		for _, a := range op.Args {
			if slices.Contains(values, a) {
				n++
			}
		}
	}
	for _, r := range f.Results {
		if slices.Contains(values, r) {
			n++
		}
	}
	return n
}
