package template

import (
	"strings"
	"unicode/utf8"
)

// The parts of Python's str that cut text up. Texts share memory with what they were cut from.

var splitMethods = []*function{
	builtin("split", "sep? maxsplit?", func(st *state, self Value, a args) (Value, error) { return st.split(self, a, false) }),
	builtin("rsplit", "sep? maxsplit?", func(st *state, self Value, a args) (Value, error) { return st.split(self, a, true) }),
	builtin("splitlines", "keepends?", func(st *state, self Value, a args) (Value, error) {
		s, _ := asText(self)
		return st.textList(self, splitLines(s, a.flag(0)))
	}),
	builtin("partition", "sep /", func(st *state, self Value, a args) (Value, error) { return st.partition(self, a, false) }),
	builtin("rpartition", "sep /", func(st *state, self Value, a args) (Value, error) { return st.partition(self, a, true) }),
	builtin("strip", "chars? /", trimMethod(true, true)),
	builtin("lstrip", "chars? /", trimMethod(true, false)),
	builtin("rstrip", "chars? /", trimMethod(false, true)),
	builtin("removeprefix", "prefix /", func(st *state, self Value, a args) (Value, error) {
		s, _ := asText(self)
		affix, err := a.text(0, "")
		if err != nil {
			return nil, err
		}
		return like(self, strings.TrimPrefix(s, affix)), st.scan(len(affix))
	}),
	builtin("removesuffix", "suffix /", func(st *state, self Value, a args) (Value, error) {
		s, _ := asText(self)
		affix, err := a.text(0, "")
		if err != nil {
			return nil, err
		}
		return like(self, strings.TrimSuffix(s, affix)), st.scan(len(affix))
	}),
}

// textList makes a list of texts of the class of model.
func (st *state) textList(model Value, parts []string) (Value, error) {
	if err := st.items(2 * len(parts)); err != nil {
		return nil, err
	}
	items := make([]Value, len(parts))
	for i, s := range parts {
		items[i] = like(model, s)
	}
	return &listValue{items: items}, nil
}

func (st *state) split(self Value, a args, fromRight bool) (Value, error) {
	s, _ := asText(self)
	limit, err := a.int(1, -1)
	if err != nil {
		return nil, err
	}
	if err := st.text(len(s)); err != nil {
		return nil, err
	}
	if limit < 0 {
		limit = len(s) + 1
	}
	if !a.given(0) {
		if fromRight {
			return st.textList(self, fieldsRight(s, limit))
		}
		return st.textList(self, fieldsLeft(s, limit))
	}
	sep, err := a.text(0, "")
	if err != nil {
		return nil, err
	}
	if sep == "" {
		return nil, fail(ValueError, "empty separator")
	}
	if !fromRight {
		return st.textList(self, strings.SplitN(s, sep, limit+1))
	}
	return st.textList(self, splitRight(s, sep, limit))
}

func splitRight(s, sep string, limit int) []string {
	var parts []string
	for ; limit > 0; limit-- {
		i := strings.LastIndex(s, sep)
		if i < 0 {
			break
		}
		parts = append(parts, s[i+len(sep):])
		s = s[:i]
	}
	return reversed(append(parts, s))
}

func reversed(parts []string) []string {
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}

// fieldsLeft splits at runs of whitespace, at most limit times from the left.
func fieldsLeft(s string, limit int) []string {
	var parts []string
	s = strings.TrimLeftFunc(s, isSpace)
	for s != "" {
		end := strings.IndexFunc(s, isSpace)
		if limit == 0 || end < 0 {
			return append(parts, s) // with the whitespace behind it, when the limit cuts it off
		}
		parts = append(parts, s[:end])
		s = strings.TrimLeftFunc(s[end:], isSpace)
		limit--
	}
	return parts
}

// fieldsRight splits at runs of whitespace, at most limit times from the right.
func fieldsRight(s string, limit int) []string {
	var parts []string
	s = strings.TrimRightFunc(s, isSpace)
	for s != "" {
		at := strings.LastIndexFunc(s, isSpace)
		if limit == 0 || at < 0 {
			parts = append(parts, s)
			break
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		parts = append(parts, s[at+size:])
		s = strings.TrimRightFunc(s[:at], isSpace)
		limit--
	}
	return reversed(parts)
}

// lineEnd returns the length of the line break at the start of s, or 0.
func lineEnd(s string) int {
	switch s[0] {
	case '\r':
		if strings.HasPrefix(s, "\r\n") {
			return 2
		}
		return 1
	case '\n', '\v', '\f', '\x1c', '\x1d', '\x1e':
		return 1
	}
	for _, end := range []string{"\u0085", "\u2028", "\u2029"} {
		if strings.HasPrefix(s, end) {
			return len(end)
		}
	}
	return 0
}

// splitLines is str.splitlines.
func splitLines(s string, keepEnds bool) []string {
	var lines []string
	start := 0
	for i := 0; i < len(s); {
		n := lineEnd(s[i:])
		if n == 0 {
			i++
			continue
		}
		end := i
		if keepEnds {
			end = i + n
		}
		lines = append(lines, s[start:end])
		i += n
		start = i
	}
	if start < len(s) {
		lines = append(lines, s[start:])
	}
	return lines
}

func (st *state) partition(self Value, a args, fromRight bool) (Value, error) {
	s, _ := asText(self)
	sep, err := a.text(0, "")
	if err != nil {
		return nil, err
	}
	if sep == "" {
		return nil, fail(ValueError, "empty separator")
	}
	parts := [3]string{s, "", ""}
	at := strings.Index(s, sep)
	if fromRight {
		parts = [3]string{"", "", s}
		at = strings.LastIndex(s, sep)
	}
	if at >= 0 {
		parts = [3]string{s[:at], sep, s[at+len(sep):]}
	}
	t := &tupleValue{}
	for _, part := range parts {
		t.items = append(t.items, like(self, part))
	}
	return t, st.scan(len(s))
}

func trimMethod(left, right bool) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, a args) (Value, error) {
		s, _ := asText(self)
		chars := ""
		if a.given(0) {
			var err error
			if chars, err = a.text(0, ""); err != nil {
				return nil, err
			}
		}
		trimmed, err := st.trim(s, chars, a.given(0), left, right)
		return like(self, trimmed), err
	}
}

// trim removes whitespace, or the given characters, from the ends of s.
func (st *state) trim(s, chars string, given, left, right bool) (string, error) {
	remove := isSpace
	if given {
		if err := st.scan(len(chars)); err != nil {
			return "", err
		}
		set := make(map[rune]bool, len(chars))
		for _, r := range chars {
			set[r] = true
		}
		remove = func(r rune) bool { return set[r] }
	}
	before := len(s)
	if left {
		s = strings.TrimLeftFunc(s, remove)
	}
	if right {
		s = strings.TrimRightFunc(s, remove)
	}
	return s, st.scan(before - len(s))
}
