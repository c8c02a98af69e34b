package template

import (
	"strings"
	"unicode/utf8"
)

var textFilters = []*function{
	builtin("upper", "", softFilter(toUpper)),
	builtin("lower", "", softFilter(toLower)),
	builtin("capitalize", "", softFilter(capitalize)),
	builtin("title", "", titleFilter),
	builtin("string", "", func(st *state, self Value, _ args) (Value, error) {
		v, _, err := st.soft(self)
		return v, err
	}),
	builtin("trim", "chars?", func(st *state, self Value, a args) (Value, error) {
		v, _, err := st.soft(self)
		if err != nil {
			return nil, err
		}
		return trimMethod(true, true)(st, v, a)
	}),
	builtin("center", "width?", func(st *state, self Value, a args) (Value, error) {
		v, s, err := st.soft(self)
		if err != nil {
			return nil, err
		}
		width, err := a.int(0, 80)
		if err != nil {
			return nil, err
		}
		s, err = st.pad(s, width, " ", centerLeft)
		return like(v, s), err
	}),
	builtin("replace", "old new count?", replaceFilter),
	builtin("format", "* **", formatFilter),
	builtin("indent", "width? first? blank?", indentFilter),
	builtin("truncate", "length? killwords? end? leeway?", truncateFilter),
	builtin("wordcount", "", func(st *state, self Value, _ args) (Value, error) {
		_, s, err := st.soft(self)
		if err != nil {
			return nil, err
		}
		words := strings.FieldsFunc(s, func(r rune) bool { return !isWord(r) })
		return intValue(len(words)), st.text(len(s))
	}),
}

func softFilter(convert func(string) string) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, _ args) (Value, error) {
		v, s, err := st.soft(self)
		if err != nil {
			return nil, err
		}
		return like(v, convert(s)), st.text(len(s))
	}
}

// titleFilter capitalizes behind whitespace, hyphens and opening brackets, unlike str.title.
func titleFilter(st *state, self Value, _ args) (Value, error) {
	_, s, err := st.soft(self)
	if err != nil {
		return nil, err
	}
	if err := st.text(len(s)); err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(s))
	start := true
	for i, r := range s {
		if start {
			b = appendUpper(b, r)
		} else {
			b = appendLower(b, s, i, r)
		}
		start = isSpace(r) || strings.ContainsRune("-({[<", r)
	}
	return strValue(b), nil
}

func replaceFilter(st *state, self Value, a args) (Value, error) {
	s, err := st.str(self)
	if err != nil {
		return nil, err
	}
	old, err := st.str(a.values[0])
	if err != nil {
		return nil, err
	}
	fresh, err := st.str(a.values[1])
	if err != nil {
		return nil, err
	}
	count := -1
	if a.given(2) {
		if count, err = a.int(2, -1); err != nil {
			return nil, err
		}
	}
	s, err = st.replace(s, old, fresh, count)
	return strValue(s), err
}

func formatFilter(st *state, self Value, a args) (Value, error) {
	if len(a.rest) > 0 && len(a.names) > 0 {
		return nil, fail(FilterArgument, "can't handle positional and keyword arguments at the same time")
	}
	text, _, err := st.soft(self)
	if err != nil {
		return nil, err
	}
	var values Value = &tupleValue{items: a.rest}
	if len(a.names) > 0 {
		d := newDict(len(a.names))
		for i, name := range a.names {
			d.setString(name, a.keywords[i])
		}
		values = d
	}
	return percentFormat(st, text, values)
}

func indentFilter(st *state, self Value, a args) (Value, error) {
	indention, ok := asText(a.or(0, intValue(4)))
	if !ok {
		width, err := a.int(0, 4)
		if err != nil {
			return nil, err
		}
		if indention, err = st.pad("", width, " ", centerLeft); err != nil {
			return nil, err
		}
	}
	s, ok := asText(self)
	if _, isList := self.(*listValue); isList {
		return nil, fail(AttributeError, "'list' object has no attribute 'splitlines'")
	}
	if !ok { // the error of adding a newline
		return st.arithmetic("+", self, strValue("\n"))
	}
	lines := splitLines(s+"\n", false)
	if err := st.items(2 * len(lines)); err != nil {
		return nil, err
	}
	for i, line := range lines {
		indented := i > 0 && (line != "" || a.flag(2)) || i == 0 && a.flag(1)
		if !indented {
			continue
		}
		if err := st.text(len(indention) + len(line)); err != nil {
			return nil, err
		}
		lines[i] = indention + line
	}
	s, err := st.join(lines, "\n")
	return like(self, s), err
}

func truncateFilter(st *state, self Value, a args) (Value, error) {
	length, err := a.int(0, 255)
	if err != nil {
		return nil, err
	}
	end, err := a.text(2, "...")
	if err != nil {
		return nil, err
	}
	leeway := 5
	if a.given(3) {
		if leeway, err = a.int(3, 5); err != nil {
			return nil, err
		}
	}
	endLength := utf8.RuneCountInString(end)
	if length < endLength {
		return nil, fail(AssertionError, "expected length >= %d, got %d", endLength, length)
	}
	if leeway < 0 {
		return nil, fail(AssertionError, "expected leeway >= 0, got %d", leeway)
	}
	n, err := st.length(self)
	if err != nil || n-leeway <= length {
		return self, err
	}
	s, ok := asText(self)
	if !ok {
		return nil, fail(AttributeError, "'%s' object has no attribute 'rsplit'", self.typeName())
	}
	s = s[:runeOffset(s, length-endLength)]
	if !a.flag(1) {
		if i := strings.LastIndexByte(s, ' '); i >= 0 {
			s = s[:i]
		}
	}
	return like(self, s+end), st.text(len(s) + len(end))
}
