package template

import (
	"html"
	"strings"
)

var htmlFilters = []*function{
	builtin("escape", "", func(st *state, self Value, _ args) (Value, error) { return st.escapeValue(self) }),
	builtin("forceescape", "", func(st *state, self Value, _ args) (Value, error) {
		s, err := st.str(self)
		if err != nil {
			return nil, err
		}
		s, err = st.escape(s)
		return markupValue(s), err
	}),
	builtin("safe", "", func(st *state, self Value, _ args) (Value, error) {
		s, err := st.str(self)
		return markupValue(s), err
	}),
	builtin("striptags", "", func(st *state, self Value, _ args) (Value, error) {
		s, err := st.str(self)
		if err != nil {
			return nil, err
		}
		return strValue(stripTags(s)), st.text(len(s))
	}),
	builtin("urlencode", "", urlencodeFilter),
	builtin("urlize", "trim_url_limit? nofollow? target? rel? extra_schemes?", urlizeFilter),
	builtin("xmlattr", "autospace?", xmlattrFilter),
}

var markupMethods = []*function{
	builtin("striptags", "", func(st *state, self Value, _ args) (Value, error) {
		s, _ := asText(self)
		return strValue(stripTags(s)), st.text(len(s))
	}),
	builtin("unescape", "", func(st *state, self Value, _ args) (Value, error) {
		s, _ := asText(self)
		return strValue(html.UnescapeString(s)), st.text(len(s))
	}),
}

// stripTags removes comments and tags, puts single spaces for whitespace and decodes entities.
func stripTags(s string) string {
	var b strings.Builder
	for {
		start := strings.IndexByte(s, '<')
		if start < 0 {
			break
		}
		end, size := strings.IndexByte(s[start:], '>'), len(">")
		if strings.HasPrefix(s[start:], "<!--") {
			if end, size = strings.Index(s[start+4:], "-->"), len("-->"); end >= 0 {
				end += 4
			}
		}
		if end < 0 {
			break
		}
		b.WriteString(s[:start])
		s = s[start+end+size:]
	}
	b.WriteString(s)
	return html.UnescapeString(strings.Join(strings.FieldsFunc(b.String(), isSpace), " "))
}

// quoteURL is urllib's quote: everything but letters, digits, "_.-~" and safe as %XX.
func (st *state) quoteURL(v Value, safe string, plus bool) (string, error) {
	s, err := st.str(v)
	if err != nil {
		return "", err
	}
	if len(s) > st.limits.Output/3 {
		return "", &LimitError{"output", int64(st.limits.Output)}
	}
	if err := st.text(3 * len(s)); err != nil {
		return "", err
	}
	const upperHex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', strings.IndexByte("_.-~"+safe, c) >= 0:
			b = append(b, c)
		case plus && c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b), nil
}

func urlencodeFilter(st *state, self Value, _ args) (Value, error) {
	_, isText := asText(self)
	source := self
	if d, ok := self.(*dictValue); ok {
		source = &dictView{dict: d, kind: itemsView}
	}
	if _, err := iterate(source); isText || err != nil {
		s, err := st.quoteURL(self, "/", false)
		return strValue(s), err
	}
	var parts []string
	err := st.forEach(source, func(item Value) error {
		pair, err := st.collect(item)
		if err != nil {
			return err
		}
		if len(pair) != 2 {
			return fail(ValueError, "expected pairs of key and value, got %d elements", len(pair))
		}
		key, err := st.quoteURL(pair[0], "", true)
		if err != nil {
			return err
		}
		value, err := st.quoteURL(pair[1], "", true)
		parts = append(parts, key+"="+value)
		return err
	})
	if err != nil {
		return nil, err
	}
	s, err := st.join(parts, "&")
	return strValue(s), err
}

func xmlattrFilter(st *state, self Value, a args) (Value, error) {
	d, ok := self.(*dictValue)
	if !ok {
		if u, ok := self.(*undefinedValue); ok {
			return nil, u.fail()
		}
		return nil, fail(AttributeError, "'%s' object has no attribute 'items'", self.typeName())
	}
	var parts []string
	for _, e := range d.entries {
		if _, undefined := e.value.(*undefinedValue); undefined || e.value == None {
			continue
		}
		key, ok := asText(e.key)
		if !ok {
			return nil, typeError("expected string or bytes-like object, got '%s'", e.key.typeName())
		}
		if strings.ContainsAny(key, " \t\n\r\f\v/>=") {
			return nil, fail(ValueError, "Invalid character in attribute name: %s", quote(key))
		}
		name, err := st.escapeValue(e.key)
		if err != nil {
			return nil, err
		}
		value, err := st.escapeValue(e.value)
		if err != nil {
			return nil, err
		}
		parts = append(parts, string(name)+`="`+string(value)+`"`)
	}
	s, err := st.join(parts, " ")
	if s != "" && (a.values[0] == nil || a.flag(0)) {
		s = " " + s
	}
	return st.textValue(s), err
}
