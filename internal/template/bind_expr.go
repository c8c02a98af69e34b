package template

import (
	"fmt"
	"slices"
)

func (b *binder) exprs(f *frame, items []expr) error {
	for _, e := range items {
		if err := b.expr(f, e); err != nil {
			return err
		}
	}
	return nil
}

func (b *binder) expr(f *frame, e expr) error {
	switch e := e.(type) {
	case *nameExpr:
		v := f.sym.find(e.name)
		if v == nil {
			return &SyntaxError{1, fmt.Sprintf("name '%s' in the filter of a set block is not known outside of it", e.name)}
		}
		e.ref = f.unit.ref(v)
		return nil
	case *condExpr:
		f = f.softened()
	case *filterExpr:
		e.impl = b.env.filters[e.name]
		if e.impl == nil && !f.soft {
			return &SyntaxError{e.line, fmt.Sprintf("no filter named '%s'", e.name)}
		}
	case *testExpr:
		e.impl = b.env.tests[e.name]
		if e.impl == nil && !f.soft {
			return &SyntaxError{e.line, fmt.Sprintf("no test named '%s'", e.name)}
		}
	}
	var err error
	e.walk(func(n node) {
		if err == nil {
			err = b.expr(f, n.(expr))
		}
	})
	return err
}

func (b *binder) target(f *frame, t target) error {
	switch t := t.(type) {
	case *nameTarget:
		t.ref = f.unit.ref(f.sym.find(t.name))
	case *attrTarget:
		t.ref = f.unit.ref(f.sym.find(t.name))
	case *tupleTarget:
		for _, item := range t.items {
			if err := b.target(f, item); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *binder) forStmt(f *frame, s *forStmt) error {
	if err := b.expr(f, s.iterable); err != nil {
		return err
	}
	if line := b.assignsLoop(s); line > 0 {
		return &SyntaxError{line, "can't assign to special loop variable in for-loop target"}
	}
	home := f
	if s.recursive { // the loop is a function that calls itself
		home = b.newFrame(f)
	}
	scopeOf := func() *frame {
		return &frame{sym: newSymbols(f.sym, home.unit, &b.work), unit: home.unit, inLoop: home.inLoop}
	}
	body, test, otherwise := scopeOf(), scopeOf(), scopeOf()
	body.inLoop = true
	s.loopSlot = -1
	if s.recursive || b.reads(s.body, "loop") || b.hasScopedBlock(s) {
		s.loopSlot = body.sym.parameter("loop").slot
	}
	body.sym.visitParameters(s.target)
	walkStmts(body.sym.visit, s.body)
	walkStmts(otherwise.sym.visit, s.otherwise)
	if err := b.target(body, s.target); err != nil {
		return err
	}
	if s.test != nil {
		test.sym.visitParameters(s.testTarget)
		test.sym.visit(s.test)
		if err := b.target(test, s.testTarget); err != nil {
			return err
		}
		if err := b.expr(test, s.test); err != nil {
			return err
		}
		s.testScope = test.sym.compile()
	}
	if err := b.scoped(body, s.body, &s.bodyScope); err != nil {
		return err
	}
	err := b.scoped(otherwise, s.otherwise, &s.elseScope)
	s.slots = home.unit.slots
	return err
}

// assignsLoop returns the line of an assignment to the name loop within a loop statement, or 0. Parameters of macros and
// with blocks may have that name.
func (b *binder) assignsLoop(s *forStmt) int {
	line := 0
	var visit func(n node)
	visit = func(n node) {
		b.work--
		switch n := n.(type) {
		case *nameTarget:
			if n.name == "loop" && line == 0 {
				line = max(n.line, 1)
			}
		case *macroStmt:
			walkAll(visit, n.def.defaults)
			walkStmts(visit, n.def.body)
		case *callStmt:
			if n.call != nil {
				visit(n.call)
			}
			walkAll(visit, n.def.defaults)
			walkStmts(visit, n.def.body)
		case *withStmt:
			walkAll(visit, n.values)
			walkStmts(visit, n.body)
		default:
			n.walk(visit)
		}
	}
	s.walk(visit)
	return line
}

func (b *binder) hasScopedBlock(n node) bool {
	found := false
	var visit func(n node)
	visit = func(n node) {
		b.work--
		if s, ok := n.(*blockStmt); ok && s.scoped {
			found = true
		}
		if !found {
			n.walk(visit)
		}
	}
	if len(b.blocks) > 0 {
		visit(n)
	}
	return found
}

// macro binds a macro or call block: a unit of its own that sees the variables around it as they are when it is called.
func (b *binder) macro(f *frame, d *macroDef, line int) error {
	in := b.newFrame(f)
	for _, p := range d.params {
		in.sym.visitParameters(p)
	}
	hasParam := func(name string) bool {
		return slices.ContainsFunc(d.params, func(p *nameTarget) bool { return p.name == name })
	}
	d.caller, d.kwargs, d.varargs = -1, -1, -1
	d.explicitCaller = hasParam("caller")
	if !d.explicitCaller {
		d.caller = b.special(in, d.body, "caller")
	} else if b.reads(d.body, "caller") {
		if i := slices.IndexFunc(d.params, func(p *nameTarget) bool { return p.name == "caller" }); i < len(d.params)-len(d.defaults) {
			return &SyntaxError{line, `the special "caller" argument of a macro must be omitted or be given a default`}
		}
	}
	if !hasParam("kwargs") {
		d.kwargs = b.special(in, d.body, "kwargs")
	}
	if !hasParam("varargs") {
		d.varargs = b.special(in, d.body, "varargs")
	}
	walkAll(in.sym.visit, d.defaults)
	walkStmts(in.sym.visit, d.body)
	for _, p := range d.params {
		if err := b.target(in, p); err != nil {
			return err
		}
	}
	if err := b.exprs(in, d.defaults); err != nil {
		return err
	}
	err := b.scoped(in, d.body, &d.scope)
	d.slots = in.unit.slots
	return err
}
