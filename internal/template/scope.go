package template

// Jinja decides while compiling where each name lives; the rules have corners that templates (unknowingly) rely on, so they
// are followed exactly. A symbols table belongs to one scope: the template, a loop body, a macro, a with block and so on;
// the branches of an if share their scope. Looking for a name in a scope, before any of it runs, gives one of:
//
//	parameter  the scope's own syntax sets it (loop target, macro argument)
//	resolve    nobody around sets it: it is read from the context when the scope is entered
//	alias      an outer scope has it and this one assigns it too: it starts as a copy of the outer value
//	unset      only this scope assigns it: undefined until then, even if the context has the name

type loadKind int

const (
	loadParameter loadKind = iota
	loadResolve
	loadAlias
	loadUnset
)

// variable is a name in one scope.
type variable struct {
	name string
	unit *unit
	slot int
}

// unit is what becomes one activation at run time: the template, a macro, a recursive loop or a block.
type unit struct {
	outer *unit
	slots int
}

type load struct {
	kind loadKind
	from *variable // of an alias
}

type symbols struct {
	parent *symbols
	unit   *unit
	own    map[string]*variable // every variable ever made for this scope; shared by the copies for branches
	refs   map[string]*variable // names known at this point
	loads  map[*variable]load
	stores map[string]bool
	work   *int // left of the work that scopes may cost; shared by the whole template
}

// maxScopeWork bounds the copying of symbol tables for branches, which grows with names times branches.
const maxScopeWork = 5_000_000

func newSymbols(parent *symbols, u *unit, work *int) *symbols {
	return &symbols{
		parent: parent, unit: u, work: work,
		own: map[string]*variable{}, refs: map[string]*variable{}, loads: map[*variable]load{}, stores: map[string]bool{},
	}
}

func (s *symbols) define(name string, l load) *variable {
	v := s.own[name]
	if v == nil {
		v = &variable{name: name, unit: s.unit, slot: s.unit.slots}
		s.unit.slots++
		s.own[name] = v
	}
	s.refs[name] = v
	s.loads[v] = l
	return v
}

// find returns the variable that name means here, or nil.
func (s *symbols) find(name string) *variable {
	for ; s != nil; s = s.parent {
		*s.work--
		if v := s.refs[name]; v != nil {
			return v
		}
	}
	return nil
}

func (s *symbols) load(name string) {
	if s.find(name) == nil {
		s.define(name, load{kind: loadResolve})
	}
}

func (s *symbols) store(name string) {
	s.stores[name] = true
	if s.refs[name] != nil {
		return
	}
	if outer := s.parent.find(name); outer != nil {
		s.define(name, load{loadAlias, outer})
		return
	}
	s.define(name, load{kind: loadUnset})
}

func (s *symbols) parameter(name string) *variable {
	s.stores[name] = true
	return s.define(name, load{kind: loadParameter})
}

func (s *symbols) copy() *symbols {
	c := *s
	*s.work -= len(s.refs) + len(s.stores)
	c.refs = make(map[string]*variable, len(s.refs))
	for k, v := range s.refs {
		c.refs[k] = v
	}
	c.loads = make(map[*variable]load, len(s.loads))
	for k, v := range s.loads {
		c.loads[k] = v
	}
	c.stores = make(map[string]bool, len(s.stores))
	for k := range s.stores {
		c.stores[k] = true
	}
	return &c
}

// merge takes over what the branches of an if found. A name that only branches assign may stay unassigned, so it starts
// from the context or the outer scope.
func (s *symbols) merge(branches ...*symbols) {
	fresh := map[string]bool{}
	for _, b := range branches {
		for name := range b.stores {
			if !s.stores[name] {
				fresh[name] = true
			}
		}
	}
	for _, b := range branches {
		*s.work -= len(b.refs) + len(b.stores)
		for name, v := range b.refs {
			s.refs[name] = v
		}
		for v, l := range b.loads {
			s.loads[v] = l
		}
		for name := range b.stores {
			s.stores[name] = true
		}
	}
	for name := range fresh {
		v := s.refs[name]
		if outer := s.parent.find(name); outer != nil {
			s.loads[v] = load{loadAlias, outer}
		} else {
			s.loads[v] = load{kind: loadResolve}
		}
	}
}

// visit records the names that a node uses in this scope. It stops where another scope begins.
func (s *symbols) visit(n node) {
	switch n := n.(type) {
	case *nameExpr:
		s.load(n.name)
	case *nameTarget:
		s.store(n.name)
	case *attrTarget:
		s.load(n.name)
	case *ifStmt:
		s.visitIf(n)
	case *macroStmt:
		s.store(n.name)
	case *loaderStmt:
		s.visit(n.template)
		for _, t := range n.defines {
			s.store(t.name)
		}
	case *setStmt: // the value before the target: {% set x = x %} reads the context
		s.visit(n.value)
		s.visit(n.target)
	case *setBlockStmt:
		s.visit(n.target)
	case *forStmt:
		s.visit(n.iterable)
	case *callStmt:
		if n.call != nil {
			s.visit(n.call)
		}
	case *filterStmt:
		s.visit(n.filter)
	case *withStmt:
		walkAll(s.visit, n.values)
	case *autoescapeStmt, *blockStmt:
	default:
		n.walk(s.visit)
	}
}

func (s *symbols) visitIf(n *ifStmt) {
	if *s.work < 0 { // the binder refuses the template
		return
	}
	s.visit(n.test)
	body, elifs, otherwise := s.copy(), s.copy(), s.copy()
	walkStmts(body.visit, n.body)
	for _, e := range n.elifs {
		elifs.visit(e)
	}
	walkStmts(otherwise.visit, n.otherwise)
	s.merge(body, elifs, otherwise)
}

// visitParameters records targets that the scope's syntax sets.
func (s *symbols) visitParameters(n node) {
	if t, ok := n.(*nameTarget); ok {
		s.parameter(t.name)
		return
	}
	n.walk(s.visitParameters)
}

// scope is what happens to the slots of a scope when it is entered.
type scope struct {
	resolve []resolveSlot
	alias   []aliasSlot
	unset   []int
}

type resolveSlot struct {
	slot int
	name string
}

type aliasSlot struct {
	slot int
	from ref
}

// compile turns the loads into the work of entering the scope.
func (s *symbols) compile() scope {
	var sc scope
	for v, l := range s.loads {
		switch l.kind {
		case loadResolve:
			sc.resolve = append(sc.resolve, resolveSlot{v.slot, v.name})
		case loadAlias:
			sc.alias = append(sc.alias, aliasSlot{v.slot, s.unit.ref(l.from)})
		case loadUnset:
			sc.unset = append(sc.unset, v.slot)
		}
	}
	return sc
}

// ref addresses a variable from code of unit u.
func (u *unit) ref(v *variable) ref {
	hops := 0
	for ; u != nil && u != v.unit; u = u.outer {
		hops++
	}
	return ref{hops, v.slot}
}
