package template

import (
	"math"
	"sort"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// tojsonFilter is the tojson that transformers defines: json.dumps without escaping of HTML or, by default, of anything but
// control characters, with keys in their order.
var tojsonFilter = builtin("tojson", "ensure_ascii? indent? separators? sort_keys?", func(st *state, self Value, a args) (Value, error) {
	w := jsonWriter{st: st, ascii: a.flag(0), sorted: a.flag(3), item: ", ", key: ": "}
	if _, isText := asText(self); a.given(1) && !isText {
		switch v := a.values[1].(type) {
		case strValue:
			w.indent = string(v)
		case markupValue:
			w.indent = string(v)
		default:
			n, err := intArg(v)
			if err != nil {
				return nil, err
			}
			if w.indent, err = st.pad("", n, " ", func(pad, _ int) int { return pad }); err != nil {
				return nil, err
			}
		}
		w.pretty, w.item = true, ","
	}
	if a.given(2) {
		if err := w.separators(a.values[2]); err != nil {
			return nil, err
		}
	}
	if err := w.value(self); err != nil {
		return nil, err
	}
	return strValue(w.out), nil
})

// jsonWriter writes what Python's json.dumps writes.
type jsonWriter struct {
	st        *state
	ascii     bool
	sorted    bool
	pretty    bool
	indent    string
	item, key string // separators
	level     int
	out       []byte
}

// separators unpacks the pair (item, key).
func (w *jsonWriter) separators(v Value) error {
	pair, err := w.st.collect(v)
	if err != nil {
		return err
	}
	if len(pair) != 2 {
		return fail(ValueError, "separators must be a pair, got %d elements", len(pair))
	}
	for i, to := range []*string{&w.item, &w.key} {
		s, ok := asText(pair[i])
		if !ok {
			return typeError("separators must be strings, not %s", pair[i].typeName())
		}
		*to = s
	}
	return nil
}

func (w *jsonWriter) write(s string) error {
	if len(w.out)+len(s) > w.st.limits.Output {
		return &LimitError{"output", int64(w.st.limits.Output)}
	}
	if err := w.st.text(len(s)); err != nil {
		return err
	}
	w.out = append(w.out, s...)
	return nil
}

func (w *jsonWriter) value(v Value) error {
	switch v := v.(type) {
	case noneValue:
		return w.write("null")
	case strValue:
		return w.string(string(v))
	case markupValue:
		return w.string(string(v))
	case boolValue, intValue, bigValue, floatValue:
		s, err := jsonScalar(v)
		if err != nil {
			return err
		}
		return w.write(s)
	case *listValue:
		return w.list(v.items)
	case *tupleValue:
		return w.list(v.items)
	case *dictValue:
		return w.dict(v)
	}
	return typeError("Object of type %s is not JSON serializable", v.typeName())
}

// jsonScalar writes booleans and numbers; NaN and infinities as Python's json does.
func jsonScalar(v Value) (string, error) {
	switch v := v.(type) {
	case boolValue:
		return strconv.FormatBool(bool(v)), nil
	case intValue:
		return strconv.FormatInt(int64(v), 10), nil
	case bigValue:
		return bigText(v)
	}
	f := float64(v.(floatValue))
	switch {
	case math.IsNaN(f):
		return "NaN", nil
	case math.IsInf(f, 1):
		return "Infinity", nil
	case math.IsInf(f, -1):
		return "-Infinity", nil
	}
	return floatRepr(f), nil
}

func (w *jsonWriter) list(items []Value) error {
	return w.container('[', ']', len(items), func(i int) error { return w.value(items[i]) })
}

// container writes brackets, separators and, when pretty, lines around n elements.
func (w *jsonWriter) container(open, end byte, n int, element func(i int) error) error {
	if n == 0 {
		return w.write(string([]byte{open, end}))
	}
	if err := w.st.enter(1); err != nil {
		return err
	}
	defer w.st.leave(1)
	if err := w.write(string(open)); err != nil {
		return err
	}
	w.level++
	for i := range n {
		if i > 0 {
			if err := w.write(w.item); err != nil {
				return err
			}
		}
		if err := w.newline(); err != nil {
			return err
		}
		if err := element(i); err != nil {
			return err
		}
	}
	w.level--
	if err := w.newline(); err != nil {
		return err
	}
	return w.write(string(end))
}

func (w *jsonWriter) newline() error {
	if !w.pretty {
		return w.st.step()
	}
	if err := w.write("\n"); err != nil {
		return err
	}
	for range w.level {
		if err := w.write(w.indent); err != nil {
			return err
		}
	}
	return nil
}

func (w *jsonWriter) dict(d *dictValue) error {
	entries := d.entries
	if w.sorted {
		var err error
		if entries, err = w.st.sortedEntries(entries); err != nil {
			return err
		}
	}
	return w.container('{', '}', len(entries), func(i int) error {
		key, err := jsonKey(entries[i].key)
		if err != nil {
			return err
		}
		if err := w.string(key); err != nil {
			return err
		}
		if err := w.write(w.key); err != nil {
			return err
		}
		return w.value(entries[i].value)
	})
}

func jsonKey(v Value) (string, error) {
	switch v := v.(type) {
	case strValue:
		return string(v), nil
	case markupValue:
		return string(v), nil
	case noneValue:
		return "null", nil
	case boolValue, intValue, bigValue, floatValue:
		return jsonScalar(v)
	}
	return "", typeError("keys must be str, int, float, bool or None, not %s", v.typeName())
}

// sortedEntries orders the entries of a dict by key.
func (st *state) sortedEntries(entries []entry) ([]entry, error) {
	if err := st.items(2 * len(entries)); err != nil {
		return nil, err
	}
	sorted := append([]entry(nil), entries...)
	var failed error
	sort.SliceStable(sorted, func(i, j int) bool {
		if failed != nil {
			return false
		}
		order, _, err := st.order("<", sorted[i].key, sorted[j].key)
		failed = err
		return order < 0
	})
	return sorted, failed
}

// jsonEscapes are the short escapes; other control characters are written as \u00hh.
var jsonEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}

func (w *jsonWriter) string(s string) error {
	b := make([]byte, 0, len(s)+2)
	b = append(b, '"')
	plain := 0 // start of what needs no escape
	for i, r := range s {
		if r >= ' ' && r != '"' && r != '\\' && (!w.ascii || r < 0x7f) {
			continue
		}
		b = append(b, s[plain:i]...)
		plain = i + utf8.RuneLen(r)
		b = appendJSONEscape(b, r)
	}
	b = append(b, s[plain:]...)
	return w.write(string(append(b, '"')))
}

func appendJSONEscape(b []byte, r rune) []byte {
	if s, ok := jsonEscapes[r]; ok {
		return append(b, s...)
	}
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return appendJSONEscape(appendJSONEscape(b, high), low)
	}
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// EncodeJSON writes a value as compact JSON with its keys in order; values that JSON does not know are an error.
func EncodeJSON(v Value) ([]byte, error) {
	w := jsonWriter{st: &state{meter: newMeter(Limits{Memory: math.MaxInt64, Output: math.MaxInt, Steps: math.MaxInt64})}, item: ",", key: ":"}
	err := w.value(orNone(v))
	return w.out, err
}
