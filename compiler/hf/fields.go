package hf

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Fields reads values of an object by key. The first problem sticks, later calls return zero values, and Err returns it.
// A key that is absent or null is missing.
type Fields struct {
	obj *Object
	err *error // shared with the Fields of nested objects
}

// Fields returns a reader of the object's values.
func (o *Object) Fields() *Fields { return &Fields{o, new(error)} }

// Err returns the first problem.
func (f *Fields) Err() error { return *f.err }

// Keys returns the object's keys in file order.
func (f *Fields) Keys() []string { return f.obj.keys }

// Has tells whether key is present with a value other than null.
func (f *Fields) Has(key string) bool { return f.obj.Has(key) }

// Value returns the value of key as Object.Value does.
func (f *Fields) Value(key string) any { return f.obj.values[key] }

// Fail records a problem with key.
func (f *Fields) Fail(key, format string, args ...any) {
	if *f.err == nil {
		*f.err = fieldError(f.obj.file, f.obj.where(key), format, args...)
	}
}

// Int returns a required integer within lo..hi.
func (f *Fields) Int(key string, lo, hi int64) int64 {
	if !f.Has(key) {
		f.missing(key)
		return 0
	}
	return f.IntOr(key, 0, lo, hi)
}

// IntOr returns an integer within lo..hi, def when it is missing. 4096.0 is an integer too.
func (f *Fields) IntOr(key string, def, lo, hi int64) int64 {
	v := f.obj.values[key]
	if v == nil || *f.err != nil {
		return def
	}
	n, ok := integer(v)
	if !ok {
		f.Fail(key, "must be an integer, not %s", jsonKind(v))
		return def
	}
	if n < lo || n > hi {
		f.Fail(key, "%d is outside %d..%d", n, lo, hi)
		return def
	}
	return n
}

func integer(v any) (int64, bool) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	if n, err := strconv.ParseInt(string(number), 10, 64); err == nil {
		return n, true
	}
	x, err := strconv.ParseFloat(string(number), 64)
	if err != nil || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
		return 0, false
	}
	return int64(x), true
}

// Float returns a required number within lo..hi.
func (f *Fields) Float(key string, lo, hi float64) float64 {
	if !f.Has(key) {
		f.missing(key)
		return 0
	}
	return f.FloatOr(key, 0, lo, hi)
}

// FloatOr returns a number within lo..hi, def when it is missing.
func (f *Fields) FloatOr(key string, def, lo, hi float64) float64 {
	v := f.obj.values[key]
	if v == nil || *f.err != nil {
		return def
	}
	return f.number(key, v, lo, hi)
}

func (f *Fields) number(key string, v any, lo, hi float64) float64 {
	number, ok := v.(json.Number)
	x, err := strconv.ParseFloat(string(number), 64)
	if !ok || err != nil {
		f.Fail(key, "must be a finite number, not %s", jsonKind(v))
		return 0
	}
	if x < lo || x > hi {
		f.Fail(key, "%g is outside %g..%g", x, lo, hi)
		return 0
	}
	return x
}

// BoolOr returns a truth value, def when it is missing.
func (f *Fields) BoolOr(key string, def bool) bool {
	v := f.obj.values[key]
	if v == nil {
		return def
	}
	b, ok := v.(bool)
	if !ok {
		f.Fail(key, "must be true or false, not %s", jsonKind(v))
	}
	return b
}

// Text returns a required string.
func (f *Fields) Text(key string) string {
	if !f.Has(key) {
		f.missing(key)
	}
	return f.TextOr(key, "")
}

// TextOr returns a string, def when it is missing.
func (f *Fields) TextOr(key, def string) string {
	v := f.obj.values[key]
	if v == nil {
		return def
	}
	s, ok := v.(string)
	if !ok {
		f.Fail(key, "must be a string, not %s", jsonKind(v))
	}
	return s
}

// Texts returns a list of strings, nil when it is missing.
func (f *Fields) Texts(key string) []string {
	var texts []string
	f.list(key, func(i int, v any) {
		s, ok := v.(string)
		if !ok {
			f.Fail(fmt.Sprintf("%s[%d]", key, i), "must be a string, not %s", jsonKind(v))
		}
		texts = append(texts, s)
	})
	return texts
}

// Floats returns a list of numbers within lo..hi, nil when it is missing.
func (f *Fields) Floats(key string, lo, hi float64) []float64 {
	var numbers []float64
	f.list(key, func(i int, v any) {
		numbers = append(numbers, f.number(fmt.Sprintf("%s[%d]", key, i), v, lo, hi))
	})
	return numbers
}

// IDs returns token ids: one integer or a list of them; nil when it is missing. -1, which some checkpoints write for none, is left out.
func (f *Fields) IDs(key string) []int32 {
	var ids []int32
	add := func(key string, v any) {
		n, ok := integer(v)
		switch {
		case !ok || n < -1 || n > math.MaxInt32:
			f.Fail(key, "must be a token id, not %s", jsonKind(v))
		case n >= 0:
			ids = append(ids, int32(n))
		}
	}
	switch v := f.obj.values[key].(type) {
	case nil:
	case []any:
		f.list(key, func(i int, v any) { add(fmt.Sprintf("%s[%d]", key, i), v) })
	default:
		add(key, v)
	}
	return ids
}

func (f *Fields) list(key string, item func(i int, v any)) {
	v := f.obj.values[key]
	if v == nil {
		return
	}
	items, ok := v.([]any)
	if !ok {
		f.Fail(key, "must be a list, not %s", jsonKind(v))
	}
	for i, v := range items {
		item(i, v)
	}
}

// Object returns a reader of a nested object, nil when it is missing. Problems are recorded in f too.
func (f *Fields) Object(key string) *Fields {
	v := f.obj.values[key]
	if v == nil {
		return nil
	}
	o, ok := v.(*Object)
	if !ok {
		f.Fail(key, "must be an object, not %s", jsonKind(v))
		return nil
	}
	return &Fields{o, f.err}
}

// Empty returns a reader of a nested object that is missing: all its values are.
func (f *Fields) Empty(key string) *Fields {
	return &Fields{&Object{file: f.obj.file, key: key, parent: f.obj}, f.err}
}

func (f *Fields) missing(key string) { f.Fail(key, "is missing") }

// Present tells whether key is there, be it with null.
func (f *Fields) Present(key string) bool {
	_, ok := f.obj.values[key]
	return ok
}
