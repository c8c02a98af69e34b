package template

import (
	"strconv"
	"strings"
)

// formatMethods are str.format and str.format_map. Fields are looked up by the sandbox's rules, so attributes of arguments
// are as safe as in an expression.
var formatMethods = []*function{
	builtin("format", "* **", func(st *state, self Value, a args) (Value, error) {
		text, _ := asText(self)
		b := braceFormatter{st: st, positional: a.rest, escape: isMarkup(self)}
		b.named = func(name string) (Value, bool) {
			for i, n := range a.names {
				if n == name {
					return a.keywords[i], true
				}
			}
			return nil, false
		}
		s, err := b.format(text, 2)
		return like(self, s), err
	}),
	builtin("format_map", "mapping /", func(st *state, self Value, a args) (Value, error) {
		text, _ := asText(self)
		d, ok := a.values[0].(*dictValue)
		if !ok {
			return nil, typeError("format_map() argument must be a mapping, not %s", a.values[0].typeName())
		}
		b := braceFormatter{st: st, named: d.getString, escape: isMarkup(self)}
		s, err := b.format(text, 2)
		return like(self, s), err
	}),
}

// braceFormatter fills the fields of "{name.attr[0]!r:>8}".
type braceFormatter struct {
	st         *state
	positional []Value
	named      func(name string) (Value, bool)
	escape     bool // the template is marked as HTML: values are escaped
	next       int  // of automatic numbering
	manual     bool // a field had a number
}

// format fills in text. Specifications may hold fields themselves, depth levels of them.
func (b *braceFormatter) format(text string, depth int) (string, error) {
	if depth < 0 {
		return "", fail(ValueError, "Max string recursion exceeded")
	}
	var out []byte
	write := func(s string) error {
		if len(out)+len(s) > b.st.limits.Output {
			return &LimitError{"output", int64(b.st.limits.Output)}
		}
		out = append(out, s...)
		return b.st.text(len(s))
	}
	for text != "" {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			i = len(text)
		}
		if err := write(text[:i]); err != nil {
			return "", err
		}
		text = text[i:]
		switch {
		case text == "":
		case strings.HasPrefix(text, "{{"), strings.HasPrefix(text, "}}"):
			if err := write(text[:1]); err != nil {
				return "", err
			}
			text = text[2:]
		case text[0] == '}':
			return "", fail(ValueError, "Single '}' encountered in format string")
		default:
			end := fieldEnd(text)
			if end < 0 {
				return "", fail(ValueError, "expected '}' before end of string")
			}
			s, err := b.field(text[1:end], depth)
			if err == nil {
				err = write(s)
			}
			if err != nil {
				return "", err
			}
			text = text[end+1:]
		}
	}
	return string(out), nil
}

// fieldEnd finds the brace that closes the field at the start of s.
func fieldEnd(s string) int {
	open := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			open--
			if open == 0 {
				return i
			}
		}
	}
	return -1
}

// field formats one "name!conversion:spec".
func (b *braceFormatter) field(s string, depth int) (string, error) {
	name, conversion, spec, err := splitField(s)
	if err != nil {
		return "", err
	}
	v, err := b.lookup(name)
	if err != nil {
		return "", err
	}
	switch conversion {
	case 0:
	case 's', 'r', 'a':
		text, err := b.st.str(v)
		if conversion != 's' {
			text, err = b.st.repr(v)
		}
		if err != nil {
			return "", err
		}
		if conversion == 'a' {
			text = asciiOnly(text)
		}
		v = strValue(text)
	default:
		return "", fail(ValueError, "Unknown conversion specifier %c", conversion)
	}
	if spec, err = b.format(spec, depth-1); err != nil {
		return "", err
	}
	text, err := b.st.format(v, spec)
	if err == nil && b.escape && !isMarkup(v) {
		return b.st.escape(text)
	}
	return text, err
}

// splitField cuts at the first "!" or ":" outside of brackets.
func splitField(s string) (name string, conversion byte, spec string, err error) {
	bracket := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '{' && !bracket:
			return "", 0, "", fail(ValueError, "unexpected '{' in field name")
		case c == '[':
			bracket = true
		case c == ']':
			bracket = false
		case c == ':' && !bracket:
			return s[:i], 0, s[i+1:], nil
		case c == '!' && !bracket:
			rest := s[i+1:]
			if rest == "" {
				return "", 0, "", fail(ValueError, "end of string while looking for conversion specifier")
			}
			if len(rest) > 1 && rest[1] != ':' {
				return "", 0, "", fail(ValueError, "expected ':' after conversion specifier")
			}
			return s[:i], rest[0], strings.TrimPrefix(rest[1:], ":"), nil
		}
	}
	return s, 0, "", nil
}

// lookup resolves "first.attr[index]".
func (b *braceFormatter) lookup(name string) (Value, error) {
	switch {
	case name == "" && b.manual:
		return nil, fail(ValueError, "cannot switch from manual field specification to automatic field numbering")
	case name == "":
		name = strconv.Itoa(b.next)
		b.next++
	case isDigits(name):
		if b.next > 0 {
			return nil, fail(ValueError, "cannot switch from manual field specification to automatic field numbering")
		}
		b.manual = true
	}
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	v, err := b.first(name[:end])
	for rest := name[end:]; err == nil && rest != ""; {
		v, rest, err = b.part(v, rest)
	}
	return v, err
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, decimalDigits) == "" }

func (b *braceFormatter) first(name string) (Value, error) {
	if isDigits(name) {
		i, err := strconv.Atoi(name)
		if err != nil || i >= len(b.positional) {
			return nil, fail(IndexError, "Replacement index %s out of range for positional args tuple", name)
		}
		return b.positional[i], nil
	}
	if v, ok := b.named(name); ok {
		return v, nil
	}
	return nil, fail(KeyError, "%s", quote(name))
}

// part follows one ".attr" or "[index]".
func (b *braceFormatter) part(v Value, s string) (Value, string, error) {
	if s[0] == '.' {
		end := strings.IndexAny(s[1:], ".[") + 1
		if end == 0 {
			end = len(s)
		}
		if end == 1 {
			return nil, "", fail(ValueError, "Empty attribute in format string")
		}
		v, err := b.st.getattr(v, s[1:end], strValue(s[1:end]))
		return v, s[end:], err
	}
	if s[0] != '[' {
		return nil, "", fail(ValueError, "Only '.' or '[' may follow ']' in format field specifier")
	}
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return nil, "", fail(ValueError, "Missing ']' in format string")
	}
	var key Value = strValue(s[1:end])
	if end == 1 {
		return nil, "", fail(ValueError, "Empty attribute in format string")
	}
	if isDigits(s[1:end]) {
		i, err := strconv.ParseInt(s[1:end], 10, 64)
		if err != nil {
			return nil, "", fail(ValueError, "Too many decimal digits in format string")
		}
		key = intValue(i)
	}
	v, err := b.st.getitem(v, key)
	return v, s[end+1:], err
}
