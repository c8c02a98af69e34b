package ptxtext

import (
	"fmt"
	"strings"
)

type tokenKind uint8

const (
	endToken    tokenKind = iota
	wordToken             // names, %tid
	dotToken              // .word, text without the dot
	numberToken           // text of a literal
	stringToken
	signToken // one or two punctuation characters
)

type token struct {
	kind  tokenKind
	text  string
	pos   Pos
	glued bool // nothing stands between this token and the one before
}

type lexer struct {
	src       string
	at        int
	line      int
	lineStart int
	err       error
}

const maxSource = 256 << 20

func wordStart(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '$' || c == '%'
}
func digit(c byte) bool    { return c >= '0' && c <= '9' }
func wordPart(c byte) bool { return wordStart(c) && c != '%' || digit(c) }

func (l *lexer) pos() Pos { return Pos{l.line, l.at - l.lineStart + 1} }

func (l *lexer) fail(format string, args ...any) token {
	if l.err == nil {
		l.err = &Error{l.pos(), fmt.Sprintf(format, args...)}
	}
	l.at = len(l.src)
	return token{kind: endToken, pos: l.pos()}
}

// skipSpace passes white space and comments and reports whether there was any.
func (l *lexer) skipSpace() bool {
	start := l.at
	for l.at < len(l.src) {
		switch c := l.src[l.at]; {
		case c == '\n':
			l.at++
			l.line, l.lineStart = l.line+1, l.at
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
			l.at++
		case c == '/' && strings.HasPrefix(l.src[l.at:], "//"):
			l.skipLine()
		case c == '/' && strings.HasPrefix(l.src[l.at:], "/*"):
			end := strings.Index(l.src[l.at+2:], "*/")
			if end < 0 {
				l.fail("comment without an end")
				return true
			}
			end += l.at + 4
			for ; l.at < end; l.at++ {
				if l.src[l.at] == '\n' {
					l.line, l.lineStart = l.line+1, l.at+1
				}
			}
		default:
			return l.at > start
		}
	}
	return l.at > start
}

func (l *lexer) skipLine() {
	if n := strings.IndexByte(l.src[l.at:], '\n'); n >= 0 {
		l.at += n
	} else {
		l.at = len(l.src)
	}
}

func (l *lexer) next() token {
	spaced := l.skipSpace()
	if l.at >= len(l.src) {
		return token{kind: endToken, pos: l.pos()}
	}
	t := l.scan()
	t.glued = !spaced
	return t
}

func (l *lexer) scan() token {
	pos, start, c := l.pos(), l.at, l.src[l.at]
	switch {
	case digit(c):
		return l.number(pos)
	case wordStart(c):
		for l.at++; l.at < len(l.src) && wordPart(l.src[l.at]); l.at++ {
		}
		return token{kind: wordToken, text: l.src[start:l.at], pos: pos}
	case c == '.':
		return l.dotted(pos)
	case c == '"':
		end := strings.IndexAny(l.src[l.at+1:], "\"\n")
		if end < 0 || l.src[l.at+1+end] == '\n' {
			return l.fail("string without an end")
		}
		l.at += end + 2
		return token{kind: stringToken, text: l.src[start+1 : l.at-1], pos: pos}
	}
	if strings.IndexByte("{}[]()<>,;:=+-*/%!~&|^@?", c) < 0 {
		return l.fail("unexpected character %q", c)
	}
	l.at++
	if (c == '<' || c == '>') && l.at < len(l.src) && l.src[l.at] == c {
		l.at++
	}
	return token{kind: signToken, text: l.src[start:l.at], pos: pos}
}

// dotted scans .word; a double colon belongs to the word (.shared::cta, .L2::128B).
func (l *lexer) dotted(pos Pos) token {
	l.at++
	start := l.at
	for l.at < len(l.src) {
		if wordPart(l.src[l.at]) {
			l.at++
		} else if strings.HasPrefix(l.src[l.at:], "::") {
			l.at += 2
		} else {
			break
		}
	}
	if l.at == start {
		return l.fail("a dot without a word")
	}
	return token{kind: dotToken, text: l.src[start:l.at], pos: pos}
}

// number scans 12, 0x1fU, 017, 0b101, 0f3f800000, 0d..., 1.5e-3. A dot belongs to it only before a digit or an exponent,
// so that 4.x never arises and 8.0 of .version is one token.
func (l *lexer) number(pos Pos) token {
	start := l.at
	for l.at++; l.at < len(l.src); l.at++ {
		c := l.src[l.at]
		switch {
		case wordPart(c) && c != '$':
		case c == '.' && l.at+1 < len(l.src) && (digit(l.src[l.at+1]) || !wordStart(l.src[l.at+1])):
		case (c == '+' || c == '-') && exponent(l.src[start:l.at]):
		default:
			return token{kind: numberToken, text: l.src[start:l.at], pos: pos}
		}
	}
	return token{kind: numberToken, text: l.src[start:l.at], pos: pos}
}

// exponent reports whether head ends in the e of a decimal literal with a dot or of digits alone.
func exponent(head string) bool {
	if last := head[len(head)-1]; last != 'e' && last != 'E' {
		return false
	}
	for _, c := range []byte(head[:len(head)-1]) {
		if !digit(c) && c != '.' {
			return false
		}
	}
	return true
}
