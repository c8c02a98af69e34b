package template

import "fmt"

// binder gives every name its slot and every filter and test its function. It goes through the scopes from the outside in,
// because the names of a scope depend on those around it.
type binder struct {
	env    *environment
	work   int // left; see maxScopeWork
	blocks map[string]*blockDef
}

// frame is the place being bound.
type frame struct {
	sym      *symbols
	unit     *unit
	toplevel bool // outside of everything but ifs: assignments reach the context
	soft     bool // directly in a condition: an unknown filter is an error only when it is reached
	inLoop   bool // break and continue are allowed
}

// program is the template as one unit.
type program struct {
	body   []stmt
	scope  scope
	slots  int
	self   int // slot of self; -1: not used
	blocks map[string]*blockDef
}

func bind(env *environment, body []stmt) (*program, error) {
	b := &binder{env: env, work: maxScopeWork, blocks: map[string]*blockDef{}}
	for _, s := range body {
		if err := b.collectBlocks(s); err != nil {
			return nil, err
		}
	}
	f := b.newFrame(nil)
	f.toplevel = true
	p := &program{body: body, blocks: b.blocks, self: b.special(f, body, "self")}
	walkStmts(f.sym.visit, body)
	if err := b.stmts(f, body); err != nil {
		return nil, err
	}
	p.scope, p.slots = f.sym.compile(), f.unit.slots
	for _, def := range b.blocks {
		if err := b.blockDef(def); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// newFrame starts a unit of its own.
func (b *binder) newFrame(outer *frame) *frame {
	u := &unit{}
	if outer == nil {
		return &frame{sym: newSymbols(nil, u, &b.work), unit: u}
	}
	u.outer = outer.unit
	return &frame{sym: newSymbols(outer.sym, u, &b.work), unit: u}
}

// inner starts a scope within the unit.
func (b *binder) inner(f *frame) *frame {
	return &frame{sym: newSymbols(f.sym, f.unit, &b.work), unit: f.unit, inLoop: f.inLoop}
}

func (f *frame) softened() *frame {
	s := *f
	s.soft = true
	return &s
}

// special declares a name that the unit provides if its body reads it, and returns the slot or -1.
func (b *binder) special(f *frame, body []stmt, name string) int {
	if !b.reads(body, name) {
		return -1
	}
	return f.sym.parameter(name).slot
}

// reads tells whether the body reads name before it assigns it anywhere, however deep inside.
func (b *binder) reads(body []stmt, name string) bool {
	found, stored := false, false
	var visit func(n node)
	visit = func(n node) {
		b.work--
		if found || stored {
			return
		}
		switch n := n.(type) {
		case *nameExpr:
			found = n.name == name
		case *nameTarget:
			stored = n.name == name
		case *blockStmt:
		default:
			n.walk(visit)
		}
	}
	walkStmts(visit, body)
	return found
}

func (b *binder) collectBlocks(n node) error {
	var err error
	b.work--
	if s, ok := n.(*blockStmt); ok {
		if b.blocks[s.name] != nil {
			return &SyntaxError{s.lineno(), fmt.Sprintf("block '%s' defined twice", s.name)}
		}
		b.blocks[s.name] = &blockDef{name: s.name, body: s.body}
		s.fn = b.blocks[s.name]
	}
	n.walk(func(child node) {
		if err == nil {
			err = b.collectBlocks(child)
		}
	})
	return err
}

func (b *binder) blockDef(def *blockDef) error {
	f := b.newFrame(nil)
	def.self = b.special(f, def.body, "self")
	def.base = b.special(f, def.body, "super")
	walkStmts(f.sym.visit, def.body)
	err := b.stmts(f, def.body)
	def.scope, def.slots = f.sym.compile(), f.unit.slots
	return err
}

func (b *binder) stmts(f *frame, body []stmt) error {
	for _, s := range body {
		if b.work < 0 {
			return &SyntaxError{s.lineno(), "template has too many names and branches"}
		}
		if err := b.stmt(f, s); err != nil {
			return err
		}
	}
	return nil
}

func (b *binder) stmt(f *frame, s stmt) error {
	switch s := s.(type) {
	case *outputStmt:
		return b.exprs(f, s.parts)
	case *ifStmt:
		return b.ifStmt(f, s)
	case *forStmt:
		return b.forStmt(f, s)
	case *macroStmt:
		err := b.macro(f, &s.def, s.lineno())
		s.ref, s.export = f.unit.ref(f.sym.find(s.name)), f.toplevel && len(b.blocks) > 0
		return err
	case *callStmt:
		if err := b.macro(f, &s.def, s.lineno()); err != nil || s.call == nil {
			return err
		}
		return b.expr(f, s.call)
	case *filterStmt:
		in := b.inner(f)
		walkStmts(in.sym.visit, s.body)
		in.sym.visit(s.filter)
		if err := b.expr(in, s.filter); err != nil {
			return err
		}
		return b.scoped(in, s.body, &s.scope)
	case *setStmt:
		s.exports = b.exports(f, s.target)
		if err := b.expr(f, s.value); err != nil {
			return err
		}
		return b.target(f, s.target)
	case *setBlockStmt:
		return b.setBlock(f, s)
	case *withStmt:
		return b.with(f, s)
	case *autoescapeStmt:
		in := b.inner(f)
		in.sym.visit(s.enabled)
		walkStmts(in.sym.visit, s.body)
		if err := b.expr(in, s.enabled); err != nil {
			return err
		}
		return b.scoped(in, s.body, &s.scope)
	case *blockStmt:
		if s.scoped {
			s.locals = b.locals(f)
		}
	case *loaderStmt:
		if s.tag == "extends" && !f.toplevel {
			return &SyntaxError{s.lineno(), "cannot use extend from a non top-level scope"}
		}
		return b.expr(f, s.template)
	case *breakStmt, *continueStmt:
		if !f.inLoop {
			return &SyntaxError{s.lineno(), "break or continue outside of a loop"}
		}
	}
	return nil
}

// scoped binds the body of a scope whose names are recorded.
func (b *binder) scoped(in *frame, body []stmt, sc *scope) error {
	err := b.stmts(in, body)
	*sc = in.sym.compile()
	return err
}

func (b *binder) ifStmt(f *frame, s *ifStmt) error {
	f = f.softened()
	if err := b.expr(f, s.test); err != nil {
		return err
	}
	if err := b.stmts(f, s.body); err != nil {
		return err
	}
	for _, e := range s.elifs {
		if err := b.ifStmt(f, e); err != nil {
			return err
		}
	}
	return b.stmts(f, s.otherwise)
}

func (b *binder) setBlock(f *frame, s *setBlockStmt) error {
	s.exports = b.exports(f, s.target)
	in := b.inner(f)
	walkStmts(in.sym.visit, s.body) // not the filter: Jinja overlooks it, so its arguments must be known by other uses
	if err := b.target(f, s.target); err != nil {
		return err
	}
	if s.filter != nil {
		if err := b.expr(in, s.filter); err != nil {
			return err
		}
	}
	return b.scoped(in, s.body, &s.scope)
}

func (b *binder) with(f *frame, s *withStmt) error {
	in := b.inner(f)
	for _, t := range s.targets {
		in.sym.visitParameters(t)
	}
	walkStmts(in.sym.visit, s.body)
	if err := b.exprs(f, s.values); err != nil {
		return err
	}
	for _, t := range s.targets {
		if err := b.target(in, t); err != nil {
			return err
		}
	}
	return b.scoped(in, s.body, &s.scope)
}

// exports lists the names of a target that blocks can see.
func (b *binder) exports(f *frame, t target) []export {
	if !f.toplevel || len(b.blocks) == 0 {
		return nil
	}
	var list []export
	var visit func(n node)
	visit = func(n node) {
		if t, ok := n.(*nameTarget); ok {
			list = append(list, export{t.name, f.unit.ref(f.sym.find(t.name))})
			return
		}
		n.walk(visit)
	}
	visit(t)
	return list
}

// locals lists what was assigned in the scopes around, the innermost of each name.
func (b *binder) locals(f *frame) []export {
	var list []export
	seen := map[string]bool{}
	for sym := f.sym; sym != nil; sym = sym.parent {
		for name := range sym.stores {
			if !seen[name] {
				seen[name] = true
				list = append(list, export{name, f.unit.ref(f.sym.find(name))})
			}
		}
	}
	return list
}
