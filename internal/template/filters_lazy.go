package template

// lazyFilters return generators: they look at their input, and at most of their arguments, when something runs through the
// result. So an error shows late or never, a generator is always true, has no length, and is empty the second time.
var lazyFilters = []*function{
	builtin("map", "* **", mapFilter),
	builtin("select", "* **", selectFilter(false, true)),
	builtin("reject", "* **", selectFilter(false, false)),
	builtin("selectattr", "* **", selectFilter(true, true)),
	builtin("rejectattr", "* **", selectFilter(true, false)),
	builtin("items", "", itemsFilter),
	builtin("unique", "case_sensitive? attribute?", uniqueFilter),
	builtin("batch", "linecount fill_with?", batchFilter),
	builtin("slice", "slices fill_with?", sliceFilter),
}

// lazy makes a generator. start runs at the first step and gives the function for the further ones.
func lazy(st *state, source Value, start func(st *state) (generatorFunc, error)) (Value, error) {
	var next generatorFunc
	finished := false
	return newGenerator(st, source, generatorFunc(func(st *state) (Value, error) {
		if finished {
			return nil, nil
		}
		if err := st.step(); err != nil {
			return nil, err
		}
		if next == nil {
			var err error
			if next, err = start(st); err != nil {
				finished = true
				return nil, err
			}
		}
		v, err := next(st)
		finished = v == nil || err != nil
		return v, err
	}))
}

func exhausted(*state) (Value, error) { return nil, nil }

// over starts on the items of source unless that is false, as these filters check first.
func over(st *state, source Value, each func(st *state, it iterator) (Value, error)) (generatorFunc, error) {
	if yes, err := st.truth(source); !yes || err != nil {
		return exhausted, err
	}
	it, err := iterate(source)
	if err != nil {
		return nil, err
	}
	return func(st *state) (Value, error) { return each(st, it) }, nil
}

// mapFilter looks up an attribute of each item, or passes it through a filter.
func mapFilter(st *state, self Value, a args) (Value, error) {
	return lazy(st, self, func(st *state) (generatorFunc, error) {
		if yes, err := st.truth(self); !yes || err != nil {
			return exhausted, err
		}
		convert, err := st.mapping(a)
		if err != nil {
			return nil, err
		}
		return over(st, self, func(st *state, it iterator) (Value, error) {
			item, err := it.next(st)
			if item == nil || err != nil {
				return nil, err
			}
			return convert(item)
		})
	})
}

// mapping is what map does to an item.
func (st *state) mapping(a args) (func(item Value) (Value, error), error) {
	c := callArgs{names: append([]string(nil), a.names...), values: append([]Value(nil), a.keywords...)}
	if attribute := c.take("attribute"); len(a.rest) == 0 && attribute != nil {
		path, err := st.attributePath(attribute)
		if err != nil {
			return nil, err
		}
		path.fallback = c.take("default")
		if len(c.names) > 0 {
			return nil, fail(FilterArgument, "Unexpected keyword argument %s", quote(c.names[0]))
		}
		return func(item Value) (Value, error) { return path.get(st, item) }, nil
	}
	if len(a.rest) == 0 {
		return nil, fail(FilterArgument, "map requires a filter argument")
	}
	return st.byName(st.env.filters, "filter", a.rest[0], a.rest[1:], a.names, a.keywords)
}

// byName finds a filter or test by a name computed at run time.
func (st *state) byName(table map[string]*function, what string, name Value, rest []Value, names []string, keywords []Value) (func(Value) (Value, error), error) {
	text, _ := asText(name)
	f := table[text]
	if f == nil {
		if _, err := hashKey(&st.meter, name); err != nil {
			return nil, err
		}
		return func(Value) (Value, error) {
			return nil, fail(TemplateRuntime, "No %s named %s.", what, quickRepr(name))
		}, nil
	}
	return func(item Value) (Value, error) {
		c := callArgs{positional: append(make([]Value, 0, len(f.params)), rest...), names: names, values: keywords}
		return f.invoke(st, item, c)
	}, nil
}

// selectFilter keeps the items, by themselves or by an attribute, for which a test gives keep.
func selectFilter(byAttribute, keep bool) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, a args) (Value, error) {
		return lazy(st, self, func(st *state) (generatorFunc, error) {
			if yes, err := st.truth(self); !yes || err != nil {
				return exhausted, err
			}
			passes, err := st.selection(byAttribute, a)
			if err != nil {
				return nil, err
			}
			return over(st, self, func(st *state, it iterator) (Value, error) {
				for {
					if err := st.step(); err != nil {
						return nil, err
					}
					item, err := it.next(st)
					if item == nil || err != nil {
						return nil, err
					}
					if yes, err := passes(item); yes == keep || err != nil {
						return item, err
					}
				}
			})
		})
	}
}

