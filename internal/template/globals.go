package template

import (
	"math/rand/v2"
	"strings"
)

// globalFunctions are the functions that every template can call.
func globalFunctions() map[string]Value {
	globals := map[string]Value{}
	for _, f := range []*function{
		builtin("range", "start stop? step? /", globalRange),
		builtin("namespace", "* **", globalNamespace),
		builtin("cycler", "*", globalCycler),
		builtin("joiner", "sep?", func(_ *state, _ Value, a args) (Value, error) {
			return &joinerValue{sep: a.or(0, strValue(", "))}, nil
		}),
		builtin("lipsum", "n? html? min? max?", globalLipsum),
		builtin("raise_exception", "message", func(st *state, _ Value, a args) (Value, error) {
			message, err := st.str(a.values[0])
			if err == nil {
				err = &RaisedError{Message: message}
			}
			return nil, err
		}),
		builtin("strftime_now", "format", func(st *state, _ Value, a args) (Value, error) {
			format, err := a.text(0, "")
			if err != nil {
				return nil, err
			}
			if err := st.text(maxTimeGrowth * len(format)); err != nil {
				return nil, err
			}
			return strValue(strftime(st.now, format)), nil
		}),
	} {
		globals[f.name] = &boundMethod{fn: f}
	}
	globals["dict"] = &dictType{builtin("dict", "* **", func(st *state, _ Value, a args) (Value, error) { return st.makeDict(a) })}
	return globals
}

// dictType is the global dict: a function that also has fromkeys.
type dictType struct{ fn *function }

func (*dictType) typeName() string { return "TemplateDict" }

func globalRange(_ *state, _ Value, a args) (Value, error) {
	var bounds [3]int
	for i, v := range a.values {
		if v == nil {
			continue
		}
		n, err := intArg(v)
		if err != nil {
			return nil, err
		}
		bounds[i] = n
	}
	switch {
	case a.values[1] == nil:
		return newRange(0, int64(bounds[0]), 1)
	case a.values[2] == nil:
		return newRange(int64(bounds[0]), int64(bounds[1]), 1)
	}
	return newRange(int64(bounds[0]), int64(bounds[1]), int64(bounds[2]))
}

// makeDict is Python's dict(mapping or pairs, **keywords).
func (st *state) makeDict(a args) (*dictValue, error) {
	if len(a.rest) > 1 {
		return nil, typeError("dict expected at most 1 argument, got %d", len(a.rest))
	}
	d := newDict(len(a.names))
	if len(a.rest) == 1 {
		if err := st.addPairs(d, a.rest[0]); err != nil {
			return nil, err
		}
	}
	for i, name := range a.names {
		if err := d.put(&st.meter, strValue(name), a.keywords[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (st *state) addPairs(d *dictValue, source Value) error {
	if other, ok := source.(*dictValue); ok {
		for _, e := range other.entries {
			if err := d.put(&st.meter, e.key, e.value); err != nil {
				return err
			}
		}
		return nil
	}
	if u, ok := source.(*undefinedValue); ok {
		return u.fail()
	}
	return st.forEach(source, func(item Value) error {
		pair, err := st.collect(item)
		if err != nil {
			return typeError("cannot convert dictionary update sequence element to a sequence")
		}
		if len(pair) != 2 {
			return fail(ValueError, "dictionary update sequence element has length %d; 2 is required", len(pair))
		}
		return d.put(&st.meter, pair[0], pair[1])
	})
}

func globalNamespace(st *state, _ Value, a args) (Value, error) {
	d, err := st.makeDict(a)
	if err != nil {
		return nil, err
	}
	for _, e := range d.entries {
		if err := checkNamespaceName(e.key); err != nil {
			return nil, err
		}
	}
	return &namespaceValue{attrs: d}, nil
}

func globalCycler(_ *state, _ Value, a args) (Value, error) {
	if len(a.rest) == 0 {
		return nil, fail(RuntimeError, "at least one item has to be provided")
	}
	return &cyclerValue{items: a.rest}, nil
}

var lipsumWords = strings.Fields(`a ac accumsan ad aenean aliquam aliquet ante aptent arcu at auctor augue bibendum blandit
	class commodo condimentum congue consectetuer consequat conubia convallis cras cubilia cum curabitur curae cursus dapibus`)

// globalLipsum writes filler text: random words, so nobody can depend on which.
func globalLipsum(st *state, _ Value, a args) (Value, error) {
	var numbers [4]int
	for i, fallback := range [4]int{5, 1, 20, 100} {
		if i == 1 {
			continue
		}
		n, err := a.int(i, fallback)
		if err != nil {
			return nil, err
		}
		numbers[i] = n
	}
	low, high := numbers[2], numbers[3]
	if high <= low {
		return nil, fail(ValueError, "empty range for randrange() (%d, %d)", low, high)
	}
	html := a.values[1] == nil || a.flag(1)
	var paragraphs []string
	for range numbers[0] {
		if err := st.items(1); err != nil {
			return nil, err
		}
		words := make([]string, 0, 8)
		for range low + rand.IntN(high-low) {
			if err := st.text(8); err != nil {
				return nil, err
			}
			words = append(words, lipsumWords[rand.IntN(len(lipsumWords))])
		}
		p := strings.Join(words, " ") + "."
		if html {
			p = "<p>" + p + "</p>"
		}
		paragraphs = append(paragraphs, p)
	}
	if html {
		return markupValue(strings.Join(paragraphs, "\n")), nil
	}
	return strValue(strings.Join(paragraphs, "\n\n")), nil
}
