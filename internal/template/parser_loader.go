package template

import "strings"

// The tags that load other templates are parsed, so that one in a branch that is never taken does no harm; executing one
// is an error, as it is in transformers, whose environment has no loader.

func (p *parser) loader() (*loaderStmt, error) {
	s := &loaderStmt{tag: p.current().text, position: p.start()}
	var err error
	s.template, err = p.expression()
	return s, err
}

func (p *parser) extends() (stmt, error) { return p.loader() }

func (p *parser) include() (stmt, error) {
	s, err := p.loader()
	if err != nil {
		return nil, err
	}
	if p.current().isName("ignore") && p.peek().isName("missing") {
		p.next()
		p.next()
	}
	p.importContext()
	return s, nil
}

// importContext skips "with context" and "without context".
func (p *parser) importContext() bool {
	if (p.current().isName("with") || p.current().isName("without")) && p.peek().isName("context") {
		p.next()
		p.next()
		return true
	}
	return false
}

func (p *parser) importAs() (stmt, error) {
	s, err := p.loader()
	if err != nil {
		return nil, err
	}
	if err := p.expectName("as"); err != nil {
		return nil, err
	}
	if err := p.importedName(s); err != nil {
		return nil, err
	}
	p.importContext()
	return s, nil
}

func (p *parser) importedName(s *loaderStmt) error {
	t, err := p.assignedName()
	s.defines = append(s.defines, t)
	return err
}

func (p *parser) fromImport() (stmt, error) {
	s, err := p.loader()
	if err != nil {
		return nil, err
	}
	if err := p.expectName("import"); err != nil {
		return nil, err
	}
	for {
		if p.importContext() {
			return s, nil
		}
		if strings.HasPrefix(p.current().text, "_") {
			return nil, p.fail("names starting with an underline can not be imported")
		}
		if err := p.importedName(s); err != nil {
			return nil, err
		}
		if p.skipName("as") {
			s.defines = s.defines[:len(s.defines)-1]
			if err := p.importedName(s); err != nil {
				return nil, err
			}
		}
		if p.importContext() || !p.skipOperator(",") {
			return s, nil
		}
	}
}
