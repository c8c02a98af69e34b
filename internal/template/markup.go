package template

import "strings"

func isMarkup(v Value) bool {
	_, ok := v.(markupValue)
	return ok
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;")

// escape replaces the characters that mean something in HTML.
func (st *state) escape(s string) (string, error) {
	extra := 0
	for _, c := range []byte(s) {
		switch c {
		case '&', '<', '>', '\'', '"':
			extra += 4
		}
	}
	if extra == 0 {
		return s, st.scan(len(s))
	}
	if err := st.text(len(s) + extra); err != nil {
		return "", err
	}
	return htmlEscaper.Replace(s), nil
}

// escapeValue is markupsafe.escape: text of any value, escaped unless it is marked already.
func (st *state) escapeValue(v Value) (markupValue, error) {
	if m, ok := v.(markupValue); ok {
		return m, nil
	}
	s, err := st.str(v)
	if err != nil {
		return "", err
	}
	s, err = st.escape(s)
	return markupValue(s), err
}

// concatenateMarkup adds texts of which at least one is marked; it returns nil when the other one is no text.
func (st *state) concatenateMarkup(a, b Value) (Value, error) {
	for _, v := range []Value{a, b} {
		if _, ok := asText(v); !ok {
			return nil, nil
		}
	}
	x, err := st.escapeValue(a)
	if err != nil {
		return nil, err
	}
	y, err := st.escapeValue(b)
	if err != nil {
		return nil, err
	}
	return x + y, st.text(len(x) + len(y))
}

// joinMarkup joins values, escaping those that are not marked.
func (st *state) joinMarkup(sep markupValue, values []Value) (Value, error) {
	parts := make([]string, len(values))
	total := 0
	for i, v := range values {
		m, err := st.escapeValue(v)
		if err != nil {
			return nil, err
		}
		parts[i] = string(m)
		total += len(m) + len(sep)
	}
	if err := st.text(total); err != nil {
		return nil, err
	}
	return markupValue(strings.Join(parts, string(sep))), nil
}
