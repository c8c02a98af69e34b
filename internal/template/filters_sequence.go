package template

import "math/rand/v2"

var sequenceFilters = []*function{
	builtin("length", "/", func(st *state, self Value, _ args) (Value, error) {
		n, err := st.length(self)
		return intValue(n), err
	}),
	builtin("default", "default_value? boolean?", func(st *state, self Value, a args) (Value, error) {
		if _, undefined := self.(*undefinedValue); undefined {
			return a.or(0, strValue("")), nil
		}
		if a.flag(1) {
			if yes, err := st.truth(self); !yes || err != nil {
				return a.or(0, strValue("")), err
			}
		}
		return self, nil
	}),
	builtin("list", "", func(st *state, self Value, _ args) (Value, error) {
		items, err := st.collect(self)
		return &listValue{items: items}, err
	}),
	builtin("first", "", func(st *state, self Value, _ args) (Value, error) {
		it, err := iterate(self)
		return firstOf(st, it, err, "No first item, sequence was empty.")
	}),
	builtin("last", "", func(st *state, self Value, _ args) (Value, error) {
		it, err := iterateBack(self)
		return firstOf(st, it, err, "No last item, sequence was empty.")
	}),
	builtin("random", "", randomFilter),
	builtin("reverse", "", reverseFilter),
	builtin("join", "d? attribute?", joinFilter),
	builtin("sum", "attribute? start?", sumFilter),
	builtin("attr", "name", func(st *state, self Value, a args) (Value, error) {
		name, ok := asText(a.values[0])
		if !ok {
			return nil, typeError("attribute name must be string, not '%s'", a.values[0].typeName())
		}
		v, err := st.attribute(self, name)
		if v == nil && err == nil {
			v = &undefinedValue{obj: self, name: strValue(name)}
		}
		return v, err
	}),
}

func firstOf(st *state, it iterator, err error, hint string) (Value, error) {
	if err != nil {
		return nil, err
	}
	v, err := it.next(st)
	if v == nil && err == nil {
		v = undefinedHint(hint)
	}
	return v, err
}

func randomFilter(st *state, self Value, _ args) (Value, error) {
	n, err := st.length(self)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return undefinedHint("No random item, sequence was empty."), nil
	}
	v, err := st.item(self, intValue(rand.IntN(n)))
	if v == nil && err == nil {
		err = typeError("'%s' object is not subscriptable", self.typeName())
	}
	return v, err
}

// reverseFilter turns text around at once, and anything else into an iterator that runs backwards.
func reverseFilter(st *state, self Value, _ args) (Value, error) {
	if s, ok := asText(self); ok {
		if err := st.text(len(s)); err != nil {
			return nil, err
		}
		runes := []rune(s)
		for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
			runes[i], runes[j] = runes[j], runes[i]
		}
		return like(self, string(runes)), nil
	}
	if it, err := iterateBack(self); err == nil {
		class := "reversed"
		switch self.(type) {
		case *listValue:
			class = "list_reverseiterator"
		case *dictValue:
			class = "dict_reversekeyiterator"
		case *rangeValue:
			class = "range_iterator"
		}
		return &iterValue{iterator: it, class: class}, nil
	}
	if _, err := iterate(self); err != nil {
		return nil, fail(FilterArgument, "argument must be iterable")
	}
	items, err := st.collect(self)
	if err != nil {
		return nil, err
	}
	it, err := iterateBack(&listValue{items: items})
	if err != nil {
		return nil, err
	}
	items, err = st.collect(&iterValue{iterator: it, class: "generator"})
	return &listValue{items: items}, err
}

func joinFilter(st *state, self Value, a args) (Value, error) {
	path, err := st.attributePath(a.values[1])
	if err != nil {
		return nil, err
	}
	sep, err := st.str(a.or(0, strValue("")))
	if err != nil {
		return nil, err
	}
	var items []Value
	marked := false
	err = st.forEach(self, func(item Value) error {
		if item, err = path.get(st, item); err != nil {
			return err
		}
		marked = marked || isMarkup(item)
		items = append(items, item)
		return st.items(1)
	})
	if err != nil {
		return nil, err
	}
	if st.autoescape && (marked || isMarkup(a.or(0, None))) {
		separator, err := st.escapeValue(a.or(0, strValue("")))
		if err != nil {
			return nil, err
		}
		return st.joinMarkup(separator, items)
	}
	parts := make([]string, len(items))
	for i, item := range items {
		if parts[i], err = st.str(item); err != nil {
			return nil, err
		}
	}
	s, err := st.join(parts, sep)
	return strValue(s), err
}

func sumFilter(st *state, self Value, a args) (Value, error) {
	path, err := st.attributePath(a.values[0])
	if err != nil {
		return nil, err
	}
	total := a.or(1, intValue(0))
	if _, isText := asText(total); isText {
		return nil, typeError("sum() can't sum strings [use ''.join(seq) instead]")
	}
	err = st.forEach(self, func(item Value) error {
		if item, err = path.get(st, item); err != nil {
			return err
		}
		total, err = st.arithmetic("+", total, item)
		return err
	})
	return total, err
}
