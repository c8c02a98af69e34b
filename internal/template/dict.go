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
	index   map[string]int // hash key -> entry; made once entries outgrow linear search
}

type entry struct {
	key, value Value
}

const linearKeys = 8

func (*dictValue) typeName() string { return "dict" }

func newDict(capacity int) *dictValue {
	return &dictValue{entries: make([]entry, 0, capacity)}
}

// getString looks up a string key without building its hash key.
func (d *dictValue) getString(key string) (Value, bool) {
	if i := d.findString(key); i >= 0 {
		return d.entries[i].value, true
	}
	return nil, false
}

func (d *dictValue) findString(key string) int {
	if d.index != nil {
		if i, ok := d.index[stringKey(key)]; ok {
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

func (d *dictValue) setString(key string, value Value) {
	if i := d.findString(key); i >= 0 {
		d.entries[i].value = value
		return
	}
	d.add(strValue(key), stringKey(key), value)
}

// find returns the entry of a key given with its hash key, or -1.
func (d *dictValue) find(key Value, hash string) int {
	if s, ok := asText(key); ok {
		return d.findString(s)
	}
	if d.index != nil {
		if i, ok := d.index[hash]; ok {
			return i
		}
		return -1
	}
	for i := range d.entries {
		if _, ok := asText(d.entries[i].key); ok {
			continue
		}
		if h, err := hashKey(nil, d.entries[i].key); err == nil && h == hash {
			return i
		}
	}
	return -1
}

func (d *dictValue) set(key Value, hash string, value Value) {
	if i := d.find(key, hash); i >= 0 {
		d.entries[i].value = value
		return
	}
	d.add(key, hash, value)
}

func (d *dictValue) add(key Value, hash string, value Value) {
	d.entries = append(d.entries, entry{key, value})
	if d.index != nil {
		d.index[hash] = len(d.entries) - 1
		return
	}
	if len(d.entries) > linearKeys {
		d.index = make(map[string]int, 2*len(d.entries))
		for i := range d.entries {
			if h, err := hashKey(nil, d.entries[i].key); err == nil {
				d.index[h] = i
			}
		}
	}
}

// put sets a key of any type, which Python requires to be hashable.
func (d *dictValue) put(m *meter, key, value Value) error {
	if err := m.items(2); err != nil {
		return err
	}
	hash, err := hashKey(m, key)
	if err != nil {
		return err
	}
	d.set(key, hash, value)
	return nil
}

// lookup finds a key of any type; the error is that of an unhashable key.
func (d *dictValue) lookup(m *meter, key Value) (Value, bool, error) {
	if s, ok := asText(key); ok {
		v, found := d.getString(s)
		return v, found, nil
	}
	hash, err := hashKey(m, key)
	if err != nil {
		return nil, false, err
	}
	if i := d.find(key, hash); i >= 0 {
		return d.entries[i].value, true, nil
	}
	return nil, false, nil
}

func stringKey(s string) string { return "s" + s }

// hashKey maps a value to a string such that values equal in Python (1, 1.0 and True) have equal strings.
// A nil meter is given for keys that were counted before.
func hashKey(m *meter, v Value) (string, error) {
	switch v := v.(type) {
	case strValue:
		return stringKey(string(v)), nil
	case markupValue:
		return stringKey(string(v)), nil
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
