package template

import "slices"

// statementParser is called with the tag's name as current token.
type statementParser func(p *parser) (stmt, error)

// statementParsers lists the tags. It is a function because the parsers lead back to it.
func statementParsers() map[string]statementParser {
	return map[string]statementParser{
		"for":        (*parser).forBlock,
		"if":         (*parser).ifBlock,
		"set":        (*parser).set,
		"macro":      (*parser).macro,
		"call":       (*parser).callBlock,
		"filter":     (*parser).filterBlock,
		"with":       (*parser).with,
		"print":      (*parser).print,
		"block":      (*parser).block,
		"autoescape": (*parser).autoescape,
		"include":    (*parser).include,
		"import":     (*parser).importAs,
		"from":       (*parser).fromImport,
		"extends":    (*parser).extends,
		"break":      func(p *parser) (stmt, error) { return &breakStmt{p.start()}, nil },
		"continue":   func(p *parser) (stmt, error) { return &continueStmt{p.start()}, nil },
		"generation": (*parser).generation,
	}
}

func (p *parser) statement() (stmt, error) {
	t := p.current()
	if t.kind != tokenName {
		return nil, p.fail("tag name expected, got %s", t.describe())
	}
	parse := p.statements[t.text]
	if parse == nil {
		return nil, p.unknownTag(t.text)
	}
	p.blocks = append(p.blocks, t.text)
	s, err := parse(p)
	p.blocks = p.blocks[:len(p.blocks)-1]
	return s, err
}

func (p *parser) unknownTag(name string) error {
	if len(p.blocks) > 0 {
		return p.fail("unknown tag '%s'; the innermost block to be closed is '%s'", name, p.blocks[len(p.blocks)-1])
	}
	return p.fail("unknown tag '%s'", name)
}

// start consumes the tag's name and gives the statement's line.
func (p *parser) start() position { return position(p.next().line) }

func (p *parser) set() (stmt, error) {
	pos := p.start()
	t, err := p.target(tupleRules{simple: true, attributes: true})
	if err != nil {
		return nil, err
	}
	if p.skipOperator("=") {
		value, err := p.tuple(tupleRules{})
		return &setStmt{position: pos, target: t, value: value}, err
	}
	s := &setBlockStmt{position: pos, target: t}
	if p.current().isOperator("|") {
		if s.filter, err = p.filters(nil); err != nil {
			return nil, err
		}
	}
	s.body, err = p.closedBody("endset")
	return s, err
}

func (p *parser) forBlock() (stmt, error) {
	s := &forStmt{position: p.start()}
	var err error
	if s.target, err = p.target(tupleRules{simple: true}); err != nil {
		return nil, err
	}
	if err := p.expectName("in"); err != nil {
		return nil, err
	}
	if s.iterable, err = p.tuple(tupleRules{noCondition: true}); err != nil {
		return nil, err
	}
	if p.skipName("if") {
		if s.test, err = p.expression(); err != nil {
			return nil, err
		}
		s.testTarget = cloneTarget(s.target)
	}
	s.recursive = p.skipName("recursive")
	if s.body, err = p.blockBody("endfor", "else"); err != nil {
		return nil, err
	}
	if p.next().text == "else" {
		s.otherwise, err = p.closedBody("endfor")
	}
	return s, err
}

// ifBlock keeps elif branches flat, so that a long chain does not become deep.
func (p *parser) ifBlock() (stmt, error) {
	pos := p.start()
	root := &ifStmt{position: pos}
	for s := root; ; {
		var err error
		if s.test, err = p.tuple(tupleRules{noCondition: true}); err != nil {
			return nil, err
		}
		if s.body, err = p.blockBody("elif", "else", "endif"); err != nil {
			return nil, err
		}
		t := p.next()
		if t.text == "elif" {
			s = &ifStmt{position: position(t.line)}
			root.elifs = append(root.elifs, s)
			continue
		}
		if t.text == "else" {
			root.otherwise, err = p.closedBody("endif")
		}
		return root, err
	}
}

