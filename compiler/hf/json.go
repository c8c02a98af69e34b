package hf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Bounds of JSON from outside: nesting, and values of a file whose values are kept.
const (
	maxJSONDepth  = 64
	maxJSONValues = 1 << 20
)

// Object is a JSON object that keeps the order of its keys and knows where it came from.
type Object struct {
	file   string
	key    string  // under which it lies in parent
	parent *Object // nil for the outermost object
	keys   []string
	values map[string]any    // nil, bool, string, json.Number, []any, *Object
	labels map[string]string // what messages call a key, where that is not its path
}

// Keys returns the keys in file order.
func (o *Object) Keys() []string { return o.keys }

// Value returns the value of key: nil, bool, string, json.Number, []any or *Object. An absent key and null both give nil.
func (o *Object) Value(key string) any { return o.values[key] }

// Has tells whether key is present with a value other than null.
func (o *Object) Has(key string) bool { return o.values[key] != nil }

// Label has messages call a key by another name: the one that it has in the file which the object was made from.
func (o *Object) Label(key, name string) {
	if o.labels == nil {
		o.labels = map[string]string{}
	}
	o.labels[key] = name
}

// where returns the path of key from the outermost object, such as "rope_scaling.factor".
func (o *Object) where(key string) string {
	if label := o.labels[key]; label != "" {
		return label
	}
	for ; o.parent != nil; o = o.parent {
		key = clip(o.key) + "." + clip(key)
	}
	return key
}

// ParseObject reads the JSON object in text. Names in errors begin with file. Duplicate keys, text after the object, deep
// nesting and too many values are errors.
func ParseObject(file string, text []byte) (*Object, error) {
	r := newJSONReader(file, bytes.NewReader(text), maxJSONValues)
	v, err := r.value(nil, "", 0)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*Object)
	if !ok {
		return nil, fileError(file, "holds %s instead of a JSON object", jsonKind(v))
	}
	return o, r.end()
}

// jsonReader builds values from tokens, so that depth and count are known before anything is kept.
type jsonReader struct {
	file string
	base int64 // offset in the file of the first byte
	dec  *json.Decoder
	left int // values that may still come
}

func newJSONReader(file string, text io.Reader, maxValues int) *jsonReader {
	dec := json.NewDecoder(text)
	dec.UseNumber()
	return &jsonReader{file: file, dec: dec, left: maxValues}
}

func (r *jsonReader) token() (json.Token, error) {
	tok, err := r.dec.Token()
	if err != nil {
		return nil, r.broken(err)
	}
	if r.left--; r.left < 0 {
		return nil, r.at("too many values")
	}
	return tok, nil
}

func (r *jsonReader) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return r.at("JSON ends too early")
	}
	return r.at("bad JSON: %w", err)
}

func (r *jsonReader) at(format string, args ...any) error {
	return fileError(r.file, "byte %d: %w", r.base+r.dec.InputOffset(), fmt.Errorf(format, args...))
}

// end checks that nothing but white space follows.
func (r *jsonReader) end() error {
	if _, err := r.dec.Token(); err != io.EOF {
		return r.at("more text after the JSON object")
	}
	return nil
}

// value reads one value, which lies under key in parent.
func (r *jsonReader) value(parent *Object, key string, depth int) (any, error) {
	tok, err := r.token()
	if err != nil {
		return nil, err
	}
	if depth > maxJSONDepth {
		return nil, r.at("nested more than %d deep", maxJSONDepth)
	}
	switch tok {
	case json.Delim('{'):
		return r.object(parent, key, depth)
	case json.Delim('['):
		return r.array(parent, key, depth)
	}
	return tok, nil
}

func (r *jsonReader) object(parent *Object, name string, depth int) (*Object, error) {
	o := &Object{file: r.file, key: name, parent: parent, values: map[string]any{}}
	err := r.eachKey(func(key string) error {
		if _, ok := o.values[key]; ok {
			return r.at("key %q is given twice", o.where(key))
		}
		v, err := r.value(o, key, depth+1)
		o.keys = append(o.keys, key)
		o.values[key] = v
		return err
	})
	return o, err
}

func (r *jsonReader) array(parent *Object, key string, depth int) ([]any, error) {
	list := []any{}
	err := r.eachItem(func() error {
		v, err := r.value(parent, key, depth+1)
		list = append(list, v)
		return err
	})
	return list, err
}

// eachKey reads the rest of an object whose brace has been read; item reads the value.
func (r *jsonReader) eachKey(item func(key string) error) error {
	for r.dec.More() {
		tok, err := r.token()
		if err != nil {
			return err
		}
		key, ok := tok.(string)
		if !ok {
			return r.at("bad JSON: an object's key must be a string")
		}
		if err := item(key); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// eachItem reads the rest of an array whose bracket has been read.
func (r *jsonReader) eachItem(item func() error) error {
	for r.dec.More() {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// skip reads one value without keeping it.
func (r *jsonReader) skip(depth int) error {
	tok, err := r.token()
	if err != nil {
		return err
	}
	if depth > maxJSONDepth {
		return r.at("nested more than %d deep", maxJSONDepth)
	}
	switch tok {
	case json.Delim('{'):
		return r.eachKey(func(string) error { return r.skip(depth + 1) })
	case json.Delim('['):
		return r.eachItem(func() error { return r.skip(depth + 1) })
	}
	return nil
}

// jsonKind names the kind of a value for messages.
func jsonKind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return strconv.Quote(clip(v))
	case json.Number:
		return clip(v.String())
	case []any:
		return "a list"
	}
	return "an object"
}
