package ptxtext

// function reads .entry or .func; the current token is that word.
func (p *parser) function(m *Module, entry bool) error {
	if err := p.advance(); err != nil {
		return err
	}
	f := &Func{Pos: p.tok.pos, Entry: entry}
	var err error
	if !entry && p.at("(") {
		if f.Returns, err = p.formals(); err != nil {
			return err
		}
	}
	if f.Name, err = p.word("a function name"); err != nil {
		return err
	}
	if p.at("(") {
		if f.Params, err = p.formals(); err != nil {
			return err
		}
	}
	if err := p.functionDirectives(f); err != nil {
		return err
	}
	m.Funcs = append(m.Funcs, f)
	if ok, err := p.accept(";"); ok {
		f.Declared = true
		return err
	}
	f.Body, err = p.block(0)
	return err
}

func (p *parser) formals() ([]*Var, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	var vars []*Var
	for !p.at(")") {
		v, err := p.variableHead(false)
		if err != nil {
			return nil, err
		}
		if v.Space != "param" && v.Space != "reg" {
			return nil, p.errorf("parameter in space .%s", v.Space)
		}
		if err := p.declarator(&v); err != nil {
			return nil, err
		}
		if vars = append(vars, &v); len(vars) > maxOperands {
			return nil, p.errorf("more than %d parameters", maxOperands)
		}
		if more, err := p.accept(","); err != nil {
			return nil, err
		} else if !more {
			break
		}
	}
	return vars, p.expect(")")
}

// functionDirectives reads what stands between the parameters and the body. Directives that only guide register
// allocation or scheduling are checked for form and dropped.
func (p *parser) functionDirectives(f *Func) error {
	for p.tok.kind == dotToken {
		word := p.tok.text
		if word == "pragma" {
			if err := p.skipStatement(); err != nil {
				return err
			}
			continue
		}
		if err := p.advance(); err != nil {
			return err
		}
		var dims *[3]int
		var ignored [3]int
		switch word {
		case "maxntid":
			dims = &f.Limits.MaxThreads
		case "reqntid":
			dims = &f.Limits.ReqThreads
		case "reqnctapercluster":
			dims = &f.Limits.ReqCluster
		case "minnctapersm", "maxnctapersm", "maxnreg", "maxclusterrank":
			dims = &ignored
		case "noreturn", "explicitcluster":
			continue
		default:
			return p.errorf("unknown directive .%s of a function", word)
		}
		if err := p.extent(dims); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) extent(dims *[3]int) error {
	*dims = [3]int{1, 1, 1}
	for i := range dims {
		n, err := p.integer("a count")
		if err != nil {
			return err
		}
		if n < 1 || n > 1<<30 {
			return p.errorf("count %d out of range", n)
		}
		dims[i] = int(n)
		if more, err := p.accept(","); err != nil || !more {
			return err
		}
	}
	return p.errorf("more than three dimensions")
}

func (p *parser) block(depth int) ([]Stmt, error) {
	if depth > maxNesting {
		return nil, p.errorf("blocks nested deeper than %d", maxNesting)
	}
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	var body []Stmt
	for !p.at("}") {
		if err := p.count(); err != nil {
			return nil, err
		}
		var err error
		if body, err = p.statement(body, depth); err != nil {
			return nil, err
		}
	}
	return body, p.advance()
}

// statement appends what the next statement says.
func (p *parser) statement(body []Stmt, depth int) ([]Stmt, error) {
	pos := p.tok.pos
	switch {
	case p.at(";"):
		return body, p.advance()
	case p.at("{"):
		inner, err := p.block(depth + 1)
		return append(body, Stmt{Block: inner, Pos: pos}), err
	case p.tok.kind == dotToken:
		return p.bodyDirective(body)
	case p.at("@"):
		in, err := p.guarded()
		return append(body, Stmt{Inst: in, Pos: pos}), err
	case p.tok.kind == wordToken:
		if next := p.peek(); next.kind == signToken && next.text == ":" {
			label := p.tok.text
			if err := p.advance(); err != nil {
				return nil, err
			}
			return append(body, Stmt{Label: label, Pos: pos}), p.advance()
		}
		in, err := p.instruction(&Inst{Pos: pos})
		return append(body, Stmt{Inst: in, Pos: pos}), err
	}
	return nil, p.errorf("expected a statement, found %s", p.found())
}

func (p *parser) bodyDirective(body []Stmt) ([]Stmt, error) {
	switch p.tok.text {
	case "loc", "file":
		return body, p.skipLine()
	case "pragma":
		return body, p.skipStatement()
	case "callprototype", "calltargets", "branchtargets":
		return nil, p.errorf(".%s is not supported: indirect jumps and calls", p.tok.text)
	}
	vars, err := p.variables(false)
	for _, v := range vars {
		body = append(body, Stmt{Decl: v, Pos: v.Pos})
	}
	return body, err
}

func (p *parser) guarded() (*Inst, error) {
	in := &Inst{Pos: p.tok.pos}
	err := p.advance()
	if err != nil {
		return nil, err
	}
	if in.GuardNot, err = p.accept("!"); err != nil {
		return nil, err
	}
	if in.Guard, err = p.word("a predicate"); err != nil {
		return nil, err
	}
	return p.instruction(in)
}
