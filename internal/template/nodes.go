package template

// node is a part of a parsed template. walk calls visit for each direct child in the order in which Jinja's own syntax
// tree holds them; the scoping rules depend on that order.
type node interface {
	walk(visit func(node))
}

// expr is a node with a value.
type expr interface {
	node
	eval(st *state) (Value, error)
}

// ref says where a variable lives at run time: so many functions outwards, in that slot. Bind fills it in.
type ref struct{ hops, slot int }

type (
	constExpr struct{ value Value }

	nameExpr struct {
		name string
		ref  ref
	}

	tupleExpr struct{ items []expr }
	listExpr  struct{ items []expr }
	dictExpr  struct{ keys, values []expr }

	condExpr struct {
		test, then expr
		otherwise  expr // nil: undefined
		line       int
	}

	binaryExpr struct {
		op          operator
		left, right expr
	}

	logicExpr struct { // and, or
		or          bool
		left, right expr
	}

	notExpr   struct{ operand expr }
	unaryExpr struct {
		negative bool
		operand  expr
	}

	// compareExpr is a chain: a < b < c evaluates b once.
	compareExpr struct {
		first    expr
		ops      []string
		operands []expr
	}

	concatExpr struct{ parts []expr } // a ~ b

	getattrExpr struct {
		object expr
		name   string
		key    Value // the name as a Value
	}

	getitemExpr struct{ object, index expr }

	// sliceExpr is the index of x[start:stop:step]; absent parts are nil.
	sliceExpr struct{ start, stop, step expr }

	callExpr struct {
		callee expr
		args   arguments
	}

	filterExpr struct {
		input expr // nil: the text of a filter or set block
		name  string
		args  arguments
		impl  *function // nil: unknown, an error when it is reached
		line  int
	}

	testExpr struct {
		input expr
		name  string
		args  arguments
		impl  *function
		line  int
	}
)

// arguments of a call as written.
type arguments struct {
	positional []expr
	names      []string // of keywords
	values     []expr
	star, dict expr // *args and **kwargs, or nil
}

func (a *arguments) walk(visit func(node)) {
	walkAll(visit, a.positional)
	walkAll(visit, a.values)
	walkSome(visit, a.star, a.dict)
}

func walkAll(visit func(node), items []expr) {
	for _, e := range items {
		visit(e)
	}
}

// walkSome visits those that are there.
func walkSome(visit func(node), items ...expr) {
	for _, e := range items {
		if e != nil {
			visit(e)
		}
	}
}

func (*constExpr) walk(func(node))         {}
func (*nameExpr) walk(func(node))          {}
func (e *tupleExpr) walk(visit func(node)) { walkAll(visit, e.items) }
func (e *listExpr) walk(visit func(node))  { walkAll(visit, e.items) }
func (e *dictExpr) walk(visit func(node)) {
	for i := range e.keys {
		visit(e.keys[i])
		visit(e.values[i])
	}
}
func (e *condExpr) walk(visit func(node))    { walkSome(visit, e.test, e.then, e.otherwise) }
func (e *binaryExpr) walk(visit func(node))  { walkSome(visit, e.left, e.right) }
func (e *logicExpr) walk(visit func(node))   { walkSome(visit, e.left, e.right) }
func (e *notExpr) walk(visit func(node))     { visit(e.operand) }
func (e *unaryExpr) walk(visit func(node))   { visit(e.operand) }
func (e *compareExpr) walk(visit func(node)) { visit(e.first); walkAll(visit, e.operands) }
func (e *concatExpr) walk(visit func(node))  { walkAll(visit, e.parts) }
func (e *getattrExpr) walk(visit func(node)) { visit(e.object) }
func (e *getitemExpr) walk(visit func(node)) { walkSome(visit, e.object, e.index) }
func (e *sliceExpr) walk(visit func(node))   { walkSome(visit, e.start, e.stop, e.step) }
func (e *callExpr) walk(visit func(node))    { visit(e.callee); e.args.walk(visit) }
func (e *filterExpr) walk(visit func(node))  { walkSome(visit, e.input); e.args.walk(visit) }
func (e *testExpr) walk(visit func(node))    { visit(e.input); e.args.walk(visit) }

// target is what an assignment, a loop or a with block writes to.
type target interface {
	node
	assign(st *state, v Value) error
}

type (
	nameTarget struct {
		name string
		ref  ref
		line int
	}

	// attrTarget is ns.attr; only namespaces can be assigned to.
	attrTarget struct {
		name, attr string
		ref        ref
	}

	tupleTarget struct{ items []target }
)

func (*nameTarget) walk(func(node)) {}
func (*attrTarget) walk(func(node)) {}
func (t *tupleTarget) walk(visit func(node)) {
	for _, item := range t.items {
		visit(item)
	}
}
