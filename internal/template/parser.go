package template

import (
	"fmt"
	"slices"
)

const (
	// maxNesting bounds blocks within blocks. Python refuses more than 100 levels of indentation.
	maxNesting = 100
	// maxExprDepth bounds the height of an expression's tree. Python refuses more than 200 nested parentheses, which is
	// what a chain of operators becomes there.
	maxExprDepth = 400
)

// parser turns tokens into nodes, by recursive descent along Jinja's own grammar.
type parser struct {
	statements map[string]statementParser
	tokens     []token // the last one is tokenEOF
	at         int
	blocks     []string // tags that are open, innermost last
	depth      int      // of the expression being read
}

func (p *parser) current() *token { return &p.tokens[p.at] }

// peek returns the token after the current one.
func (p *parser) peek() *token {
	return &p.tokens[min(p.at+1, len(p.tokens)-1)]
}

// next returns the current token and moves on; the end of the template stays current.
func (p *parser) next() *token {
	t := p.current()
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

func (t *token) isName(name string) bool   { return t.kind == tokenName && t.text == name }
func (t *token) isOperator(op string) bool { return t.kind == tokenOperator && t.text == op }

func (p *parser) skipName(name string) bool {
	if p.current().isName(name) {
		p.next()
		return true
	}
	return false
}

func (p *parser) skipOperator(op string) bool {
	if p.current().isOperator(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{p.current().line, fmt.Sprintf(format, args...)}
}

// describe names a token in messages.
func (t *token) describe() string {
	switch t.kind {
	case tokenEOF:
		return "end of template"
	case tokenBlockEnd, tokenVariableEnd:
		return "end of tag"
	case tokenString:
		return "string"
	}
	return "'" + t.text + "'"
}

func (p *parser) expectOperator(op string) error {
	if !p.skipOperator(op) {
		return p.fail("expected '%s', got %s", op, p.current().describe())
	}
	return nil
}

func (p *parser) expectName(name string) error {
	if !p.skipName(name) {
		return p.fail("expected '%s', got %s", name, p.current().describe())
	}
	return nil
}

// name reads any identifier.
func (p *parser) name() (string, error) {
	if p.current().kind != tokenName {
		return "", p.fail("expected a name, got %s", p.current().describe())
	}
	return p.next().text, nil
}

func (p *parser) expectKind(kind tokenKind, what string) error {
	if p.current().kind != kind {
		return p.fail("expected %s, got %s", what, p.current().describe())
	}
	p.next()
	return nil
}

// enter counts levels of an expression's tree; the caller lowers depth again by as much.
func (p *parser) enter() error {
	p.depth++
	if p.depth > maxExprDepth {
		return p.fail("expression nested too deeply")
	}
	return nil
}

// parseTemplate reads a whole template.
func parseTemplate(source string) ([]stmt, error) {
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{statements: statementParsers(), tokens: tokens}
	return p.body()
}

// body reads text and tags up to a block that starts with one of the end names, whose name is then current.
// Without end names it reads the whole template.
func (p *parser) body(ends ...string) ([]stmt, error) {
	var stmts []stmt
	var output *outputStmt
	add := func(line int, e expr) {
		if output == nil {
			output = &outputStmt{position: position(line)}
			stmts = append(stmts, output)
		}
		output.parts = append(output.parts, e)
	}
	for {
		t := p.next()
		p.depth = 0
		switch t.kind {
		case tokenEOF:
			if len(ends) > 0 {
				return nil, p.fail("unexpected end of template; the innermost block to be closed is '%s'", p.blocks[len(p.blocks)-1])
			}
			return stmts, nil
		case tokenData:
			add(t.line, &textExpr{text: t.text})
		case tokenVariableBegin:
			e, err := p.tuple(tupleRules{})
			if err != nil {
				return nil, err
			}
			add(t.line, e)
			if err := p.expectKind(tokenVariableEnd, "end of print statement"); err != nil {
				return nil, err
			}
		default: // tokenBlockBegin: nothing else begins outside of a tag
			output = nil
			if p.current().kind == tokenName && slices.Contains(ends, p.current().text) {
				return stmts, nil
			}
			s, err := p.statement()
			if err != nil {
				return nil, err
			}
			stmts = append(stmts, s)
			if err := p.expectKind(tokenBlockEnd, "end of statement block"); err != nil {
				return nil, err
			}
		}
	}
}

// blockBody reads the rest of an opening tag, the statements of the block and the name of its end, which it leaves current.
func (p *parser) blockBody(ends ...string) ([]stmt, error) {
	p.skipOperator(":") // tolerated as in Python
	if err := p.expectKind(tokenBlockEnd, "end of statement block"); err != nil {
		return nil, err
	}
	if len(p.blocks) > maxNesting {
		return nil, p.fail("blocks nested more than %d deep", maxNesting)
	}
	return p.body(ends...)
}

// closedBody is blockBody for blocks with a single end, which it consumes.
func (p *parser) closedBody(end string) ([]stmt, error) {
	body, err := p.blockBody(end)
	if err != nil {
		return nil, err
	}
	p.next()
	return body, nil
}
