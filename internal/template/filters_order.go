package template

import "sort"

// orderFilters compare what they are given. Text is compared without case unless case_sensitive says otherwise.
var orderFilters = []*function{
	builtin("sort", "reverse? case_sensitive? attribute?", sortFilter),
	builtin("dictsort", "case_sensitive? by? reverse?", dictsortFilter),
	builtin("min", "case_sensitive? attribute?", extremeFilter(-1)),
	builtin("max", "case_sensitive? attribute?", extremeFilter(1)),
	builtin("groupby", "attribute default? case_sensitive?", groupbyFilter),
}

// sortBy orders items by key, stably; reverse keeps equal ones in order too, as Python's sorted does.
func (st *state) sortBy(items, keys []Value, reverse bool) ([]Value, error) {
	if err := st.items(3 * len(items)); err != nil {
		return nil, err
	}
	places := make([]int, len(items))
	for i := range places {
		places[i] = i
	}
	var failed error
	sort.SliceStable(places, func(i, j int) bool {
		if failed != nil {
			return false
		}
		if failed = st.step(); failed != nil {
			return false
		}
		a, b := keys[places[i]], keys[places[j]]
		if reverse {
			a, b = b, a
		}
		order, ok, err := st.order("<", a, b)
		failed = err
		return ok && order < 0
	})
	if failed != nil {
		return nil, failed
	}
	sorted := make([]Value, len(items))
	for i, place := range places {
		sorted[i] = items[place]
	}
	return sorted, nil
}

// keysOf looks up what the items are compared by.
func (st *state) keysOf(items []Value, path attributePath) ([]Value, error) {
	if err := st.items(len(items)); err != nil {
		return nil, err
	}
	keys := make([]Value, len(items))
	for i, item := range items {
		var err error
		if keys[i], err = path.get(st, item); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// sortFilter sorts by one attribute or several, separated by commas.
func sortFilter(st *state, self Value, a args) (Value, error) {
	items, err := st.collect(self)
	if err != nil {
		return nil, err
	}
	attributes := []Value{a.or(2, None)}
	if s, ok := asText(attributes[0]); ok {
		parts, err := st.split(strValue(s), args{values: []Value{strValue(","), nil}}, false)
		if err != nil {
			return nil, err
		}
		attributes = parts.(*listValue).items
	}
	paths := make([]attributePath, len(attributes))
	for i, attribute := range attributes {
		if paths[i], err = st.attributePath(attribute); err != nil {
			return nil, err
		}
		paths[i].fold = !a.flag(1)
	}
	keys := make([]Value, len(items))
	for i, item := range items {
		if err := st.items(len(paths)); err != nil {
			return nil, err
		}
		key := &listValue{items: make([]Value, len(paths))}
		for j, path := range paths {
			if key.items[j], err = path.get(st, item); err != nil {
				return nil, err
			}
		}
		keys[i] = key
	}
	sorted, err := st.sortBy(items, keys, a.flag(0))
	return &listValue{items: sorted}, err
}

func dictsortFilter(st *state, self Value, a args) (Value, error) {
	by, _ := asText(a.or(1, strValue("key")))
	if by != "key" && by != "value" {
		return nil, fail(FilterArgument, `You can only sort by either "key" or "value"`)
	}
	d, ok := self.(*dictValue)
	if !ok {
		if u, ok := self.(*undefinedValue); ok {
			return nil, u.fail()
		}
		return nil, fail(AttributeError, "'%s' object has no attribute 'items'", self.typeName())
	}
	items, err := st.collect(&dictView{dict: d, kind: itemsView})
	if err != nil {
		return nil, err
	}
	path := attributePath{parts: []Value{intValue(0)}, fold: !a.flag(0)}
	if by == "value" {
		path.parts[0] = intValue(1)
	}
	keys, err := st.keysOf(items, path)
	if err != nil {
		return nil, err
	}
	sorted, err := st.sortBy(items, keys, a.flag(2))
	return &listValue{items: sorted}, err
}

// extremeFilter finds the first of the smallest (sign -1) or largest items.
func extremeFilter(sign int) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, a args) (Value, error) {
		path, err := st.attributePath(a.values[1])
		if err != nil {
			return nil, err
		}
		path.fold = !a.flag(0)
		var best, bestKey Value
		err = st.forEach(self, func(item Value) error {
			key, err := path.get(st, item)
			if err != nil {
				return err
			}
			if best == nil {
				best, bestKey = item, key
				return nil
			}
			op := "<"
			if sign > 0 {
				op = ">"
			}
			order, ok, err := st.order(op, key, bestKey)
			if ok && order == sign {
				best, bestKey = item, key
			}
			return err
		})
		if best == nil && err == nil {
			best = undefinedHint("No aggregated item, sequence was empty.")
		}
		return best, err
	}
}

// groupbyFilter sorts by an attribute and makes (grouper, list) of neighbours that are equal in it.
func groupbyFilter(st *state, self Value, a args) (Value, error) {
	path, err := st.attributePath(a.values[0])
	if err != nil {
		return nil, err
	}
	path.fallback = a.values[1]
	folded := path
	folded.fold = !a.flag(2)
	items, err := st.collect(self)
	if err != nil {
		return nil, err
	}
	keys, err := st.keysOf(items, folded)
	if err != nil {
		return nil, err
	}
	if items, err = st.sortBy(items, keys, false); err != nil {
		return nil, err
	}
	if keys, err = st.sortBy(keys, keys, false); err != nil {
		return nil, err
	}
	groups := &listValue{}
	for start := 0; start < len(items); {
		end := start + 1
		for end < len(items) {
			same, err := st.equal(keys[start], keys[end])
			if err != nil {
				return nil, err
			}
			if !same {
				break
			}
			end++
		}
		grouper := keys[start]
		if folded.fold { // the value as the first item has it
			if grouper, err = path.get(st, items[start]); err != nil {
				return nil, err
			}
		}
		if err := st.items(4); err != nil {
			return nil, err
		}
		groups.items = append(groups.items, &tupleValue{
			items:  []Value{grouper, &listValue{items: items[start:end:end]}},
			fields: []string{"grouper", "list"},
		})
		start = end
	}
	return groups, nil
}
