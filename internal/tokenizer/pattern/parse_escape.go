package pattern

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// bareWordExtra are characters of Latin-1 that \w accepts outside of a class only: there Oniguruma asks a table of
// ISO 8859-1 instead of the Unicode ranges.
var bareWordExtra = setOf('²', '³', '¹', '¼', '½', '¾')

// escape reads an escape outside of a class.
func (p *parser) escape() (node, error) {
	p.pos++
	if !p.more() {
		return nil, p.fail("pattern ends with a backslash")
	}
	r := p.src[p.pos]
	if text, ok := assertions[r]; ok {
		p.pos++
		return assertion{text}, nil
	}
	switch r {
	case 'b', 'B':
		p.pos++
		return wordBoundary(r == 'B'), nil
	case 'w', 'W':
		p.pos++
		s := wordSet().union(bareWordExtra)
		if r == 'W' {
			s = s.negate()
		}
		return one{s}, nil
	case 'R':
		p.pos++
		return group{"(?>", choice{sequence{one{setOf('\r')}, one{setOf('\n')}}, one{set{{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}}}}, nil
	case 'N':
		p.pos++
		return one{setOf('\n').negate()}, nil
	case 'O':
		p.pos++
		return one{anySet}, nil
	case 'G', 'K', 'X', 'k', 'g', 'y', 'Y':
		return nil, p.fail(`\%c is not supported`, r)
	}
	if r >= '1' && r <= '9' {
		return p.backreference()
	}
	if s, ok, err := p.setEscape(); ok || err != nil {
		return one{s}, err
	}
	c, err := p.characterEscape()
	if err != nil {
		return nil, err
	}
	return p.literal(c), nil
}

var assertions = map[rune]string{'A': `\A`, 'z': `\z`, 'Z': `(?=\n?\z)`}

// wordBoundary is \b or \B, spelled out with the words of this package.
func wordBoundary(negated bool) node {
	word := one{wordSet().union(bareWordExtra)}
	behind, notBehind := group{"(?<=", word}, group{"(?<!", word}
	ahead, notAhead := group{"(?=", word}, group{"(?!", word}
	if negated {
		return group{"(?:", choice{sequence{behind, ahead}, sequence{notBehind, notAhead}}}
	}
	return group{"(?:", choice{sequence{behind, notAhead}, sequence{notBehind, ahead}}}
}

// backreference reads \1 to \9 and longer numbers.
func (p *parser) backreference() (node, error) {
	n, _ := p.number()
	p.refs = true
	return assertion{`(?:\` + strconv.Itoa(n) + `)`}, nil
}

// setEscape reads escapes that stand for a set, after the backslash; false leaves the position alone.
func (p *parser) setEscape() (set, bool, error) {
	r := p.src[p.pos]
	var s set
	switch unicode.ToLower(r) {
	case 'd':
		s, _ = property("nd")
	case 's':
		s, _ = property("space")
	case 'w':
		s = wordSet()
	case 'h':
		s, _ = property("xdigit")
	case 'p':
		return p.propertyEscape(r == 'P')
	default:
		return nil, false, nil
	}
	p.pos++
	if unicode.IsUpper(r) {
		s = s.negate()
	}
	return s, true, nil
}

// propertyEscape reads \p{name}, \p{^name} or \P{name}; without braces \p is the letter.
func (p *parser) propertyEscape(negated bool) (set, bool, error) {
	if p.pos+1 >= len(p.src) || p.src[p.pos+1] != '{' {
		return nil, false, nil
	}
	p.pos += 2
	if p.accept('^') {
		negated = !negated
	}
	start := p.pos
	for p.more() && !p.peek('}') {
		p.pos++
	}
	name := string(p.src[start:p.pos])
	if !p.accept('}') {
		return nil, false, p.fail("property without }")
	}
	s, ok := property(name)
	if !ok {
		return nil, false, p.fail("unknown property %.40q", name)
	}
	if negated {
		s = s.negate()
	}
	return s, true, nil
}

var controlEscapes = map[rune]rune{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1b}

// characterEscape reads an escape that stands for one character, after the backslash.
func (p *parser) characterEscape() (rune, error) {
	r := p.src[p.pos]
	p.pos++
	if c, ok := controlEscapes[r]; ok {
		return c, nil
	}
	switch {
	case r == 'x' && p.accept('{'):
		c, err := p.digits(16, 1, 8)
		if err == nil && !p.accept('}') {
			err = p.fail(`\x{ without }`)
		}
		return c, err
	case r == 'x':
		return p.byteDigits(16, 0, 2)
	case r == 'u':
		return p.digits(16, 4, 4)
	case r >= '0' && r <= '7':
		p.pos--
		return p.byteDigits(8, 1, 3)
	case r == 'c' || r == 'C' || r == 'M':
		return 0, p.fail(`\%c is not supported`, r)
	}
	return r, nil
}

// byteDigits reads the number of a byte, which in UTF-8 is a character only below 0x80.
func (p *parser) byteDigits(base, least, most int) (rune, error) {
	c, err := p.digits(base, least, most)
	if err == nil && c >= utf8.RuneSelf {
		err = p.fail(`escape %#x is half a character, write \x{%x}`, c, c)
	}
	return c, err
}

// digits reads least to most digits and gives the code point they number.
func (p *parser) digits(base, least, most int) (rune, error) {
	start := p.pos
	for p.more() && p.pos-start < most {
		if _, err := strconv.ParseUint(string(p.src[p.pos]), base, 8); err != nil {
			break
		}
		p.pos++
	}
	if p.pos-start < least {
		return 0, p.fail("escape needs %d digits", least)
	}
	n, _ := strconv.ParseUint(string(p.src[start:p.pos]), base, 32)
	if n > unicode.MaxRune {
		return 0, p.fail("escape is no code point")
	}
	return rune(n), nil
}