// selection is the condition of select and its relatives.
func (st *state) selection(byAttribute bool, a args) (func(item Value) (bool, error), error) {
	var path attributePath
	rest := a.rest
	if byAttribute {
		if len(rest) == 0 {
			return nil, fail(FilterArgument, "Missing parameter for attribute name")
		}
		var err error
		if path, err = st.attributePath(rest[0]); err != nil {
			return nil, err
		}
		rest = rest[1:]
	}
	test := func(item Value) (Value, error) { return item, nil }
	if len(rest) > 0 {
		var err error
		if test, err = st.byName(st.env.tests, "test", rest[0], rest[1:], a.names, a.keywords); err != nil {
			return nil, err
		}
	}
	return func(item Value) (bool, error) {
		v, err := path.get(st, item)
		if err == nil {
			v, err = test(v)
		}
		if err != nil {
			return false, err
		}
		return st.truth(v)
	}, nil
}

func itemsFilter(st *state, self Value, _ args) (Value, error) {
	return lazy(st, self, func(*state) (generatorFunc, error) {
		switch v := self.(type) {
		case *undefinedValue:
			return exhausted, nil
		case *dictValue:
			it, err := iterate(&dictView{dict: v, kind: itemsView})
			return func(st *state) (Value, error) { return it.next(st) }, err
		}
		return nil, typeError("Can only get item pairs from a mapping.")
	})
}

func uniqueFilter(st *state, self Value, a args) (Value, error) {
	return lazy(st, self, func(st *state) (generatorFunc, error) {
		path, err := st.attributePath(a.values[1])
		if err != nil {
			return nil, err
		}
		path.fold = !a.flag(0)
		it, err := iterate(self)
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		return func(st *state) (Value, error) {
			for {
				if err := st.items(4); err != nil {
					return nil, err
				}
				item, err := it.next(st)
				if item == nil || err != nil {
					return nil, err
				}
				key, err := path.get(st, item)
				if err != nil {
					return nil, err
				}
				hash, err := hashKey(&st.meter, key)
				if err != nil {
					return nil, err
				}
				if err := st.text(len(hash)); err != nil {
					return nil, err
				}
				if !seen[hash] {
					seen[hash] = true
					return item, nil
				}
			}
		}, nil
	})
}

// batchFilter makes rows of linecount items, the last one filled up.
func batchFilter(st *state, self Value, a args) (Value, error) {
	return lazy(st, self, func(st *state) (generatorFunc, error) {
		it, err := iterate(self)
		if err != nil {
			return nil, err
		}
		var pending Value // read, but for the next row
		return func(st *state) (Value, error) {
			var row []Value
			for {
				item := pending
				pending = nil
				if item == nil {
					if item, err = it.next(st); err != nil {
						return nil, err
					}
					if item == nil {
						return lastRow(st, row, a)
					}
					if full, err := st.equal(intValue(len(row)), a.values[0]); full || err != nil {
						pending = item
						return &listValue{items: row}, err
					}
				}
				if err := st.items(1); err != nil {
					return nil, err
				}
				row = append(row, item)
			}
		}, nil
	})
}

func lastRow(st *state, row []Value, a args) (Value, error) {
	if len(row) == 0 {
		return nil, nil
	}
	if a.given(1) {
		count, err := a.int(0, 0)
		if err != nil {
			return nil, err
		}
		filler, err := st.repeatItems([]Value{a.values[1]}, max(0, count-len(row)))
		if err != nil {
			return nil, err
		}
		row = append(row, filler...)
	}
	return &listValue{items: row}, nil
}

// sliceFilter cuts into a number of columns whose lengths differ by at most one; fill_with evens them out.
func sliceFilter(st *state, self Value, a args) (Value, error) {
	return lazy(st, self, func(st *state) (generatorFunc, error) {
		items, err := st.collect(self)
		if err != nil {
			return nil, err
		}
		slices, err := a.int(0, 0)
		if err != nil {
			return nil, err
		}
		if slices == 0 {
			return nil, fail(ZeroDivisionError, "integer division or modulo by zero")
		}
		number, start := 0, 0
		return func(st *state) (Value, error) {
			if number >= slices {
				return nil, nil
			}
			end := start + len(items)/slices
			extra := number < len(items)%slices
			if extra {
				end++
			}
			column := append([]Value(nil), items[start:end]...)
			if a.given(1) && !extra {
				column = append(column, a.values[1])
			}
			number, start = number+1, end
			return &listValue{items: column}, st.items(len(column) + 1)
		}, nil
	})
}
