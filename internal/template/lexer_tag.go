package template

import (
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// operators lists what may stand in a tag, longer ones before their beginnings.
var operators = []string{
	"//", "**", "==", "!=", ">=", "<=",
	"+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
}

var brackets = map[string]byte{"(": ')', "[": ']', "{": '}'}

// tag reads the tokens of one {{ }} or {% %} up to its end mark, which counts only outside of brackets.
func (l *lexer) tag(end tokenKind) error {
	mark := "%}"
	if end == tokenVariableEnd {
		mark = "}}"
	}
	l.open = l.open[:0]
	for l.pos < len(l.source) {
		rest := l.source[l.pos:]
		if len(l.open) == 0 {
			if n := endMark(rest, mark); n > 0 {
				l.emit(end, mark)
				l.advance(rest[:n])
				return nil
			}
		}
		if n := spaces(rest); n > 0 {
			l.advance(rest[:n])
			continue
		}
		if err := l.token(rest); err != nil {
			return err
		}
	}
	return nil // the parser reports the end of the template
}

func (l *lexer) token(rest string) error {
	c := rest[0]
	switch {
	case c >= '0' && c <= '9':
		return l.number(rest)
	case c == '\'' || c == '"':
		return l.str(rest)
	}
	if n := nameLength(rest); n > 0 {
		if first, _ := utf8.DecodeRuneInString(rest); !isNameStart(first) {
			return l.fail("invalid character in identifier %q", rest[:n])
		}
		l.emit(tokenName, rest[:n])
		l.advance(rest[:n])
		return nil
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			return l.operator(op)
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return l.fail("unexpected character %q", r)
}

func (l *lexer) operator(op string) error {
	if closing, ok := brackets[op]; ok {
		l.open = append(l.open, closing)
	} else if op == ")" || op == "]" || op == "}" {
		last := len(l.open) - 1
		if last < 0 {
			return l.fail("unexpected '%s'", op)
		}
		if l.open[last] != op[0] {
			return l.fail("unexpected '%s', expected '%c'", op, l.open[last])
		}
		l.open = l.open[:last]
	}
	l.emit(tokenOperator, op)
	l.advance(op)
	return nil
}

func isNameStart(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r) || unicode.Is(unicode.Other_ID_Start, r)
}

func isNamePart(r rune) bool {
	return isNameStart(r) || unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc, unicode.Other_ID_Continue)
}

func nameLength(s string) int {
	for i, r := range s {
		if !isNamePart(r) {
			return i
		}
	}
	return len(s)
}

// number reads an integer or, where a fraction or an exponent follows, a float. After a dot ("x.0.1") only an integer can stand.
func (l *lexer) number(rest string) error {
	afterDot := l.pos > 0 && l.source[l.pos-1] == '.'
	if n := floatLength(rest); n > 0 && !afterDot {
		f, err := strconv.ParseFloat(strings.ReplaceAll(rest[:n], "_", ""), 64)
		if err != nil && f == 0 {
			return l.fail("invalid number %q", rest[:n])
		}
		l.tokens = append(l.tokens, token{kind: tokenFloat, line: l.line, text: rest[:n], value: floatValue(f)})
		l.advance(rest[:n])
		return nil
	}
	n := integerLength(rest)
	if n > maxIntText {
		return l.fail("integer of %d digits", n)
	}
	i, ok := new(big.Int).SetString(strings.ReplaceAll(rest[:n], "_", ""), 0)
	if !ok {
		return l.fail("invalid number %q", rest[:n])
	}
	v, err := newInt(i)
	if err != nil {
		return l.fail("integer %q is too large", rest[:n])
	}
	l.tokens = append(l.tokens, token{kind: tokenInteger, line: l.line, text: rest[:n], value: v})
	l.advance(rest[:n])
	return nil
}

