package template

import "slices"

// arguments reads a parenthesized argument list.
func (p *parser) arguments(a *arguments) error {
	if err := p.expectOperator("("); err != nil {
		return err
	}
	for first := true; !p.current().isOperator(")"); first = false {
		if !first {
			if err := p.expectOperator(","); err != nil {
				return err
			}
			if p.current().isOperator(")") {
				break
			}
		}
		if err := p.argument(a); err != nil {
			return err
		}
	}
	p.next()
	return nil
}

func (p *parser) argument(a *arguments) error {
	const misplaced = "invalid syntax for function call expression"
	var err error
	switch {
	case p.current().isOperator("*"):
		if a.star != nil || a.dict != nil {
			return p.fail(misplaced)
		}
		p.next()
		a.star, err = p.expression()
	case p.current().isOperator("**"):
		if a.dict != nil {
			return p.fail(misplaced)
		}
		p.next()
		a.dict, err = p.expression()
	case p.current().kind == tokenName && p.peek().isOperator("="):
		if a.dict != nil {
			return p.fail(misplaced)
		}
		name := p.next().text
		if slices.Contains(a.names, name) {
			return p.fail("keyword argument repeated: %s", name)
		}
		p.next()
		var value expr
		value, err = p.expression()
		a.names = append(a.names, name)
		a.values = append(a.values, value)
	default:
		if a.star != nil || a.dict != nil || len(a.names) > 0 {
			return p.fail(misplaced)
		}
		var value expr
		value, err = p.expression()
		a.positional = append(a.positional, value)
	}
	return err
}

// dottedName reads the name of a filter or test.
func (p *parser) dottedName() (string, error) {
	name, err := p.name()
	for err == nil && p.skipOperator(".") {
		var part string
		part, err = p.name()
		name += "." + part
	}
	return name, err
}

// filters reads "| a | b(x)" behind input, which is nil for the text of a block.
func (p *parser) filters(input expr) (f *filterExpr, err error) {
	for p.skipOperator("|") {
		if f, err = p.filter(input); err != nil {
			return nil, err
		}
		if err := p.enter(); err != nil {
			return nil, err
		}
		input = f
	}
	return f, nil
}

// filter reads the name and arguments of one filter.
func (p *parser) filter(input expr) (*filterExpr, error) {
	f := &filterExpr{input: input, line: p.current().line}
	var err error
	if f.name, err = p.dottedName(); err == nil && p.current().isOperator("(") {
		err = p.arguments(&f.args)
	}
	return f, err
}

// test reads "is [not] name", with arguments in parentheses or a single one without.
func (p *parser) test(input expr) (expr, error) {
	line := p.next().line
	negated := p.skipName("not")
	t := &testExpr{input: input, line: line}
	var err error
	if t.name, err = p.dottedName(); err != nil {
		return nil, err
	}
	switch {
	case p.current().isOperator("("):
		err = p.arguments(&t.args)
	case p.testArgumentFollows():
		if p.current().isName("is") {
			return nil, p.fail("you cannot chain multiple tests with is")
		}
		var e expr
		if e, err = p.primary(false); err == nil {
			e, err = p.postfix(e)
		}
		t.args.positional = []expr{e}
	}
	if negated {
		return &notExpr{operand: t}, err
	}
	return t, err
}

func (p *parser) testArgumentFollows() bool {
	t := p.current()
	switch t.kind {
	case tokenName:
		return !t.isName("else") && !t.isName("or") && !t.isName("and")
	case tokenString, tokenInteger, tokenFloat:
		return true
	}
	return t.isOperator("[") || t.isOperator("{")
}