func (p *parser) with() (stmt, error) {
	s := &withStmt{position: p.start()}
	for p.current().kind != tokenBlockEnd {
		if len(s.targets) > 0 {
			if err := p.expectOperator(","); err != nil {
				return nil, err
			}
		}
		t, err := p.target(tupleRules{simple: true})
		if err != nil {
			return nil, err
		}
		if err := p.expectOperator("="); err != nil {
			return nil, err
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		s.targets = append(s.targets, t)
		s.values = append(s.values, value)
	}
	var err error
	s.body, err = p.closedBody("endwith")
	return s, err
}

// signature reads the parameters of a macro or call block.
func (p *parser) signature(d *macroDef) error {
	if err := p.expectOperator("("); err != nil {
		return err
	}
	for !p.current().isOperator(")") {
		if len(d.params) > 0 {
			if err := p.expectOperator(","); err != nil {
				return err
			}
		}
		param, err := p.assignedName()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(d.params, func(t *nameTarget) bool { return t.name == param.name }) {
			return p.fail("duplicate parameter '%s'", param.name)
		}
		d.params = append(d.params, param)
		if p.skipOperator("=") {
			value, err := p.expression()
			if err != nil {
				return err
			}
			d.defaults = append(d.defaults, value)
		} else if len(d.defaults) > 0 {
			return p.fail("non-default argument follows default argument")
		}
	}
	p.next()
	return nil
}

func (p *parser) macro() (stmt, error) {
	s := &macroStmt{position: p.start()}
	t, err := p.assignedName()
	if err != nil {
		return nil, err
	}
	s.name, s.def.name = t.name, t.name
	if err := p.signature(&s.def); err != nil {
		return nil, err
	}
	s.def.body, err = p.closedBody("endmacro")
	return s, err
}

func (p *parser) callBlock() (stmt, error) {
	s := &callStmt{position: p.start()}
	if p.current().isOperator("(") {
		if err := p.signature(&s.def); err != nil {
			return nil, err
		}
	}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	call, ok := e.(*callExpr)
	if !ok {
		return nil, p.fail("expected call")
	}
	s.call = call
	s.def.body, err = p.closedBody("endcall")
	return s, err
}

// generation marks what the assistant says, for training. In transformers it is a call block around a function that
// returns what the block printed, so it has a scope like a macro's.
func (p *parser) generation() (stmt, error) {
	s := &callStmt{position: p.start()}
	var err error
	s.def.body, err = p.closedBody("endgeneration")
	return s, err
}

func (p *parser) filterBlock() (stmt, error) {
	s := &filterStmt{position: p.start()}
	var err error
	if s.filter, err = p.filter(nil); err != nil {
		return nil, err
	}
	if p.current().isOperator("|") {
		if s.filter, err = p.filters(s.filter); err != nil {
			return nil, err
		}
	}
	s.body, err = p.closedBody("endfilter")
	return s, err
}

func (p *parser) print() (stmt, error) {
	s := &outputStmt{position: p.start()}
	for p.current().kind != tokenBlockEnd {
		if len(s.parts) > 0 {
			if err := p.expectOperator(","); err != nil {
				return nil, err
			}
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		s.parts = append(s.parts, e)
	}
	return s, nil
}

func (p *parser) block() (stmt, error) {
	s := &blockStmt{position: p.start()}
	var err error
	if s.name, err = p.name(); err != nil {
		return nil, err
	}
	s.scoped = p.skipName("scoped")
	s.required = p.skipName("required")
	if s.body, err = p.closedBody("endblock"); err != nil {
		return nil, err
	}
	if s.required {
		if err := p.requireBlank(s.body); err != nil {
			return nil, err
		}
	}
	p.skipName(s.name)
	return s, nil
}

// requireBlank refuses content in a required block.
func (p *parser) requireBlank(body []stmt) error {
	for _, s := range body {
		out, ok := s.(*outputStmt)
		if !ok {
			return p.fail("required blocks can only contain comments or whitespace")
		}
		for _, part := range out.parts {
			if text, ok := part.(*textExpr); !ok || spaces(text.text) != len(text.text) {
				return p.fail("required blocks can only contain comments or whitespace")
			}
		}
	}
	return nil
}

func (p *parser) autoescape() (stmt, error) {
	s := &autoescapeStmt{position: p.start()}
	var err error
	if s.enabled, err = p.expression(); err != nil {
		return nil, err
	}
	s.body, err = p.closedBody("endautoescape")
	return s, err
}
