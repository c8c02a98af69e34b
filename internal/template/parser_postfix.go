package template

// tupleRules say how far an expression without brackets reaches.
type tupleRules struct {
	simple      bool // only names and literals: the target of an assignment
	attributes  bool // ns.attr may be a target
	noCondition bool // an "if" ends the expression
	empty       bool // () is a tuple
}

// attrRefExpr is ns.attr while it is parsed as a target of set; toTarget turns it into an attrTarget.
type attrRefExpr struct{ name, attr string }

func (*attrRefExpr) walk(func(node))            {}
func (*attrRefExpr) eval(*state) (Value, error) { return None, nil }

// tuple reads expressions separated by commas; a single one without a comma is just that expression.
func (p *parser) tuple(r tupleRules) (expr, error) {
	read := p.expression
	switch {
	case r.simple:
		read = func() (expr, error) { return p.primary(r.attributes) }
	case r.noCondition:
		read = p.or
	}
	var items []expr
	comma := false
	for {
		if len(items) > 0 {
			if err := p.expectOperator(","); err != nil {
				return nil, err
			}
		}
		if p.tupleEnds() {
			break
		}
		e, err := read()
		if err != nil {
			return nil, err
		}
		items = append(items, e)
		if !p.current().isOperator(",") {
			break
		}
		comma = true
	}
	if comma || len(items) == 0 && r.empty {
		return &tupleExpr{items: items}, nil
	}
	if len(items) == 0 {
		return nil, p.fail("expected an expression, got %s", p.current().describe())
	}
	return items[0], nil
}

// tupleEnds tells whether nothing can follow a trailing comma. As in Jinja, names do not count: "for a, in b" is an error.
func (p *parser) tupleEnds() bool {
	t := p.current()
	return t.kind == tokenVariableEnd || t.kind == tokenBlockEnd || t.isOperator(")")
}

// target reads what is assigned to.
func (p *parser) target(r tupleRules) (target, error) {
	e, err := p.tuple(r)
	if err != nil {
		return nil, err
	}
	return p.toTarget(e)
}

func (p *parser) toTarget(e expr) (target, error) {
	switch e := e.(type) {
	case *nameExpr:
		return &nameTarget{name: e.name, line: p.current().line}, nil
	case *attrRefExpr:
		return &attrTarget{name: e.name, attr: e.attr}, nil
	case *tupleExpr:
		t := &tupleTarget{}
		for _, item := range e.items {
			inner, err := p.toTarget(item)
			if err != nil {
				return nil, err
			}
			t.items = append(t.items, inner)
		}
		return t, nil
	}
	return nil, p.fail("can't assign to this expression")
}

// assignedName reads a single name that is assigned to.
func (p *parser) assignedName() (*nameTarget, error) {
	line := p.current().line
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if _, literal := constantNames[name]; literal {
		return nil, p.fail("can't assign to '%s'", name)
	}
	return &nameTarget{name: name, line: line}, nil
}

// cloneTarget copies a target, to be bound in another scope.
func cloneTarget(t target) target {
	switch t := t.(type) {
	case *nameTarget:
		c := *t
		return &c
	case *attrTarget:
		c := *t
		return &c
	}
	c := &tupleTarget{}
	for _, item := range t.(*tupleTarget).items {
		c.items = append(c.items, cloneTarget(item))
	}
	return c
}

// postfix reads attributes, subscripts and calls.
func (p *parser) postfix(e expr) (expr, error) {
	for {
		var err error
		switch t := p.current(); {
		case t.isOperator("."):
			e, err = p.attribute(e)
		case t.isOperator("["):
			e, err = p.subscript(e)
		case t.isOperator("("):
			e, err = p.call(e)
		default:
			return e, nil
		}
		if err == nil {
			err = p.enter()
		}
		if err != nil {
			return nil, err
		}
	}
}

// filtersAndTests reads "| name(args)", "is test" and calls of their results. Depth is restored by the caller.
func (p *parser) filtersAndTests(e expr) (expr, error) {
	for {
		var err error
		switch t := p.current(); {
		case t.isOperator("|"):
			e, err = p.filters(e)
		case t.isName("is"):
			e, err = p.test(e)
		case t.isOperator("("):
			e, err = p.call(e)
		default:
			return e, nil
		}
		if err == nil {
			err = p.enter()
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) attribute(object expr) (expr, error) {
	p.next()
	switch t := p.next(); t.kind {
	case tokenName:
		return &getattrExpr{object: object, name: t.text, key: strValue(t.text)}, nil
	case tokenInteger:
		return &getitemExpr{object: object, index: &constExpr{t.value}}, nil
	}
	return nil, p.fail("expected name or number after '.'")
}

func (p *parser) subscript(object expr) (expr, error) {
	p.next()
	var items []expr
	for !p.current().isOperator("]") {
		if len(items) > 0 {
			if err := p.expectOperator(","); err != nil {
				return nil, err
			}
		}
		e, err := p.subscribed()
		if err != nil {
			return nil, err
		}
		items = append(items, e)
	}
	p.next()
	if len(items) == 1 {
		return &getitemExpr{object: object, index: items[0]}, nil
	}
	for _, e := range items {
		if _, ok := e.(*sliceExpr); ok {
			return nil, p.fail("a slice cannot be part of a tuple")
		}
	}
	return &getitemExpr{object: object, index: &tupleExpr{items: items}}, nil
}

// subscribed reads an index or start:stop:step.
func (p *parser) subscribed() (expr, error) {
	s := &sliceExpr{}
	var err error
	if !p.current().isOperator(":") {
		if s.start, err = p.expression(); err != nil || !p.current().isOperator(":") {
			return s.start, err
		}
	}
	p.next()
	ends := func() bool { return p.current().isOperator("]") || p.current().isOperator(",") }
	if !p.current().isOperator(":") && !ends() {
		if s.stop, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.skipOperator(":") && !ends() {
		s.step, err = p.expression()
	}
	return s, err
}

func (p *parser) call(callee expr) (expr, error) {
	c := &callExpr{callee: callee}
	return c, p.arguments(&c.args)
}
