package template

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// dictValue is a Python dict: keys in order of insertion, any hashable value as key.
// It is built once and never changed after it became visible to a template.
type dictValue struct {
	entries []entry

	// Once entries outgrow linear search, texts has the places of text keys and hashes those of others by hash key.
	texts, hashes map[string]int
}

type entry struct {
	key, value Value
}

const linearKeys = 8

func (*dictValue) typeName() string { return "dict" }

func newDict(capacity int) *dictValue {
	return &dictValue{entries: make([]entry, 0, capacity)}
}

func (d *dictValue) getString(key string) (Value, bool) {
	if i := d.findString(key); i >= 0 {
		return d.entries[i].value, true
	}
	return nil, false
}

func (d *dictValue) findString(key string) int {
	if d.texts != nil {
		if i, ok := d.texts[key]; ok {
			return i
		}
		return -1
	}
	for i := range d.entries {
		if s, ok := asText(d.entries[i].key); ok && s == key {
			return i
		}
	}
	return -1
}

// findHash returns the place of a key that is no text, given by its hash key, or -1.
func (d *dictValue) findHash(hash string) int {
	if d.texts != nil {
		if i, ok := d.hashes[hash]; ok {
			return i
		}
		return -1
	}
	for i := range d.entries {
		if h, ok := d.hashAt(i); ok && h == hash {
			return i
		}
	}
	return -1
}

// hashAt returns the hash key of entry i unless its key is text.
func (d *dictValue) hashAt(i int) (string, bool) {
	if _, ok := asText(d.entries[i].key); ok {
		return "", false
	}
	h, err := hashKey(nil, d.entries[i].key)
	return h, err == nil
}

func (d *dictValue) setString(key string, value Value) {
	if i := d.findString(key); i >= 0 {
		d.entries[i].value = value
		return
	}
	d.add(strValue(key), value)
}

// add appends an entry whose key is new.
func (d *dictValue) add(key, value Value) {
	d.entries = append(d.entries, entry{key, value})
	first := len(d.entries) - 1
	if d.texts == nil {
		if len(d.entries) <= linearKeys {
			return
		}
		d.texts, d.hashes = make(map[string]int, 2*len(d.entries)), map[string]int{}
		first = 0
	}
	for i := first; i < len(d.entries); i++ {
		if s, ok := asText(d.entries[i].key); ok {
			d.texts[s] = i
		} else if h, ok := d.hashAt(i); ok {
			d.hashes[h] = i
		}
	}
}

// put sets a key of any type, which Python requires to be hashable.
func (d *dictValue) put(m *meter, key, value Value) error {
	if err := m.items(4); err != nil {
		return err
	}
	i, err := d.place(m, key)
	switch {
	case err != nil:
		return err
	case i >= 0:
		d.entries[i].value = value
	default:
		d.add(key, value)
	}
	return nil
}

// place finds the entry of a key of any type, or -1; the error is that of an unhashable key.
func (d *dictValue) place(m *meter, key Value) (int, error) {
	if s, ok := asText(key); ok {
		return d.findString(s), m.scan(len(s))
	}
	hash, err := hashKey(m, key)
	if err != nil {
		return -1, err
	}
	return d.findHash(hash), nil
}

// lookup finds the value of a key of any type.
func (d *dictValue) lookup(m *meter, key Value) (Value, bool, error) {
	i, err := d.place(m, key)
	if i < 0 || err != nil {
		return nil, false, err
	}
	return d.entries[i].value, true, nil
}

// hashKey maps a value to a string such that values equal in Python (1, 1.0 and True) have equal strings.
// A nil meter is given for keys that were counted before.
func hashKey(m *meter, v Value) (string, error) {
	switch v := v.(type) {
	case strValue:
		return "s" + string(v), nil
	case markupValue:
		return "s" + string(v), nil
	case boolValue, intValue, bigValue:
		return "i" + mustInt(v).String(), nil
	case floatValue:
		return floatKey(float64(v)), nil
	case noneValue:
		return "n", nil
	case *undefinedValue:
		return "u", nil
	case *tupleValue:
		return tupleKey(m, v)
	case *rangeValue:
		return "r" + strconv.FormatInt(v.start, 10) + ":" + strconv.FormatInt(v.step, 10) + ":" + strconv.FormatInt(v.len(), 10), nil
	case *listValue, *dictValue, *dictView, *sliceValue:
		return "", typeError("unhashable type: '%s'", v.typeName())
	}
	return fmt.Sprintf("p%p", v), nil // objects are equal only to themselves
}

func floatKey(f float64) string {
	if f == math.Trunc(f) && !math.IsInf(f, 0) {
		b, _ := new(big.Float).SetFloat64(f).Int(nil)
		return "i" + b.String()
	}
	return "f" + strconv.FormatFloat(f, 'g', -1, 64)
}

func tupleKey(m *meter, t *tupleValue) (string, error) {
	if m != nil {
		if err := m.enter(1); err != nil {
			return "", err
		}
		defer m.leave(1)
	}
	key := []byte("t")
	for _, item := range t.items {
		k, err := hashKey(m, item)
		if err != nil {
			return "", err
		}
		if m != nil {
			if err := m.text(len(k)); err != nil {
				return "", err
			}
		}
		key = binary.AppendUvarint(key, uint64(len(k)))
		key = append(key, k...)
	}
	return string(key), nil
}

type viewKind int

const (
	keysView viewKind = iota
	valuesView
	itemsView
)

// dictView is what dict.keys(), values() and items() return.
type dictView struct {
	dict *dictValue
	kind viewKind
}

var viewNames = [...]string{keysView: "dict_keys", valuesView: "dict_values", itemsView: "dict_items"}

func (v *dictView) typeName() string { return viewNames[v.kind] }

// at returns element i of the view.
func (v *dictView) at(i int) Value {
	e := v.dict.entries[i]
	switch v.kind {
	case keysView:
		return e.key
	case valuesView:
		return e.value
	}
	return &tupleValue{items: []Value{e.key, e.value}}
}
