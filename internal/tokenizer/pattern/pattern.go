// Package pattern finds the matches of the patterns in tokenizer files. A pattern is Oniguruma syntax, which no Go
// package reads: those of the known tokenizer families have hand-written matchers, plain runs of one class match
// directly, and any other is parsed, translated to .NET syntax and run by regexp2 under a time limit. Patterns are
// untrusted. The package knows no tokenizer.
package pattern

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// A Span is text[Start:End].
type Span struct{ Start, End int32 }

// A Matcher finds all matches of a pattern in a text of valid UTF-8.
type Matcher interface {
	// AppendMatches appends the successive matches to dst; they ascend and do not overlap.
	AppendMatches(dst []Span, text []byte) ([]Span, error)
}

// Compile gives the fastest matcher for an Oniguruma pattern.
func Compile(source string) (Matcher, error) {
	if at, ok := splitters[source]; ok {
		return splitter(at), nil
	}
	tree, p, err := parse(source)
	if err == nil {
		if run, ok := asRun(tree); ok {
			return run, nil
		}
		var m Matcher
		if m, err = compileRegex(tree, p); err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("pattern %.80q: %w", source, err)
}

// Literal matches s itself. The empty literal matches between all characters, at the start and at the end.
func Literal(s string) Matcher { return literal(s) }

type literal []byte

func (l literal) AppendMatches(dst []Span, text []byte) ([]Span, error) {
	if len(l) == 0 {
		for i := 0; i <= len(text); {
			dst = append(dst, Span{int32(i), int32(i)})
			_, size := utf8.DecodeRune(text[i:])
			i += max(size, 1)
		}
		return dst, nil
	}
	for i := 0; ; {
		j := bytes.Index(text[i:], l)
		if j < 0 {
			return dst, nil
		}
		dst = append(dst, Span{int32(i + j), int32(i + j + len(l))})
		i += j + len(l)
	}
}

// Where matches every single character that f accepts.
func Where(f func(rune) bool) Matcher { return where(f) }

type where func(rune) bool

func (f where) AppendMatches(dst []Span, text []byte) ([]Span, error) {
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
		}
		if f(r) {
			dst = append(dst, Span{int32(i), int32(i + size)})
		}
		i += size
	}
	return dst, nil
}
