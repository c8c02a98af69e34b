package template

// allFilters lists the filters of Jinja 3, with transformers' tojson.
func allFilters() map[string]*function {
	table := map[string]*function{}
	for _, group := range [][]*function{
		textFilters, htmlFilters, numberFilters, sequenceFilters, orderFilters, lazyFilters,
		{tojsonFilter, builtin("pprint", "", pprintFilter), builtin("wordwrap", "width? break_long_words? wrapstring? break_on_hyphens?", wordwrapFilter)},
	} {
		for _, f := range group {
			table[f.name] = f
		}
	}
	for alias, name := range map[string]string{"d": "default", "e": "escape", "count": "length"} {
		table[alias] = table[name]
	}
	return table
}

// soft is markupsafe.soft_str: text keeps its class, everything else is converted.
func (st *state) soft(v Value) (Value, string, error) {
	if s, ok := asText(v); ok {
		return v, s, nil
	}
	s, err := st.str(v)
	return strValue(s), s, err
}

// attributePath is what a filter's attribute argument means: "a.0.b" looks up a, then element 0, then b.
type attributePath struct {
	parts    []Value
	fallback Value // replaces undefined parts; nil: none
	fold     bool  // lowers text, for comparisons that ignore case
}

func (st *state) attributePath(attribute Value) (attributePath, error) {
	var p attributePath
	if attribute == nil || attribute == None {
		return p, nil
	}
	s, ok := asText(attribute)
	if !ok {
		p.parts = []Value{attribute}
		return p, nil
	}
	if err := st.text(len(s)); err != nil {
		return p, err
	}
	return p, p.add(s)
}

func (p *attributePath) add(path string) error {
	for start := 0; start <= len(path); {
		end := start
		for end < len(path) && path[end] != '.' {
			end++
		}
		part := path[start:end]
		if all(part, isDigit) {
			n, err := parseInt(part, 10)
			if err != nil {
				return err
			}
			p.parts = append(p.parts, n)
		} else {
			p.parts = append(p.parts, strValue(part))
		}
		start = end + 1
	}
	return nil
}

func (p attributePath) get(st *state, item Value) (Value, error) {
	for _, part := range p.parts {
		if err := st.step(); err != nil {
			return nil, err
		}
		var err error
		if item, err = st.getitem(item, part); err != nil {
			return nil, err
		}
		if _, undefined := item.(*undefinedValue); undefined && p.fallback != nil && p.fallback != None {
			item = p.fallback
		}
	}
	if p.fold {
		return st.foldText(item)
	}
	return item, nil
}

// foldText lowers text and leaves other values alone.
func (st *state) foldText(v Value) (Value, error) {
	s, ok := asText(v)
	if !ok {
		return v, nil
	}
	return strValue(toLower(s)), st.text(len(s))
}
