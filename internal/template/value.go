package template

import "math/big"

// Value is a Python object as a template sees it. Values are immutable, except namespaces, which live inside one rendering;
// so one Value may be given to many renderings at once. A nil Value given to Render means None.
type Value interface {
	typeName() string // Python's name of the class
}

type (
	noneValue  struct{}
	boolValue  bool
	intValue   int64
	bigValue   struct{ *big.Int } // never within the range of int64
	floatValue float64
	strValue   string
	// markupValue is text that the escape and safe filters marked as HTML: it escapes what is added to it.
	markupValue string
)

type listValue struct{ items []Value }

// tupleValue is a tuple, or a named tuple when it has field names.
type tupleValue struct {
	items  []Value
	fields []string
}

// None is Python's None and JSON's null.
var None Value = noneValue{}

func (noneValue) typeName() string   { return "NoneType" }
func (boolValue) typeName() string   { return "bool" }
func (intValue) typeName() string    { return "int" }
func (bigValue) typeName() string    { return "int" }
func (floatValue) typeName() string  { return "float" }
func (strValue) typeName() string    { return "str" }
func (markupValue) typeName() string { return "Markup" }
func (*listValue) typeName() string  { return "list" }
func (*tupleValue) typeName() string { return "tuple" }

// Bool makes a boolean.
func Bool(b bool) Value { return boolValue(b) }

// Int makes an integer.
func Int(i int64) Value { return intValue(i) }

// Float makes a floating-point number; it prints as one even when it is integral.
func Float(f float64) Value { return floatValue(f) }

// String makes a string. Bytes that are not UTF-8 become U+FFFD.
func String(s string) Value { return strValue(validText(s)) }

// Strings makes a list of strings.
func Strings(items ...string) Value {
	l := &listValue{items: make([]Value, len(items))}
	for i, s := range items {
		l.items[i] = String(s)
	}
	return l
}

// List makes a list that owns items; nil elements stand for None.
func List(items ...Value) Value {
	for i, v := range items {
		items[i] = orNone(v)
	}
	return &listValue{items: items}
}

// Member is one key of an object.
type Member struct {
	Key   string
	Value Value
}

// Object makes a dict with the members in their order; of equal keys the last value wins, at the place of the first.
func Object(members ...Member) Value {
	d := newDict(len(members))
	for _, m := range members {
		d.setString(m.Key, orNone(m.Value))
	}
	return d
}

// Lookup returns the member called key of an object; false when v is no object or has no such member.
func Lookup(v Value, key string) (Value, bool) {
	if d, ok := v.(*dictValue); ok {
		return d.getString(key)
	}
	return nil, false
}

// Elements returns the elements of a list; false when v is none. The caller must not write to them.
func Elements(v Value) ([]Value, bool) {
	if l, ok := v.(*listValue); ok {
		return l.items, true
	}
	return nil, false
}

// Text returns the content of a string; false when v is none.
func Text(v Value) (string, bool) { return asText(v) }

func orNone(v Value) Value {
	if v == nil {
		return None
	}
	return v
}

// asText gives the characters of str and its subclass Markup.
func asText(v Value) (string, bool) {
	switch v := v.(type) {
	case strValue:
		return string(v), true
	case markupValue:
		return string(v), true
	}
	return "", false
}

// like makes text of the class of model: methods of Markup return Markup.
func like(model Value, s string) Value {
	if _, ok := model.(markupValue); ok {
		return markupValue(s)
	}
	return strValue(s)
}

// truth is Python's bool(v).
func truth(v Value) bool {
	switch v := v.(type) {
	case boolValue:
		return bool(v)
	case noneValue, *undefinedValue:
		return false
	case intValue:
		return v != 0
	case floatValue:
		return v != 0
	case strValue:
		return v != ""
	case markupValue:
		return v != ""
	case *listValue:
		return len(v.items) > 0
	case *tupleValue:
		return len(v.items) > 0
	case *dictValue:
		return len(v.entries) > 0
	case *dictView:
		return len(v.dict.entries) > 0
	case *rangeValue:
		return v.len() > 0
	}
	return true // big integers, iterators, functions, macros, namespaces, loops
}

// undefinedValue is Jinja's Undefined: it prints as nothing, is empty and false, and refuses everything else.
type undefinedValue struct {
	hint     string // replaces the generated message
	obj      Value  // what the name was looked up on; nil for a variable
	name     Value
	security bool // an attribute that the sandbox hides
}

func (*undefinedValue) typeName() string { return "Undefined" }

func undefinedName(name string) Value { return &undefinedValue{name: strValue(name)} }

func undefinedHint(hint string) Value { return &undefinedValue{hint: hint} }

// message says what was undefined.
func (u *undefinedValue) message() string {
	if u.hint != "" {
		return u.hint
	}
	name := quickRepr(u.name)
	if u.obj == nil {
		return name + " is undefined"
	}
	object := objectTypeRepr(u.obj)
	if _, ok := asText(u.name); ok {
		return "'" + object + "' has no attribute " + name
	}
	return object + " has no element " + name
}

// fail is the error of every operation that Undefined refuses.
func (u *undefinedValue) fail() error {
	kind := UndefinedError
	if u.security {
		kind = SecurityError
	}
	return fail(kind, "%s", u.message())
}

// objectTypeRepr names the object in messages as jinja2.utils.object_type_repr does.
func objectTypeRepr(v Value) string {
	switch v.(type) {
	case noneValue:
		return "None"
	case markupValue:
		return "markupsafe.Markup object"
	case *namespaceValue, *cyclerValue, *joinerValue:
		return "jinja2.utils." + v.typeName() + " object"
	case *loopValue, *macroValue, *undefinedValue:
		return "jinja2.runtime." + v.typeName() + " object"
	}
	return v.typeName() + " object"
}
