package template

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

var translateMethods = []*function{
	builtin("translate", "table /", translateMethod),
	builtin("maketrans", "x y? z? /", maketransMethod),
	builtin("encode", "encoding? errors?", func(*state, Value, args) (Value, error) {
		return nil, fail(NotImplemented, "bytes are not supported")
	}),
}

// translateMethod replaces characters by what a dict has for their numbers: text, a number, or None to drop them.
func translateMethod(st *state, self Value, a args) (Value, error) {
	s, _ := asText(self)
	table, ok := a.values[0].(*dictValue)
	if u, undefined := a.values[0].(*undefinedValue); undefined {
		return nil, u.fail()
	}
	if !ok {
		return nil, typeError("'%s' object is not subscriptable", a.values[0].typeName())
	}
	var b strings.Builder
	for _, r := range s {
		v, found, err := table.lookup(&st.meter, intValue(r))
		if err == nil {
			err = st.step()
		}
		if err != nil {
			return nil, err
		}
		text := string(r)
		if found {
			if text, err = translation(v); err != nil {
				return nil, err
			}
		}
		if err := st.text(len(text)); err != nil {
			return nil, err
		}
		b.WriteString(text)
	}
	return like(self, b.String()), nil
}

func translation(v Value) (string, error) {
	if s, ok := asText(v); ok {
		return s, nil
	}
	if v == None {
		return "", nil
	}
	i, big, ok := asInt(v)
	if !ok {
		return "", typeError("character mapping must return integer, None or str")
	}
	if big || i < 0 || i > unicode.MaxRune {
		return "", fail(ValueError, "character mapping must be in range(0x110000)")
	}
	return string(rune(i)), nil
}

// maketransMethod makes the table for translate from a dict, or from two texts of equal length and one to drop.
func maketransMethod(st *state, _ Value, a args) (Value, error) {
	table := newDict(0)
	if a.values[1] == nil {
		d, ok := a.values[0].(*dictValue)
		if !ok {
			return nil, typeError("if you give only one argument to maketrans it must be a dict")
		}
		for _, e := range d.entries {
			key := e.key
			if s, ok := asText(key); ok {
				r, n := utf8.DecodeRuneInString(s)
				if n == 0 || n != len(s) {
					return nil, fail(ValueError, "string keys in translate table must be of length 1")
				}
				key = intValue(r)
			} else if !isIntegral(key) {
				return nil, typeError("keys in translate table must be strings or integers")
			}
			if err := table.put(&st.meter, key, e.value); err != nil {
				return nil, err
			}
		}
		return table, nil
	}
	var texts [3][]rune
	for i := range texts {
		s, err := a.text(i, "")
		if err != nil {
			return nil, err
		}
		if err := st.text(4 * len(s)); err != nil {
			return nil, err
		}
		texts[i] = []rune(s)
	}
	if len(texts[0]) != len(texts[1]) {
		return nil, fail(ValueError, "the first two maketrans arguments must have equal length")
	}
	for i, r := range texts[0] {
		if err := table.put(&st.meter, intValue(r), intValue(texts[1][i])); err != nil {
			return nil, err
		}
	}
	for _, r := range texts[2] {
		if err := table.put(&st.meter, intValue(r), None); err != nil {
			return nil, err
		}
	}
	return table, nil
}