// digitRun returns the length of digits with single underscores between them.
func digitRun(s, digits string) int {
	n := 0
	for n < len(s) {
		switch {
		case strings.IndexByte(digits, s[n]) >= 0:
			n++
		case s[n] == '_' && n > 0 && n+1 < len(s) && strings.IndexByte(digits, s[n+1]) >= 0:
			n += 2
		default:
			return n
		}
	}
	return n
}

const decimalDigits = "0123456789"

func floatLength(s string) int {
	n := digitRun(s, decimalDigits)
	fraction := 0
	if n < len(s) && s[n] == '.' {
		if d := digitRun(s[n+1:], decimalDigits); d > 0 {
			fraction = 1 + d
		}
	}
	exponent := 0
	if rest := s[n+fraction:]; rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		sign := len(signAt(rest, 1))
		if d := digitRun(rest[1+sign:], decimalDigits); d > 0 {
			exponent = 1 + sign + d
		}
	}
	if fraction+exponent == 0 {
		return 0
	}
	return n + fraction + exponent
}

// integerLength matches 0b, 0o and 0x literals, decimals without leading zero, and zeros.
func integerLength(s string) int {
	if s[0] != '0' {
		return digitRun(s, decimalDigits)
	}
	if len(s) > 2 {
		digits := map[byte]string{'b': "01", 'o': "01234567", 'x': "0123456789abcdefABCDEF"}[s[1]|0x20]
		if digits != "" {
			start := 2
			if s[2] == '_' {
				start = 3
			}
			if d := digitRun(s[start:], digits); d > 0 {
				return start + d
			}
		}
	}
	return digitRun(s, "0")
}

// str reads a quoted string.
func (l *lexer) str(rest string) error {
	end := 1
	for end < len(rest) && rest[end] != rest[0] {
		if rest[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(rest) {
		return l.fail("unexpected character %q: the string does not end", rest[0])
	}
	s, err := l.unescape(rest[1:end])
	if err != nil {
		return err
	}
	l.emit(tokenString, s)
	l.advance(rest[:end+1])
	return nil
}

var simpleEscapes = map[byte]string{
	'\n': "", '\\': "\\", '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

var hexEscapes = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// unescape decodes Python's escapes; unknown ones stay as they are. Surrogates, which UTF-8 cannot hold, become U+FFFD.
func (l *lexer) unescape(s string) (string, error) {
	if !strings.Contains(s, "\\") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			i++
			continue
		}
		c := s[i+1]
		if text, ok := simpleEscapes[c]; ok {
			b.WriteString(text)
			i += 2
			continue
		}
		n, err := l.codePoint(s[i:], &b)
		if err != nil {
			return "", err
		}
		i += n
	}
	return b.String(), nil
}

// codePoint decodes the numeric escape at the start of s and returns its length.
func (l *lexer) codePoint(s string, b *strings.Builder) (int, error) {
	c := s[1]
	switch width := hexEscapes[c]; {
	case width > 0:
		if len(s) < 2+width {
			return 0, l.fail("truncated \\%c escape", c)
		}
		r, err := strconv.ParseUint(s[2:2+width], 16, 32)
		if err != nil || r > unicode.MaxRune {
			return 0, l.fail("illegal \\%c escape", c)
		}
		b.WriteRune(rune(r))
		return 2 + width, nil
	case c >= '0' && c <= '7':
		n := 2
		for n < len(s) && n < 4 && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		r, _ := strconv.ParseUint(s[1:n], 8, 32)
		b.WriteRune(rune(r))
		return n, nil
	case c == 'N':
		return 0, l.fail("\\N{name} escapes are not supported; write the character itself")
	case c >= utf8.RuneSelf:
		// Jinja turns the character into an escape of its own before it decodes, so the two backslashes pair up.
		r, n := utf8.DecodeRuneInString(s[1:])
		b.Write(appendEscape(nil, r))
		return 1 + n, nil
	}
	b.WriteString(s[:2])
	return 2, nil
}
