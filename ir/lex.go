package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// tokenKind is the kind of a token of the text form.
type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokName             // weight, rmsnorm, bf16
	tokLocal            // %x, %12
	tokGlobal           // @step
	tokNumber           // 12, -1e-05
	tokString           // "half"
	tokPunct            // one of ( ) { } [ ] , : = _ $ + / and ->
)

type token struct {
	kind tokenKind
	text string // without % or @; unquoted
	pos  int    // byte offset
}

func (t token) String() string {
	switch t.kind {
	case tokEnd:
		return "the end of the text"
	case tokLocal:
		return "%" + clip(t.text)
	case tokGlobal:
		return "@" + clip(t.text)
	case tokString:
		return strconv.Quote(clip(t.text))
	}
	return strconv.Quote(clip(t.text))
}

// clip shortens text for messages.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// syntaxError ends parsing from any depth; Parse turns it into an error.
type syntaxError struct {
	pos int
	msg string
}

// lexer cuts the text into tokens on demand, one ahead.
type lexer struct {
	text string
	pos  int // where the token after tok starts
	tok  token
}

func (l *lexer) fail(pos int, format string, args ...any) {
	panic(syntaxError{pos, fmt.Sprintf(format, args...)})
}

// skipSpace passes white space and comments (// to the end of the line).
func (l *lexer) skipSpace() {
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			l.pos++
		case strings.HasPrefix(l.text[l.pos:], "//"):
			end := strings.IndexByte(l.text[l.pos:], '\n')
			if end < 0 {
				end = len(l.text) - l.pos
			}
			l.pos += end
		default:
			return
		}
	}
}

// next moves to the next token and returns the one that was current.
func (l *lexer) next() token {
	old := l.tok
	l.skipSpace()
	start := l.pos
	if start == len(l.text) {
		l.tok = token{tokEnd, "", start}
		return old
	}
	c := l.text[start]
	switch {
	case c == '%' || c == '@':
		l.pos++
		kind := tokLocal
		if c == '@' {
			kind = tokGlobal
		}
		l.tok = token{kind, l.name(start), start}
	case c == '"':
		l.tok = token{tokString, l.quoted(), start}
	case isDigit(c) || c == '-' && start+1 < len(l.text) && isDigit(l.text[start+1]):
		l.tok = token{tokNumber, l.number(), start}
	case c == '_' && (start+1 == len(l.text) || !isNameByte(l.text[start+1])):
		l.pos++
		l.tok = token{tokPunct, "_", start}
	case isNameByte(c) && c != '-' && c != '/':
		l.tok = token{tokName, l.name(start), start}
	case strings.HasPrefix(l.text[start:], "->"):
		l.pos += 2
		l.tok = token{tokPunct, "->", start}
	case strings.IndexByte("(){}[],:=$+/", c) >= 0:
		l.pos++
		l.tok = token{tokPunct, string(c), start}
	default:
		l.fail(start, "unexpected character %q", rune(c))
	}
	return old
}

// name reads name bytes from the current position; "->" ends a name.
func (l *lexer) name(start int) string {
	from := l.pos
	for l.pos < len(l.text) && isNameByte(l.text[l.pos]) && !strings.HasPrefix(l.text[l.pos:], "->") {
		l.pos++
	}
	if l.pos == from {
		l.fail(start, "a name must follow %q", l.text[start:from])
	}
	if l.pos-from > maxName {
		l.fail(start, "name of %d bytes, at most %d", l.pos-from, maxName)
	}
	return l.text[from:l.pos]
}

func (l *lexer) number() string {
	start := l.pos
	l.pos++
	for l.pos < len(l.text) {
		c, before := l.text[l.pos], l.text[l.pos-1]
		exponentSign := (c == '-' || c == '+') && (before == 'e' || before == 'E')
		if !isDigit(c) && c != '.' && c != 'e' && c != 'E' && !exponentSign {
			break
		}
		l.pos++
	}
	return l.text[start:l.pos]
}

func (l *lexer) quoted() string {
	start := l.pos
	for l.pos++; l.pos < len(l.text) && l.text[l.pos] != '"' && l.text[l.pos] != '\n'; l.pos++ {
		if l.text[l.pos] == '\\' {
			l.pos++
		}
	}
	if l.pos >= len(l.text) || l.text[l.pos] != '"' {
		l.fail(start, "string does not end on its line")
	}
	l.pos++
	s, err := strconv.Unquote(l.text[start:l.pos])
	if err != nil {
		l.fail(start, "bad string %s", clip(l.text[start:l.pos]))
	}
	return s
}

// rawUntil returns the text from the current token up to the byte stop, and makes the token after stop current.
func (l *lexer) rawUntil(stop byte) string {
	start := l.tok.pos
	n := strings.IndexByte(l.text[start:], stop)
	if n < 0 || strings.IndexByte(l.text[start:start+n], '\n') >= 0 {
		l.fail(start, "no %q on this line", rune(stop))
	}
	l.pos = start + n + 1
	l.next()
	return l.text[start : start+n]
}

// accept moves on and reports true when the current token is the punctuation or word text.
func (l *lexer) accept(text string) bool {
	if (l.tok.kind == tokPunct || l.tok.kind == tokName) && l.tok.text == text {
		l.next()
		return true
	}
	return false
}

func (l *lexer) expect(text string) {
	if !l.accept(text) {
		l.fail(l.tok.pos, "expected %q, found %v", text, l.tok)
	}
}

// want returns the text of the current token, which must be of the given kind; what names it in the error.
func (l *lexer) want(kind tokenKind, what string) string {
	if l.tok.kind != kind {
		l.fail(l.tok.pos, "expected %s, found %v", what, l.tok)
	}
	return l.next().text
}

func (l *lexer) int() int64 {
	pos, text := l.tok.pos, l.want(tokNumber, "an integer")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		l.fail(pos, "bad integer %q", clip(text))
	}
	return n
}

// list reads items up to the punctuation end, separated by commas.
func (l *lexer) list(end string, item func()) {
	if l.accept(end) {
		return
	}
	for {
		item()
		if l.accept(end) {
			return
		}
		l.expect(",")
	}
}

// position turns a byte offset into "line:column", both from 1.
func position(text string, pos int) string {
	before := text[:pos]
	line := strings.Count(before, "\n") + 1
	return fmt.Sprintf("%d:%d", line, pos-strings.LastIndexByte(before, '\n'))
}
