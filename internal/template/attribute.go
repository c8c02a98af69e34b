package template

import (
	"strings"
	"unicode/utf8"
)

// objectAttributes are attributes that every Python object has; the sandbox hides them, and a dict key of that name with them.
var objectAttributes = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.Fields(`class class_getitem contains delattr delitem dir doc eq format ge getattribute getitem
		getstate gt hash init init_subclass ior iter le len lt ne new or reduce reduce_ex repr reversed ror setattr setitem
		sizeof str subclasshook`) {
		set["__"+name+"__"] = true
	}
	return set
}()

// getattr is x.name: the attribute, else the item, else undefined.
func (st *state) getattr(object Value, name string, key Value) (Value, error) {
	v, err := st.attribute(object, name)
	if v != nil || err != nil {
		return v, err
	}
	switch o := object.(type) {
	case *dictValue:
		v, _ = o.getString(name)
	case *templateRef:
		v, err = o.item(st, key)
	}
	if v != nil || err != nil {
		return v, err
	}
	return &undefinedValue{obj: object, name: key}, nil
}

// getitem is x[key]: the item, else the attribute, else undefined.
func (st *state) getitem(object, key Value) (Value, error) {
	v, err := st.item(object, key)
	if v != nil || err != nil {
		return v, err
	}
	if name, ok := asText(key); ok {
		if v, err := st.attribute(object, name); v != nil || err != nil {
			return v, err
		}
	}
	return &undefinedValue{obj: object, name: key}, nil
}

// attribute is Python's getattr within the sandbox; nil when there is no such attribute.
func (st *state) attribute(object Value, name string) (Value, error) {
	if m := st.env.method(object, name); m != nil {
		if m.unsafe {
			return hiddenAttribute(object, name), nil
		}
		return &boundMethod{fn: m, self: object}, nil
	}
	if strings.HasPrefix(name, "_") {
		if u, ok := object.(*undefinedValue); ok && !objectAttributes[name] {
			return nil, u.fail()
		}
		if objectAttributes[name] {
			return hiddenAttribute(object, name), nil
		}
		if ns, ok := object.(*namespaceValue); ok {
			if _, found := ns.attrs.getString(name); found {
				return hiddenAttribute(object, name), nil
			}
		}
		return nil, nil
	}
	return st.property(object, name)
}

func hiddenAttribute(object Value, name string) Value {
	return &undefinedValue{
		hint: "access to attribute " + quote(name) + " of '" + object.typeName() + "' object is unsafe.",
		obj:  object, name: strValue(name), security: true,
	}
}

// property gives attributes that are no methods.
func (st *state) property(object Value, name string) (Value, error) {
	switch o := object.(type) {
	case *undefinedValue:
		return nil, o.fail()
	case *namespaceValue:
		if v, ok := o.attrs.getString(name); ok {
			return v, nil
		}
	case *loopValue:
		if get := loopAttributes[name]; get != nil {
			return get(st, o)
		}
	case *tupleValue:
		for i, field := range o.fields {
			if field == name {
				return o.items[i], nil
			}
		}
	case *rangeValue:
		switch name {
		case "start":
			return intValue(o.start), nil
		case "stop":
			return intValue(o.stop), nil
		case "step":
			return intValue(o.step), nil
		}
	case *macroValue:
		return o.property(name), nil
	case *cyclerValue:
		return o.property(name), nil
	case *blockRef:
		return o.property(name), nil
	case boolValue, intValue, bigValue, floatValue:
		return numberProperty(o, name)
	}
	return nil, nil
}

// numberProperty gives the parts that Python's numbers have.
func numberProperty(v Value, name string) (Value, error) {
	f, isFloat := v.(floatValue)
	switch {
	case name == "real":
		return posit(v)
	case name == "imag" && isFloat:
		return floatValue(0 * f), nil
	case name == "imag":
		return intValue(0), nil
	case name == "numerator" && !isFloat:
		return posit(v)
	case name == "denominator" && !isFloat:
		return intValue(1), nil
	}
	return nil, nil
}

// item is Python's object[key]; nil where Python raises LookupError or TypeError.
func (st *state) item(object, key Value) (Value, error) {
	switch o := object.(type) {
	case *dictValue:
		v, _, err := o.lookup(&st.meter, key)
		if _, limit := err.(*LimitError); limit {
			return nil, err
		}
		return v, nil
	case *undefinedValue:
		return nil, o.fail()
	case *templateRef:
		return o.item(st, key)
	}
	i, ok := index(key)
	if !ok {
		return nil, nil
	}
	switch o := object.(type) {
	case *listValue:
		return itemAt(o.items, i), nil
	case *tupleValue:
		return itemAt(o.items, i), nil
	case strValue, markupValue:
		s, _ := asText(o)
		c, err := st.runeAt(s, i)
		if c == "" || err != nil {
			return nil, err
		}
		return like(o, c), nil
	case *rangeValue:
		n := int(o.len())
		if i < 0 {
			i += n
		}
		if i >= 0 && i < n {
			return o.at(i), nil
		}
	}
	return nil, nil
}

func itemAt(items []Value, i int) Value {
	if i < 0 {
		i += len(items)
	}
	if i < 0 || i >= len(items) {
		return nil
	}
	return items[i]
}

// runeAt returns character i of s, or nothing.
func (st *state) runeAt(s string, i int) (string, error) {
	if err := st.scan(min(len(s), utf8.UTFMax*max(i, ^i))); err != nil {
		return "", err
	}
	if i < 0 {
		for n := len(s); n > 0; i++ {
			_, size := utf8.DecodeLastRuneInString(s[:n])
			n -= size
			if i == -1 {
				return s[n : n+size], nil
			}
		}
		return "", nil
	}
	for at, r := range s {
		if i == 0 {
			return s[at : at+utf8.RuneLen(r)], nil
		}
		i--
	}
	return "", nil
}
