package pattern

import (
	"fmt"
	"strings"
)

// maxDepth bounds nested groups and classes, maxPattern the length in code points, maxRepeat a repetition count
// (Oniguruma's own limit).
const (
	maxDepth   = 64
	maxPattern = 1 << 14
	maxRepeat  = 100000
)

// A parser reads Oniguruma syntax (doc/RE of Oniguruma: ONIG_SYNTAX_ONIGURUMA), which differs from .NET's in classes
// ([a[b]], &&), possessive and odd quantifiers, options and escapes. Every method works at src[pos].
type parser struct {
	src   []rune
	pos   int
	depth int
	flags flags
	refs  bool // a backreference was seen: groups must capture
}

type flags struct{ ignoreCase, dotAll, extended bool }

type syntaxError struct {
	pos int
	msg string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("at character %d: %s", e.pos, e.msg) }

func (p *parser) fail(format string, args ...any) error {
	return &syntaxError{p.pos, fmt.Sprintf(format, args...)}
}

func parse(src string) (node, *parser, error) {
	p := &parser{src: []rune(src)}
	if len(p.src) > maxPattern {
		return nil, nil, fmt.Errorf("longer than %d characters", maxPattern)
	}
	n, err := p.choice()
	if err == nil && p.pos < len(p.src) {
		err = p.fail("unmatched )")
	}
	return n, p, err
}

func (p *parser) more() bool { return p.pos < len(p.src) }
func (p *parser) at(s string) bool {
	return strings.HasPrefix(string(p.src[p.pos:min(len(p.src), p.pos+8)]), s)
}
func (p *parser) peek(r rune) bool   { return p.more() && p.src[p.pos] == r }
func (p *parser) accept(r rune) bool { return p.acceptAll(string(r)) }
func (p *parser) acceptAll(s string) bool {
	if !p.at(s) {
		return false
	}
	p.pos += len([]rune(s))
	return true
}

// enter counts one level of nesting; the caller defers p.leave().
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return p.fail("nested more than %d deep", maxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// choice reads alternatives up to the end or a closing parenthesis.
func (p *parser) choice() (node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var alternatives choice
	for {
		s, err := p.sequence()
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, s)
		if !p.accept('|') {
			break
		}
	}
	if len(alternatives) == 1 {
		return alternatives[0], nil
	}
	return alternatives, nil
}

func (p *parser) sequence() (node, error) {
	parts := sequence{}
	for p.more() && !p.peek('|') && !p.peek(')') {
		if p.flags.extended && p.skipExtended() {
			continue
		}
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		if n == nil { // a comment
			continue
		}
		if n, err = p.quantified(n); err != nil {
			return nil, err
		}
		parts = append(parts, n)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return parts, nil
}

// skipExtended skips white space and comments of the x option.
func (p *parser) skipExtended() bool {
	start := p.pos
	for p.more() && strings.ContainsRune(" \t\n\r\f\v", p.src[p.pos]) {
		p.pos++
	}
	if p.peek('#') {
		for p.more() && p.src[p.pos] != '\n' {
			p.pos++
		}
	}
	return p.pos > start
}

// quantified reads the quantifiers after n. Only ? * + have possessive forms; {n}? is (?:X{n})?, {n,m}+ is (?:X{n,m})+.
func (p *parser) quantified(n node) (node, error) {
	for p.more() {
		if p.flags.extended && p.skipExtended() {
			continue
		}
		r := repeat{body: n, max: -1}
		interval := false
		switch {
		case p.accept('?'):
			r.max = 1
		case p.accept('*'):
		case p.accept('+'):
			r.min = 1
		default:
			ok, err := p.interval(&r)
			if err != nil {
				return nil, err
			}
			if !ok {
				return n, nil
			}
			interval = true
		}
		switch {
		case interval && r.min == r.max:
		case p.accept('?'):
			r.mode = lazy
		case !interval && p.accept('+'):
			r.mode = possessive
		}
		if _, empty := n.(assertion); empty && r.min > 0 {
			r.max = r.min // repeating an assertion changes nothing
		}
		n = r
		if err := p.nested(n); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// nested refuses towers of quantifiers, which have no use and cost a stack frame each.
func (p *parser) nested(n node) error {
	for depth := 0; ; depth++ {
		r, ok := n.(repeat)
		if !ok {
			return nil
		}
		if depth > 4 {
			return p.fail("too many quantifiers in a row")
		}
		n = r.body
	}
}

// interval reads {n}, {n,}, {n,m} or {,m}; a brace that starts none of them is an ordinary character.
func (p *parser) interval(r *repeat) (bool, error) {
	start := p.pos
	if !p.accept('{') {
		return false, nil
	}
	low, hasLow := p.number()
	high, hasHigh := low, hasLow
	if p.accept(',') {
		if high, hasHigh = p.number(); !hasHigh {
			high = -1
		}
	}
	if !p.accept('}') || !hasLow && !hasHigh {
		p.pos = start
		return false, nil
	}
	if low > maxRepeat || high > maxRepeat || high >= 0 && high < low {
		return false, p.fail("bad repetition {%d,%d}", low, high)
	}
	r.min, r.max = low, high
	return true, nil
}

func (p *parser) number() (n int, ok bool) {
	for p.more() && p.src[p.pos] >= '0' && p.src[p.pos] <= '9' {
		n, ok = min(n*10+int(p.src[p.pos]-'0'), maxRepeat+1), true
		p.pos++
	}
	return n, ok
}

// atom reads one element without its quantifier; nil is a comment.
func (p *parser) atom() (node, error) {
	r := p.src[p.pos]
	switch r {
	case '(':
		return p.parenthesis()
	case '[':
		s, err := p.class()
		return one{s}, err
	case '\\':
		return p.escape()
	case '.':
		p.pos++
		return p.anyCharacter(), nil
	case '^':
		p.pos++
		return assertion{`(?:\A|(?<=\n)(?!\z))`}, nil
	case '$':
		p.pos++
		return assertion{`(?=\n|\z)`}, nil
	case '*', '+', '?':
		return nil, p.fail("quantifier %c has nothing to repeat", r)
	}
	p.pos++
	return p.literal(r), nil
}

func (p *parser) anyCharacter() node {
	if p.flags.dotAll {
		return one{anySet}
	}
	return one{setOf('\n').negate()}
}

func (p *parser) literal(r rune) node {
	s := setOf(r)
	if p.flags.ignoreCase {
		s = s.fold()
	}
	return one{s}
}
