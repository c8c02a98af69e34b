package template

import "math"

// allMethods lists the methods of every class. Those that would change their object are hidden by the sandbox, but they
// still hide keys of the same name.
func allMethods() map[string]map[string]*function {
	text := map[string]*function{}
	for _, group := range [][]*function{
		splitMethods, searchMethods, padMethods, casingMethods, classMethods, formatMethods, translateMethods,
	} {
		for _, f := range group {
			text[f.name] = f
		}
	}
	markup := map[string]*function{}
	for name, f := range text {
		markup[name] = f
	}
	for _, f := range markupMethods {
		markup[f.name] = f
	}
	return map[string]map[string]*function{
		"str":          text,
		"Markup":       markup,
		"list":         named(append(hidden("append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"), listMethods...)...),
		"tuple":        named(searchItemMethods...),
		"range":        named(searchItemMethods...),
		"dict":         named(append(hidden("clear", "pop", "popitem", "setdefault", "update"), dictMethods...)...),
		"TemplateDict": named(fromkeysMethod),
		"int":          named(intMethods...),
		"bool":         named(intMethods...),
		"float":        named(floatMethods...),
		"LoopContext":  loopMethods,
		"Cycler":       cyclerMethods,
	}
}

func hidden(names ...string) []*function {
	list := make([]*function, len(names))
	for i, name := range names {
		list[i] = &function{name: name, unsafe: true}
	}
	return list
}

// searchItemMethods are those of every sequence but text.
var searchItemMethods = []*function{
	builtin("count", "value /", func(st *state, self Value, a args) (Value, error) {
		n := 0
		err := st.forEach(self, func(item Value) error {
			same, err := st.equal(item, a.values[0])
			if same {
				n++
			}
			return err
		})
		return intValue(n), err
	}),
	builtin("index", "value start? stop? /", func(st *state, self Value, a args) (Value, error) {
		items, err := st.collect(self)
		if err != nil {
			return nil, err
		}
		start, stop, _, err := sliceBounds([3]Value{a.values[1], a.values[2]}, len(items))
		if err != nil {
			return nil, err
		}
		for i := start; i < stop; i++ {
			same, err := st.equal(items[i], a.values[0])
			if err == nil {
				err = st.step()
			}
			if same || err != nil {
				return intValue(i), err
			}
		}
		return nil, fail(ValueError, "%s is not in %s", quickRepr(a.values[0]), self.typeName())
	}),
}

var listMethods = append([]*function{
	builtin("copy", "/", func(_ *state, self Value, _ args) (Value, error) {
		return &listValue{items: self.(*listValue).items}, nil
	}),
}, searchItemMethods...)

var dictMethods = []*function{
	builtin("get", "key default? /", func(st *state, self Value, a args) (Value, error) {
		v, found, err := self.(*dictValue).lookup(&st.meter, a.values[0])
		if !found || err != nil {
			return a.or(1, None), err
		}
		return v, nil
	}),
	builtin("keys", "/", viewMethod(keysView)),
	builtin("values", "/", viewMethod(valuesView)),
	builtin("items", "/", viewMethod(itemsView)),
	builtin("copy", "/", func(_ *state, self Value, _ args) (Value, error) {
		c := *self.(*dictValue)
		return &c, nil
	}),
	fromkeysMethod,
}

func viewMethod(kind viewKind) func(st *state, self Value, a args) (Value, error) {
	return func(_ *state, self Value, _ args) (Value, error) {
		return &dictView{dict: self.(*dictValue), kind: kind}, nil
	}
}

var fromkeysMethod = builtin("fromkeys", "iterable value? /", func(st *state, _ Value, a args) (Value, error) {
	d := newDict(0)
	err := st.forEach(a.values[0], func(item Value) error { return d.put(&st.meter, item, a.or(1, None)) })
	return d, err
})

var intMethods = []*function{
	builtin("bit_length", "/", func(_ *state, self Value, _ args) (Value, error) {
		return intValue(mustInt(self).BitLen()), nil
	}),
	builtin("conjugate", "/", func(_ *state, self Value, _ args) (Value, error) { return posit(self) }),
}

var floatMethods = []*function{
	builtin("is_integer", "/", func(_ *state, self Value, _ args) (Value, error) {
		f := float64(self.(floatValue))
		return boolValue(f == math.Trunc(f) && !math.IsInf(f, 0)), nil
	}),
	builtin("conjugate", "/", func(_ *state, self Value, _ args) (Value, error) { return self, nil }),
}
