package passes

import (
	"fmt"
	"slices"

	"llmc/ir"
)

// Rule is one rewrite: where Match fits and When agrees, Replace takes the place of what Gives names.
type Rule struct {
	Name    string
	Match   string
	When    func(m *Match) bool // nil: always
	Replace string
	// Gives names the values of Match that the results of Replace stand for, in order; empty: the root alone.
	Gives []string
	// Sets names variables of Replace that Derive computes once the rule is sure to fire.
	Sets   []string
	Derive func(m *Match)
}

// rule is a Rule ready to run.
type rule struct {
	*Rule
	match, replace *expr
}

// compile parses a rule and checks that Replace uses nothing unknown.
func compile(r *Rule) (*rule, error) {
	match, err := parseExpr(r.Match)
	if err != nil {
		return nil, fmt.Errorf("rule %s: match: %w", r.Name, err)
	}
	if match.kind == nil {
		return nil, fmt.Errorf("rule %s: match is a single variable", r.Name)
	}
	replace, err := parseExpr(r.Replace)
	if err != nil {
		return nil, fmt.Errorf("rule %s: replace: %w", r.Name, err)
	}
	known := map[string]bool{}
	for _, name := range r.Sets {
		known[name] = true
	}
	match.variables(func(name string) { known[name] = true })
	replace.variables(func(name string) {
		if !known[name] {
			err = fmt.Errorf("rule %s: %q of replace is not in match", r.Name, name)
		}
	})
	for _, name := range r.Gives {
		if !known[name] {
			err = fmt.Errorf("rule %s: given %q is not in match", r.Name, name)
		}
	}
	if len(r.Gives) > 0 && (replace.kind == nil || len(replace.kind.Results) != len(r.Gives)) {
		err = fmt.Errorf("rule %s: replace does not give %d results", r.Name, len(r.Gives))
	}
	return &rule{r, match, replace}, err
}

// rewrite applies rules until none fires. Each round visits the ops in order, each op the rules in order.
func (c *Context) rewrite(rules []Rule) {
	var compiled []*rule
	for i := range rules {
		r, err := compile(&rules[i])
		if err != nil {
			panic(err)
		}
		if !c.disabled(r.Name) {
			compiled = append(compiled, r)
		}
	}
	if len(compiled) == 0 {
		return
	}
	for _, f := range c.Module.Funcs {
		limit := 10*len(f.Ops) + 100 // every rule makes the function smaller or moves an op for good
		for n := c.sweep(f, compiled, limit); n > 0; n = c.sweep(f, compiled, limit) {
			limit -= n
		}
	}
}

// sweep visits the ops once and returns how many rules fired. After one fires, the ops in its place are visited again.
func (c *Context) sweep(f *ir.Func, rules []*rule, limit int) (fired int) {
	for i := 0; i < len(f.Ops); i++ {
		for _, r := range rules {
			at, ok := c.try(f, i, r)
			if !ok {
				continue
			}
			if fired++; fired > limit {
				panic(fmt.Sprintf("rules of function @%s do not come to an end, the last was %s", f.Name, r.Name))
			}
			i = at - 1
			break
		}
	}
	return fired
}

// try applies a rule to op i if it fits there, and returns the place of what it put in.
func (c *Context) try(f *ir.Func, i int, r *rule) (at int, ok bool) {
	if r.match.kind != f.Ops[i].Kind {
		return 0, false
	}
	root := f.Ops[i].Results[r.match.result]
	c.at(root)
	m := &Match{Context: c, Func: f, Root: root, values: map[string]*ir.Value{}, attrs: map[string]any{}}
	if !m.matchValue(r.match, root) || !m.consumable(r.Gives) || !m.placeable(r) || r.When != nil && !r.When(m) {
		return 0, false
	}
	at = m.position(r)
	m.replace(r)
	c.fired(r.Name)
	return at, true
}

// given returns the values that the replacement stands for.
func (m *Match) given(r *rule) []*ir.Value {
	if len(r.Gives) == 0 {
		return []*ir.Value{m.Root}
	}
	var values []*ir.Value
	for _, name := range r.Gives {
		values = append(values, m.values[name])
	}
	return values
}

// position returns where new ops go: at the first of the values that they stand for.
func (m *Match) position(r *rule) int {
	at := len(m.Func.Ops)
	for _, v := range m.given(r) {
		at = min(at, slices.Index(m.Func.Ops, v.Def))
	}
	return at
}

// placeable tells whether everything that the replacement reads is defined before its place.
func (m *Match) placeable(r *rule) bool {
	if len(r.Gives) == 0 {
		return true // at the root, where all operands are known
	}
	at, ok := m.position(r), true
	r.replace.variables(func(name string) {
		if v := m.values[name]; v != nil && v.Def != nil && slices.Index(m.Func.Ops, v.Def) >= at {
			ok = false
		}
	})
	return ok
}

// replace builds the replacement, hands the names on and removes what nobody reads any more.
func (m *Match) replace(r *rule) {
	if r.Derive != nil {
		r.Derive(m)
	}
	given, at := m.given(r), m.position(r)
	var added []*ir.Op
	results := []*ir.Value{m.build(r.replace, &added)}
	if len(given) > 1 {
		results = results[0].Def.Results
	}
	m.Func.Ops = slices.Insert(m.Func.Ops, at, added...)
	for i, old := range given {
		if !old.Type.Equal(results[i].Type) {
			panic(fmt.Sprintf("rule %s: %v replaces %v", r.Name, results[i].Type, old.Type))
		}
		m.Func.Replace(old, results[i])
		if results[i].Def != nil && slices.Contains(added, results[i].Def) {
			results[i].Name, old.Name = old.Name, ""
		}
	}
	removeDead(m.Func, m.Root.Def)
	for _, v := range slices.Backward(m.inner) { // operands come before what reads them
		removeDead(m.Func, v.Def)
	}
}

// build makes the ops of e and returns its value.
func (m *Match) build(e *expr, added *[]*ir.Op) *ir.Value {
	if e.kind == nil {
		return m.values[e.name]
	}
	var args []*ir.Value
	for _, a := range e.args {
		args = append(args, m.build(a, added))
	}
	var attrs []ir.Attr
	for _, a := range e.attrs {
		val := a.lit
		if a.bind != "" {
			val = m.attrs[a.bind]
		}
		attrs = append(attrs, ir.Attr{Name: a.name, Val: val})
	}
	op := m.Context.newOp(e.kind.Name, args, attrs...)
	*added = append(*added, op)
	return op.Results[e.result]
}

// newOp makes an op that must be valid: what it is made of was verified.
func (c *Context) newOp(kind string, args []*ir.Value, attrs ...ir.Attr) *ir.Op {
	op, err := c.Module.NewOp(kind, args, attrs...)
	if err != nil {
		panic(err)
	}
	return op
}

// removeDead removes op if nobody reads its results.
func removeDead(f *ir.Func, op *ir.Op) {
	if readers(f, op.Results...) > 0 {
		return
	}
	if i := slices.Index(f.Ops, op); i >= 0 {
		f.Ops = slices.Delete(f.Ops, i, i+1)
	}
}
