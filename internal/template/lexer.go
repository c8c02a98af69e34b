package template

import (
	"fmt"
	"strings"
)

type tokenKind int

const (
	tokenEOF           tokenKind = iota
	tokenData                    // template text
	tokenVariableBegin           // {{
	tokenVariableEnd             // }}
	tokenBlockBegin              // {%
	tokenBlockEnd                // %}
	tokenName
	tokenString
	tokenInteger
	tokenFloat
	tokenOperator // its text says which
)

type token struct {
	kind  tokenKind
	line  int
	text  string // of names, operators, data and strings (unescaped)
	value Value  // of numbers
}

// lexer cuts a template into tokens with Jinja's whitespace control. It mirrors the regular expressions of Jinja's lexer,
// whose order of attempts decides what a character belongs to.
type lexer struct {
	source       string
	pos          int
	line         int
	tokens       []token
	open         []byte // closing brackets expected, innermost last
	lineStarting bool   // the last piece matched ended in a newline
}

// maxSource bounds the template text; the longest known chat template has 50 KB.
const maxSource = 1 << 19

func lex(source string) (tokens []token, err error) {
	if len(source) > maxSource {
		return nil, &SyntaxError{1, fmt.Sprintf("template of %d bytes; at most %d are allowed", len(source), maxSource)}
	}
	source = validText(source)
	source = strings.ReplaceAll(source, "\r\n", "\n")
	source = strings.ReplaceAll(source, "\r", "\n")
	source = strings.TrimSuffix(source, "\n") // keep_trailing_newline is off
	l := &lexer{source: source, line: 1, lineStarting: true}
	for l.pos < len(l.source) {
		if err := l.text(); err != nil {
			return nil, err
		}
	}
	l.emit(tokenEOF, "")
	return l.tokens, nil
}

func (l *lexer) fail(format string, args ...any) error {
	return &SyntaxError{l.line, fmt.Sprintf(format, args...)}
}

func (l *lexer) emit(kind tokenKind, text string) {
	l.tokens = append(l.tokens, token{kind: kind, line: l.line, text: text})
}

// advance moves behind s, which must be what follows.
func (l *lexer) advance(s string) {
	l.pos += len(s)
	l.line += strings.Count(s, "\n")
	if s != "" {
		l.lineStarting = s[len(s)-1] == '\n'
	}
}

// tagStart finds the next "{{", "{%" or "{#".
func tagStart(s string) int {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '{')
		if i < 0 || from+i+1 >= len(s) {
			return -1
		}
		i += from
		switch s[i+1] {
		case '{', '%', '#':
			return i
		}
		from = i + 1
	}
}

// text reads template text up to a tag, then the tag.
func (l *lexer) text() error {
	rest := l.source[l.pos:]
	start := tagStart(rest)
	if start < 0 {
		l.emit(tokenData, rest)
		l.advance(rest)
		return nil
	}
	kind, sign := rest[start+1], signAt(rest, start+2)
	l.data(rest[:start], kind, sign)
	mark := rest[start : start+2+len(sign)]
	if kind == '%' {
		if length := rawBegin(rest[start:]); length > 0 {
			l.advance(rest[start : start+length])
			return l.raw()
		}
	}
	l.advance(mark)
	switch kind {
	case '#':
		return l.comment()
	case '%':
		l.emit(tokenBlockBegin, "")
		return l.tag(tokenBlockEnd)
	}
	l.emit(tokenVariableBegin, "")
	return l.tag(tokenVariableEnd)
}

// signAt returns the whitespace control sign at s[i], or nothing.
func signAt(s string, i int) string {
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		return s[i : i+1]
	}
	return ""
}

// data emits the text before a tag. "-" strips all whitespace at its end; otherwise lstrip_blocks removes the blanks of
// the line on which a block or comment starts.
func (l *lexer) data(text string, kind byte, sign string) {
	kept := text
	switch {
	case sign == "-":
		kept = strings.TrimRightFunc(text, isSpace)
	case sign == "" && kind != '{':
		line := strings.LastIndexByte(text, '\n') + 1
		if (line > 0 || l.lineStarting) && strings.TrimFunc(text[line:], isSpace) == "" {
			kept = text[:line]
		}
	}
	if kept != "" {
		l.emit(tokenData, kept)
	}
	l.advance(text)
}

// rawBegin returns the length of a {% raw %} tag at the start of s, or 0.
func rawBegin(s string) int {
	i := 2 + len(signAt(s, 2))
	i += spaces(s[i:])
	if !strings.HasPrefix(s[i:], "raw") {
		return 0
	}
	i += len("raw")
	i += spaces(s[i:])
	if strings.HasPrefix(s[i:], "-%}") {
		i += len("-%}")
		return i + spaces(s[i:])
	}
	if strings.HasPrefix(s[i:], "%}") {
		return i + len("%}")
	}
	return 0
}

// spaces counts the bytes of whitespace at the start of s.
func spaces(s string) int {
	return len(s) - len(strings.TrimLeftFunc(s, isSpace))
}

// endMark matches the end of a tag at the start of s: "%}" and the newline that trim_blocks removes, "-%}" and all
// whitespace, or "+%}". It returns the length, or 0.
func endMark(s, end string) int {
	switch {
	case strings.HasPrefix(s, end):
		if end != "}}" && strings.HasPrefix(s[len(end):], "\n") {
			return len(end) + 1
		}
		return len(end)
	case strings.HasPrefix(s, "-") && strings.HasPrefix(s[1:], end):
		return 1 + len(end) + spaces(s[1+len(end):])
	case strings.HasPrefix(s, "+") && strings.HasPrefix(s[1:], end) && end != "}}":
		return 1 + len(end)
	}
	return 0
}

func (l *lexer) comment() error {
	rest := l.source[l.pos:]
	if rest == "" { // Jinja overlooks a comment that starts at the very end, and raw text too
		return nil
	}
	i := strings.Index(rest, "#}")
	if i < 0 {
		return l.fail("missing end of comment tag")
	}
	if sign := i - 1; sign >= 0 && (rest[sign] == '-' || rest[sign] == '+') {
		i = sign
	}
	l.advance(rest[:i+endMark(rest[i:], "#}")])
	return nil
}

// raw reads verbatim text up to {% endraw %}.
func (l *lexer) raw() error {
	rest := l.source[l.pos:]
	for from := 0; rest != ""; {
		i := strings.Index(rest[from:], "{%")
		if i < 0 {
			return l.fail("missing end of raw directive")
		}
		i += from
		from = i + 2
		sign := signAt(rest, i+2)
		end := i + 2 + len(sign)
		end += spaces(rest[end:])
		if !strings.HasPrefix(rest[end:], "endraw") {
			continue
		}
		end += len("endraw")
		end += spaces(rest[end:])
		n := endMark(rest[end:], "%}")
		if n == 0 {
			continue
		}
		l.data(rest[:i], '%', sign)
		l.advance(rest[i : end+n])
		return nil
	}
	return nil
}
