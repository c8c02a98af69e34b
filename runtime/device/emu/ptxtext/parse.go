package ptxtext

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	maxNesting  = 64
	maxItems    = 1 << 22 // statements of a module
	maxOperands = 1024    // of one instruction or list; wgmma with n=256 has 128 in a list
	maxRange    = 1 << 20 // registers of one a<n>
	maxInit     = 1 << 24 // elements of initialisers of a module
)

type parser struct {
	lex    lexer
	tok    token
	ahead  token // behind tok, where peeked
	peeked bool
	items  int
	inits  int
	mods   []string  // scratch: of the instruction being read
	args   []Operand // scratch: of the lists being read
}

// Parse reads one module.
func Parse(src string) (*Module, error) {
	if len(src) > maxSource {
		return nil, &Error{Pos{1, 1}, fmt.Sprintf("module of %d bytes, at most %d", len(src), maxSource)}
	}
	p := &parser{lex: lexer{src: src, line: 1}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	m := &Module{AddressSize: 32}
	for p.tok.kind != endToken {
		if err := p.moduleItem(m); err != nil {
			return nil, err
		}
	}
	if m.Version.Major == 0 {
		return nil, &Error{Pos{1, 1}, "no .version directive: not a PTX module"}
	}
	if m.Target == "" {
		return nil, &Error{Pos{1, 1}, "no .target directive"}
	}
	return m, nil
}

func (p *parser) advance() error {
	if p.peeked {
		p.tok, p.peeked = p.ahead, false
	} else {
		p.tok = p.lex.next()
	}
	return p.lex.err
}

func (p *parser) peek() token {
	if !p.peeked {
		p.ahead, p.peeked = p.lex.next(), true
	}
	return p.ahead
}

func (p *parser) errorf(format string, args ...any) error {
	return &Error{p.tok.pos, fmt.Sprintf(format, args...)}
}

func (p *parser) at(sign string) bool { return p.tok.kind == signToken && p.tok.text == sign }

// accept passes sign if it is next.
func (p *parser) accept(sign string) (bool, error) {
	if !p.at(sign) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expect(sign string) error {
	if !p.at(sign) {
		return p.errorf("expected %q, found %s", sign, p.found())
	}
	return p.advance()
}

func (p *parser) found() string {
	switch p.tok.kind {
	case endToken:
		return "the end of the text"
	case dotToken:
		return strconv.Quote("." + clip(p.tok.text))
	}
	return strconv.Quote(clip(p.tok.text))
}

func (p *parser) word(what string) (string, error) {
	if p.tok.kind != wordToken {
		return "", p.errorf("expected %s, found %s", what, p.found())
	}
	text := p.tok.text
	return text, p.advance()
}

func (p *parser) count() error {
	if p.items++; p.items > maxItems {
		return p.errorf("more than %d statements", maxItems)
	}
	return nil
}

// moduleDirectives are handled by name; what is none of them must declare a variable.
var moduleDirectives = map[string]func(p *parser, m *Module) error{
	"version":      (*parser).version,
	"target":       (*parser).target,
	"address_size": (*parser).addressSize,
	"entry":        func(p *parser, m *Module) error { return p.function(m, true) },
	"func":         func(p *parser, m *Module) error { return p.function(m, false) },
	"file":         func(p *parser, _ *Module) error { return p.skipLine() },
	"loc":          func(p *parser, _ *Module) error { return p.skipLine() },
	"pragma":       func(p *parser, _ *Module) error { return p.skipStatement() },
	"alias":        func(p *parser, _ *Module) error { return p.errorf(".alias is not supported") },
	"section":      func(p *parser, _ *Module) error { return p.skipSection() },
}

func (p *parser) moduleItem(m *Module) error {
	if err := p.count(); err != nil {
		return err
	}
	if ok, err := p.accept(";"); ok {
		return err
	}
	if p.tok.kind != dotToken {
		return p.errorf("expected a directive, found %s", p.found())
	}
	extern := false
	for linkage[p.tok.text] {
		extern = extern || p.tok.text == "extern"
		if err := p.advance(); err != nil {
			return err
		}
	}
	if f := moduleDirectives[p.tok.text]; f != nil && p.tok.kind == dotToken {
		return f(p, m)
	}
	vars, err := p.variables(extern)
	m.Vars = append(m.Vars, vars...)
	return err
}

var linkage = map[string]bool{"visible": true, "extern": true, "weak": true, "common": true}

func (p *parser) version(m *Module) error {
	if err := p.advance(); err != nil {
		return err
	}
	major, minor, ok := strings.Cut(p.tok.text, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if p.tok.kind != numberToken || !ok || err1 != nil || err2 != nil || a < 1 {
		return p.errorf("expected a version such as 8.0, found %s", p.found())
	}
	m.Version = Version{a, b}
	return p.advance()
}

func (p *parser) target(m *Module) error {
	for first := true; ; first = false {
		if err := p.advance(); err != nil {
			return err
		}
		name, err := p.word("a target such as sm_80")
		if err != nil {
			return err
		}
		if first {
			m.Target = name
		}
		if !p.at(",") {
			return nil
		}
	}
}

func (p *parser) addressSize(m *Module) error {
	if err := p.advance(); err != nil {
		return err
	}
	if p.tok.text != "32" && p.tok.text != "64" {
		return p.errorf("address size %s, expected 32 or 64", p.found())
	}
	m.AddressSize, _ = strconv.Atoi(p.tok.text)
	return p.advance()
}

// skipLine passes a directive that ends with its line.
func (p *parser) skipLine() error {
	for line := p.tok.pos.Line; p.tok.kind != endToken && p.tok.pos.Line == line; {
		if err := p.advance(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) skipStatement() error {
	for !p.at(";") {
		if p.tok.kind == endToken {
			return p.errorf("expected \";\" before the end of the text")
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
	return p.advance()
}

func (p *parser) skipSection() error {
	for !p.at("}") {
		if p.tok.kind == endToken {
			return p.errorf("section without an end")
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
	return p.advance()
}

// integer reads an integer with an optional minus.
func (p *parser) integer(what string) (int64, error) {
	minus, err := p.accept("-")
	if err != nil {
		return 0, err
	}
	if p.tok.kind != numberToken {
		return 0, p.errorf("expected %s, found %s", what, p.found())
	}
	n, err := parseNumber(p.tok)
	if err != nil {
		return 0, err
	}
	if n.Float {
		return 0, p.errorf("expected %s, found %s", what, p.found())
	}
	v := int64(n.Bits)
	if minus {
		v = -v
	}
	return v, p.advance()
}
