package template

// constantNames are the names that are values.
var constantNames = map[string]Value{
	"true": boolValue(true), "True": boolValue(true), "false": boolValue(false), "False": boolValue(false),
	"none": None, "None": None,
}

// expression reads a full expression, inline conditions included.
func (p *parser) expression() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func(depth int) { p.depth = depth }(p.depth - 1)
	line := p.current().line
	e, err := p.or()
	for err == nil && p.skipName("if") {
		cond := &condExpr{then: e, line: line}
		if cond.test, err = p.or(); err != nil {
			return nil, err
		}
		if p.skipName("else") {
			if cond.otherwise, err = p.expression(); err != nil {
				return nil, err
			}
		}
		e, line, err = cond, p.current().line, p.enter()
	}
	return e, err
}

// chain reads operands joined by left-associative operators. Every operator makes the tree one level deeper.
func (p *parser) chain(operand func() (expr, error), operator func() string, join func(op string, left, right expr) expr) (expr, error) {
	defer func(depth int) { p.depth = depth }(p.depth)
	e, err := operand()
	for err == nil {
		op := operator()
		if op == "" {
			return e, nil
		}
		if err := p.enter(); err != nil {
			return nil, err
		}
		var right expr
		if right, err = operand(); err == nil {
			e = join(op, e, right)
		}
	}
	return nil, err
}

// keyword makes an operator that is a name.
func (p *parser) keyword(name string) func() string {
	return func() string {
		if p.skipName(name) {
			return name
		}
		return ""
	}
}

// symbols makes an operator that is one of the given ones.
func (p *parser) symbols(ops ...string) func() string {
	return func() string {
		for _, op := range ops {
			if p.skipOperator(op) {
				return op
			}
		}
		return ""
	}
}

func joinBinary(op string, left, right expr) expr {
	return &binaryExpr{op: operator(op), left: left, right: right}
}

func (p *parser) or() (expr, error) {
	return p.chain(p.and, p.keyword("or"), func(_ string, left, right expr) expr {
		return &logicExpr{or: true, left: left, right: right}
	})
}

func (p *parser) and() (expr, error) {
	return p.chain(p.not, p.keyword("and"), func(_ string, left, right expr) expr {
		return &logicExpr{left: left, right: right}
	})
}

func (p *parser) not() (expr, error) {
	if !p.skipName("not") {
		return p.compare()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	e, err := p.not()
	return &notExpr{operand: e}, err
}

// compareOperator consumes the operator of a comparison, or returns nothing.
func (p *parser) compareOperator() string {
	if p.current().isName("not") && p.peek().isName("in") {
		p.next()
		p.next()
		return "not in"
	}
	if p.skipName("in") {
		return "in"
	}
	return p.symbols("==", "!=", "<", "<=", ">", ">=")()
}

func (p *parser) compare() (expr, error) {
	first, err := p.sum()
	if err != nil {
		return nil, err
	}
	c := &compareExpr{first: first}
	for {
		op := p.compareOperator()
		if op == "" {
			break
		}
		operand, err := p.sum()
		if err != nil {
			return nil, err
		}
		c.ops = append(c.ops, op)
		c.operands = append(c.operands, operand)
	}
	if len(c.ops) == 0 {
		return first, nil
	}
	return c, nil
}

func (p *parser) sum() (expr, error) { return p.chain(p.concat, p.symbols("+", "-"), joinBinary) }

func (p *parser) concat() (expr, error) {
	e, err := p.product()
	if err != nil || !p.current().isOperator("~") {
		return e, err
	}
	c := &concatExpr{parts: []expr{e}}
	for p.skipOperator("~") {
		if e, err = p.product(); err != nil {
			return nil, err
		}
		c.parts = append(c.parts, e)
	}
	return c, nil
}

func (p *parser) product() (expr, error) {
	return p.chain(p.power, p.symbols("*", "/", "//", "%"), joinBinary)
}

// power is left-associative in Jinja, and binds less than a sign: -2**2 is 4.
func (p *parser) power() (expr, error) {
	return p.chain(func() (expr, error) { return p.unary(true) }, p.symbols("**"), joinBinary)
}

func (p *parser) unary(withFilters bool) (expr, error) {
	defer func(depth int) { p.depth = depth }(p.depth)
	var e expr
	var err error
	if op := p.symbols("-", "+")(); op != "" {
		if err := p.enter(); err != nil {
			return nil, err
		}
		var operand expr
		operand, err = p.unary(false)
		e = &unaryExpr{negative: op == "-", operand: operand}
	} else {
		e, err = p.primary(false)
	}
	if err == nil {
		e, err = p.postfix(e)
	}
	if err == nil && withFilters {
		e, err = p.filtersAndTests(e)
	}
	return e, err
}

// primary reads a literal, a name or a bracketed expression; with attributes also ns.attr as a target of set.
func (p *parser) primary(attributes bool) (expr, error) {
	t := p.current()
	switch t.kind {
	case tokenName:
		p.next()
		if v, ok := constantNames[t.text]; ok {
			return &constExpr{v}, nil
		}
		if attributes && p.skipOperator(".") {
			attr, err := p.name()
			return &attrRefExpr{name: t.text, attr: attr}, err
		}
		return &nameExpr{name: t.text}, nil
	case tokenString:
		s := p.next().text
		for p.current().kind == tokenString {
			s += p.next().text
		}
		return &constExpr{strValue(s)}, nil
	case tokenInteger, tokenFloat:
		return &constExpr{p.next().value}, nil
	case tokenOperator:
		switch t.text {
		case "(":
			return p.parenthesized()
		case "[":
			return p.list()
		case "{":
			return p.dict()
		}
	}
	return nil, p.fail("unexpected %s", t.describe())
}

func (p *parser) parenthesized() (expr, error) {
	p.next()
	e, err := p.tuple(tupleRules{empty: true})
	if err != nil {
		return nil, err
	}
	return e, p.expectOperator(")")
}

func (p *parser) list() (expr, error) {
	p.next()
	l := &listExpr{}
	for !p.current().isOperator("]") {
		if len(l.items) > 0 {
			if err := p.expectOperator(","); err != nil {
				return nil, err
			}
			if p.current().isOperator("]") {
				break
			}
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, e)
	}
	p.next()
	return l, nil
}

func (p *parser) dict() (expr, error) {
	p.next()
	d := &dictExpr{}
	for !p.current().isOperator("}") {
		if len(d.keys) > 0 {
			if err := p.expectOperator(","); err != nil {
				return nil, err
			}
			if p.current().isOperator("}") {
				break
			}
		}
		key, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expectOperator(":"); err != nil {
			return nil, err
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		d.keys = append(d.keys, key)
		d.values = append(d.values, value)
	}
	p.next()
	return d, nil
}
