package grammar

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// literal reads a text in quotes, and Lark's "i" behind it.
func (p *ebnf) literal() (*expr, error) {
	p.at++
	var subs []*expr
	for {
		if p.at == len(p.source) || p.source[p.at] == '\n' {
			return nil, p.wrong("a closing quote is missing")
		}
		if p.take(`"`) {
			break
		}
		c, err := p.character()
		if err != nil {
			return nil, err
		}
		subs = append(subs, one(c, c))
	}
	if p.lark && p.at < len(p.source) && p.source[p.at] == 'i' {
		p.at++
		for i, e := range subs {
			c := e.set[0].lo
			subs[i] = one(unicode.ToLower(c), unicode.ToLower(c), unicode.ToUpper(c), unicode.ToUpper(c), c, c)
		}
	}
	return seq(subs...), nil
}

// escapes are those of one letter; others stand for themselves.
var escapes = map[byte]rune{'n': '\n', 't': '\t', 'r': '\r', 'f': '\f', 'b': '\b', 'v': '\v', '0': 0}

// character reads a character, escaped or not.
func (p *ebnf) character() (rune, error) {
	if !p.take(`\`) {
		c, size := utf8.DecodeRuneInString(p.source[p.at:])
		if c == utf8.RuneError && size <= 1 {
			return 0, p.wrong("no UTF-8")
		}
		p.at += size
		return c, nil
	}
	if p.at == len(p.source) {
		return 0, p.wrong(`something must follow "\"`)
	}
	c := p.source[p.at]
	if digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]; digits > 0 {
		rest := p.source[p.at+1:]
		code, err := strconv.ParseUint(rest[:min(digits, len(rest))], 16, 32)
		if err != nil || len(rest) < digits || !utf8.ValidRune(rune(code)) || code > maxRune {
			return 0, p.wrong(`"\%c" must be followed by %d hexadecimal digits of a character`, c, digits)
		}
		p.at += 1 + digits
		return rune(code), nil
	}
	if r, ok := escapes[c]; ok {
		p.at++
		return r, nil
	}
	r, size := utf8.DecodeRuneInString(p.source[p.at:])
	if unicode.IsLetter(r) || unicode.IsDigit(r) {
		return 0, p.wrong(`"\%c" is not known`, r)
	}
	p.at += size
	return r, nil
}

// characters reads a class of characters such as [a-z_] or [^"].
func (p *ebnf) characters() (*expr, error) {
	p.at++
	inverse := p.take("^")
	var pairs []rune
	for {
		if p.at == len(p.source) {
			return nil, p.wrong(`"]" is missing`)
		}
		if p.take("]") {
			break
		}
		lo, err := p.character()
		if err != nil {
			return nil, err
		}
		hi := lo
		if rest := p.source[p.at:]; strings.HasPrefix(rest, "-") && !strings.HasPrefix(rest, "-]") {
			p.at++
			if p.at == len(p.source) {
				return nil, p.wrong(`"]" is missing`)
			}
			if hi, err = p.character(); err != nil {
				return nil, err
			}
		}
		if hi < lo {
			return nil, p.wrong("a range of characters goes down")
		}
		pairs = append(pairs, lo, hi)
	}
	set := runes(pairs...)
	if inverse {
		set = set.inverse()
	}
	return class(set), nil
}

// regex reads a regular expression between slashes, with flags behind it.
func (p *ebnf) regex() (*expr, error) {
	start := p.at
	p.at++
	from := p.at
	for p.at < len(p.source) && p.source[p.at] != '/' && p.source[p.at] != '\n' {
		if p.source[p.at] == '\\' {
			p.at++
		}
		p.at++
	}
	if p.at >= len(p.source) || p.source[p.at] != '/' {
		p.at = start
		return nil, p.wrong(`"/" is missing behind a regular expression`)
	}
	source := p.source[from:p.at]
	p.at++
	flags := p.name()
	if strings.Trim(flags, "ims") != "" {
		return nil, p.wrong("the flags %.16q of a regular expression are not supported", flags)
	}
	if flags != "" {
		source = "(?" + flags + ")" + source
	}
	e, err := plainText.read(source, whole)
	if err != nil {
		p.at = start
		return nil, p.wrong("%v", err)
	}
	return e, nil
}
