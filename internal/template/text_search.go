package template

import (
	"strings"
	"unicode/utf8"
)

// The parts of Python's str that look for text.

var searchMethods = []*function{
	builtin("find", "sub start? end? /", findMethod(strings.Index, false)),
	builtin("rfind", "sub start? end? /", findMethod(strings.LastIndex, false)),
	builtin("index", "sub start? end? /", findMethod(strings.Index, true)),
	builtin("rindex", "sub start? end? /", findMethod(strings.LastIndex, true)),
	builtin("count", "sub start? end? /", func(st *state, self Value, a args) (Value, error) {
		part, _, inside, err := st.window(self, a)
		if err != nil || !inside {
			return intValue(0), err
		}
		sub, err := a.text(0, "")
		return intValue(strings.Count(part, sub)), err
	}),
	builtin("startswith", "prefix start? end? /", affixMethod("startswith", strings.HasPrefix)),
	builtin("endswith", "suffix start? end? /", affixMethod("endswith", strings.HasSuffix)),
	builtin("replace", "old new count? /", func(st *state, self Value, a args) (Value, error) {
		old, err := a.text(0, "")
		if err != nil {
			return nil, err
		}
		replacement := a.values[1]
		if isMarkup(self) {
			if replacement, err = st.escapeValue(replacement); err != nil {
				return nil, err
			}
		}
		fresh, ok := asText(replacement)
		if !ok {
			return nil, typeError("replace() argument 2 must be str, not %s", replacement.typeName())
		}
		count, err := a.int(2, -1)
		if err != nil {
			return nil, err
		}
		s, _ := asText(self)
		s, err = st.replace(s, old, fresh, count)
		return like(self, s), err
	}),
	builtin("join", "iterable /", func(st *state, self Value, a args) (Value, error) {
		items, err := st.collect(a.values[0])
		if err != nil {
			return nil, err
		}
		if sep, ok := self.(markupValue); ok {
			return st.joinMarkup(sep, items)
		}
		parts := make([]string, len(items))
		for i, item := range items {
			s, ok := asText(item)
			if !ok {
				return nil, typeError("sequence item %d: expected str instance, %s found", i, item.typeName())
			}
			parts[i] = s
		}
		sep, _ := asText(self)
		s, err := st.join(parts, sep)
		return strValue(s), err
	}),
}

// window cuts out what the start and end arguments select and gives the number of characters before it.
// inside is false where start lies behind the end of the text, where even the empty text is not found.
func (st *state) window(self Value, a args) (part string, before int, inside bool, err error) {
	s, _ := asText(self)
	if !a.given(1) && !a.given(2) {
		return s, 0, true, st.scan(len(s))
	}
	n, err := st.runeCount(s)
	if err != nil {
		return "", 0, false, err
	}
	var bounds [3]Value
	for i := range 2 {
		if a.given(i + 1) {
			bounds[i] = a.values[i+1]
		}
	}
	if start, ok := index(a.or(1, intValue(0))); ok && start > n {
		return "", 0, false, nil
	}
	start, stop, _, err := sliceBounds(bounds, n)
	if err != nil || stop < start {
		return "", 0, false, err
	}
	from := runeOffset(s, start)
	return s[from : from+runeOffset(s[from:], stop-start)], start, true, nil
}

func findMethod(find func(s, sub string) int, mustFind bool) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, a args) (Value, error) {
		sub, err := a.text(0, "")
		if err != nil {
			return nil, err
		}
		part, before, inside, err := st.window(self, a)
		if err != nil {
			return nil, err
		}
		at := -1
		if inside {
			at = find(part, sub)
		}
		if at >= 0 {
			return intValue(before + utf8.RuneCountInString(part[:at])), nil
		}
		if mustFind {
			return nil, fail(ValueError, "substring not found")
		}
		return intValue(-1), nil
	}
}

func affixMethod(name string, has func(s, affix string) bool) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, a args) (Value, error) {
		affixes := []Value{a.values[0]}
		if t, ok := a.values[0].(*tupleValue); ok {
			affixes = t.items
		}
		part, _, inside, err := st.window(self, a)
		if err != nil {
			return nil, err
		}
		for _, v := range affixes {
			affix, ok := asText(v)
			if !ok {
				return nil, typeError("%s first arg must be str or a tuple of str, not %s", name, v.typeName())
			}
			if err := st.scan(len(affix)); err != nil {
				return nil, err
			}
			if inside && has(part, affix) {
				return boolValue(true), nil
			}
		}
		return boolValue(false), nil
	}
}

// replace is str.replace; a negative count replaces all.
func (st *state) replace(s, old, fresh string, count int) (string, error) {
	if err := st.scan(len(s)); err != nil {
		return "", err
	}
	n := strings.Count(s, old)
	if count >= 0 {
		n = min(n, count)
	}
	if n == 0 {
		return s, nil
	}
	if len(fresh) > len(old) && n > st.limits.Output/(len(fresh)-len(old)) {
		return "", &LimitError{"output", int64(st.limits.Output)}
	}
	if err := st.text(len(s) + n*(len(fresh)-len(old))); err != nil {
		return "", err
	}
	return strings.Replace(s, old, fresh, n), nil
}

// join is sep.join(parts).
func (st *state) join(parts []string, sep string) (string, error) {
	total := len(sep) * max(0, len(parts)-1)
	for _, s := range parts {
		total += len(s)
	}
	if err := st.text(total); err != nil {
		return "", err
	}
	return strings.Join(parts, sep), nil
}
