package pattern

import (
	"unicode/utf8"

	"llmc/internal/tokenizer/ucd"
)

// A splitter is a hand-written matcher: it gives the end of the match that starts at text[i], or -1 for none. Those
// of the known families look at every character once or twice and need no memory.
type splitter func(s scanner, i int) int

func (at splitter) AppendMatches(dst []Span, text []byte) ([]Span, error) {
	s := scanner{text, ucd.Table()}
	for i := 0; i < len(text); {
		end := at(s, i)
		if end < 0 {
			i += characterSize(text, i)
			continue
		}
		dst = append(dst, Span{int32(i), int32(end)})
		i = end
	}
	return dst, nil
}

// The classes as the patterns spell them.
const (
	blank = ucd.White                  // \s
	word  = ucd.White | ucd.L | ucd.N  // what [^\s\p{L}\p{N}] excludes
	upper = ucd.Lu | ucd.Lt | caseless // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
	lower = ucd.Ll | caseless          // [\p{Ll}\p{Lm}\p{Lo}\p{M}]

	caseless = ucd.Lm | ucd.Lo | ucd.M
)

// scanner reads classes of characters in text.
type scanner struct {
	text  []byte
	table *ucd.Classes
}

// class gives the class and size of the character at i; size 0 at the end of the text.
func (s *scanner) class(i int) (ucd.Class, int) {
	if i >= len(s.text) {
		return 0, 0
	}
	if b := s.text[i]; b < utf8.RuneSelf {
		return s.table.ASCII[b], 1
	}
	r, size := utf8.DecodeRune(s.text[i:])
	return s.table.Of(r), size
}

// skip passes characters that are in mask.
func (s *scanner) skip(i int, mask ucd.Class) int {
	for {
		c, size := s.class(i)
		if c&mask == 0 {
			return i
		}
		i += size
	}
}

// skipOut passes characters that are not in mask.
func (s *scanner) skipOut(i int, mask ucd.Class) int {
	for {
		c, size := s.class(i)
		if c&mask != 0 || size == 0 {
			return i
		}
		i += size
	}
}

func isNewline(b byte) bool { return b == '\r' || b == '\n' }

// contraction gives the end of 's, 't, 're, 've, 'm, 'll or 'd at i, or i. Ignoring case, ſ equals s.
func (s *scanner) contraction(i int, ignoreCase bool) int {
	t := s.text[i:]
	if len(t) < 2 || t[0] != '\'' {
		return i
	}
	if ignoreCase && len(t) > 2 && string(t[1:3]) == "ſ" {
		return i + 3
	}
	letter := func(k int) byte {
		if k >= len(t) {
			return 0
		}
		if b := t[k]; ignoreCase && b >= 'A' && b <= 'Z' {
			return b + 'a' - 'A'
		}
		return t[k]
	}
	switch a, b := letter(1), letter(2); {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return i + 2
	case (a == 'r' || a == 'v') && b == 'e' || a == 'l' && b == 'l':
		return i + 3
	}
	return i
}

// digits passes at most most numbers; i if there is none.
func (s *scanner) digits(i, most int) int {
	for ; most > 0; most-- {
		c, size := s.class(i)
		if c&ucd.N == 0 {
			break
		}
		i += size
	}
	return i
}

// symbols is " ?[^out]+" followed by any number of the ASCII characters of tail, or -1.
func (s *scanner) symbols(i int, out ucd.Class, tail string) int {
	if s.text[i] == ' ' {
		i++
	}
	end := s.skipOut(i, out)
	if end == i {
		return -1
	}
	return s.tail(end, tail)
}

func (s *scanner) tail(i int, tail string) int {
	for i < len(s.text) {
		k := 0
		for k < len(tail) && tail[k] != s.text[i] {
			k++
		}
		if k == len(tail) {
			break
		}
		i++
	}
	return i
}

// lines is \s*[\r\n]+, or -1: white space up to its last newline.
func (s *scanner) lines(i int) int {
	for end := s.skip(i, blank); end > i; end-- {
		if isNewline(s.text[end-1]) {
			return end
		}
	}
	return -1
}

// spaces is \s+(?!\S)|\s+, or -1: white space but for its last character, which goes to the word that follows.
func (s *scanner) spaces(i int) int {
	end := s.skip(i, blank)
	if end == i {
		return -1
	}
	if end == len(s.text) {
		return end
	}
	if _, size := utf8.DecodeLastRune(s.text[i:end]); end-size > i {
		return end - size
	}
	return end
}
