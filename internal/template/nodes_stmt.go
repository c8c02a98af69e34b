package template

// stmt is a node that is executed: it writes output, assigns, or directs the flow.
type stmt interface {
	node
	exec(st *state) (flow, error)
	lineno() int
}

// position is the line that a statement starts on.
type position int

func (p position) lineno() int { return int(p) }

type (
	// outputStmt writes texts and values in turn.
	outputStmt struct {
		position
		parts []expr // template text is a *textExpr
	}

	// textExpr is template text between tags.
	textExpr struct{ text string }

	ifStmt struct {
		position
		test      expr
		body      []stmt
		elifs     []*ifStmt // with test and body only
		otherwise []stmt
	}

	forStmt struct {
		position
		target     target
		iterable   expr
		test       expr   // nil: every item
		testTarget target // the target once more, bound in the scope of test
		recursive  bool
		body       []stmt
		otherwise  []stmt

		bodyScope, testScope, elseScope scope
		loopSlot                        int // of the loop variable; -1: not used
		slots                           int // of the function that a recursive loop is
	}

	macroStmt struct {
		position
		name   string
		ref    ref
		def    macroDef
		export bool // visible to blocks
	}

	// callStmt is {% call %}: the block becomes the macro "caller" of a call. A generation block has no call and just runs.
	callStmt struct {
		position
		def  macroDef
		call *callExpr
	}

	filterStmt struct {
		position
		filter *filterExpr
		body   []stmt
		scope  scope
	}

	setStmt struct {
		position
		target  target
		value   expr
		exports []export
	}

	setBlockStmt struct {
		position
		target  target
		filter  *filterExpr // nil: none
		body    []stmt
		scope   scope
		exports []export
	}

	withStmt struct {
		position
		targets []target
		values  []expr
		body    []stmt
		scope   scope
	}

	autoescapeStmt struct {
		position
		enabled expr
		body    []stmt
		scope   scope
	}

	// blockStmt is {% block %}. Without inheritance it renders in place, as a function that sees the context only.
	blockStmt struct {
		position
		name             string
		scoped, required bool
		body             []stmt
		locals           []export // what a scoped block sees of its surroundings
		fn               *blockDef
	}

	// loaderStmt is include, import, from or extends: there is nothing to load from.
	loaderStmt struct {
		position
		tag      string
		template expr
		defines  []*nameTarget // names that an import would set
	}

	breakStmt    struct{ position }
	continueStmt struct{ position }
)

// macroDef is the compiled form of a macro or call block.
type macroDef struct {
	name     string // empty for call blocks
	params   []*nameTarget
	defaults []expr // of the last parameters
	body     []stmt

	scope                   scope
	slots                   int
	caller, kwargs, varargs int // slots of the special names; -1: not used
	explicitCaller          bool
}

// blockDef is the compiled form of a block.
type blockDef struct {
	name       string
	body       []stmt
	scope      scope
	slots      int
	self, base int // slots of self and super; -1: not used
}

// export copies a variable into the context, where blocks find it.
type export struct {
	name string
	ref  ref
}

func walkStmts(visit func(node), body []stmt) {
	for _, s := range body {
		visit(s)
	}
}

func (s *outputStmt) walk(visit func(node)) { walkAll(visit, s.parts) }
func (*textExpr) walk(func(node))           {}
func (s *ifStmt) walk(visit func(node)) {
	visit(s.test)
	walkStmts(visit, s.body)
	for _, e := range s.elifs {
		visit(e)
	}
	walkStmts(visit, s.otherwise)
}
func (s *forStmt) walk(visit func(node)) {
	visit(s.target)
	visit(s.iterable)
	walkStmts(visit, s.body)
	walkStmts(visit, s.otherwise)
	walkSome(visit, s.test)
}
func (d *macroDef) walk(visit func(node)) {
	for _, p := range d.params {
		visit(p)
	}
	walkAll(visit, d.defaults)
	walkStmts(visit, d.body)
}
func (s *macroStmt) walk(visit func(node)) { s.def.walk(visit) }
func (s *callStmt) walk(visit func(node)) {
	if s.call != nil {
		visit(s.call)
	}
	s.def.walk(visit)
}
func (s *filterStmt) walk(visit func(node)) { walkStmts(visit, s.body); visit(s.filter) }
func (s *setStmt) walk(visit func(node))    { visit(s.target); visit(s.value) }
func (s *setBlockStmt) walk(visit func(node)) {
	visit(s.target)
	if s.filter != nil {
		visit(s.filter)
	}
	walkStmts(visit, s.body)
}
func (s *withStmt) walk(visit func(node)) {
	for _, t := range s.targets {
		visit(t)
	}
	walkAll(visit, s.values)
	walkStmts(visit, s.body)
}
func (s *autoescapeStmt) walk(visit func(node)) { visit(s.enabled); walkStmts(visit, s.body) }
func (s *blockStmt) walk(visit func(node))      { walkStmts(visit, s.body) }
func (s *loaderStmt) walk(visit func(node))     { visit(s.template) }
func (breakStmt) walk(func(node))               {}
func (continueStmt) walk(func(node))            {}
