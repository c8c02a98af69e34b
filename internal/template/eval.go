package template

import "strings"

func (e *constExpr) eval(*state) (Value, error) { return e.value, nil }

func (e *textExpr) eval(*state) (Value, error) { return strValue(e.text), nil }

func (e *nameExpr) eval(st *state) (Value, error) {
	if v := *st.act.at(e.ref); v != nil {
		return v, nil
	}
	return undefinedName(e.name), nil
}

// evalAll evaluates expressions into a new slice with room for capacity values.
func (st *state) evalAll(items []expr, capacity int) ([]Value, error) {
	if err := st.items(len(items)); err != nil {
		return nil, err
	}
	values := make([]Value, 0, max(len(items), capacity))
	for _, e := range items {
		v, err := e.eval(st)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (e *tupleExpr) eval(st *state) (Value, error) {
	items, err := st.evalAll(e.items, 0)
	return &tupleValue{items: items}, err
}

func (e *listExpr) eval(st *state) (Value, error) {
	items, err := st.evalAll(e.items, 0)
	return &listValue{items: items}, err
}

func (e *dictExpr) eval(st *state) (Value, error) {
	d := newDict(len(e.keys))
	for i := range e.keys {
		key, err := e.keys[i].eval(st)
		if err != nil {
			return nil, err
		}
		value, err := e.values[i].eval(st)
		if err != nil {
			return nil, err
		}
		if err := d.put(&st.meter, key, value); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (e *condExpr) eval(st *state) (Value, error) {
	yes, err := st.holds(e.test)
	switch {
	case err != nil:
		return nil, err
	case yes:
		return e.then.eval(st)
	case e.otherwise != nil:
		return e.otherwise.eval(st)
	}
	return undefinedHint("the inline if-expression evaluated to false and no else section was defined."), nil
}

func (e *binaryExpr) eval(st *state) (Value, error) {
	left, err := e.left.eval(st)
	if err != nil {
		return nil, err
	}
	right, err := e.right.eval(st)
	if err != nil {
		return nil, err
	}
	if err := st.step(); err != nil {
		return nil, err
	}
	return st.arithmetic(e.op, left, right)
}

func (e *logicExpr) eval(st *state) (Value, error) {
	left, err := e.left.eval(st)
	if err != nil {
		return nil, err
	}
	yes, err := st.truth(left)
	if yes == e.or || err != nil {
		return left, err
	}
	return e.right.eval(st)
}

func (e *notExpr) eval(st *state) (Value, error) {
	yes, err := st.holds(e.operand)
	return boolValue(!yes), err
}

func (e *unaryExpr) eval(st *state) (Value, error) {
	v, err := e.operand.eval(st)
	if err != nil {
		return nil, err
	}
	if e.negative {
		return negate(v)
	}
	return posit(v)
}

func (e *compareExpr) eval(st *state) (Value, error) {
	left, err := e.first.eval(st)
	if err != nil {
		return nil, err
	}
	for i, op := range e.ops {
		right, err := e.operands[i].eval(st)
		if err != nil {
			return nil, err
		}
		if err := st.step(); err != nil {
			return nil, err
		}
		holds, err := comparisons[op](st, left, right)
		if !holds || err != nil {
			return boolValue(false), err
		}
		left = right
	}
	return boolValue(true), nil
}

func (e *concatExpr) eval(st *state) (Value, error) {
	values, err := st.evalAll(e.parts, 0)
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(values))
	total, marked := 0, false
	for i, v := range values {
		if parts[i], err = st.str(v); err != nil {
			return nil, err
		}
		marked = marked || isMarkup(v)
		total += len(parts[i])
	}
	if marked && st.autoescape {
		return st.joinMarkup("", values)
	}
	if err := st.text(total); err != nil {
		return nil, err
	}
	return strValue(strings.Join(parts, "")), nil
}

func (e *getattrExpr) eval(st *state) (Value, error) {
	object, err := e.object.eval(st)
	if err != nil {
		return nil, err
	}
	return st.getattr(object, e.name, e.key)
}

func (e *getitemExpr) eval(st *state) (Value, error) {
	object, err := e.object.eval(st)
	if err != nil {
		return nil, err
	}
	if s, ok := e.index.(*sliceExpr); ok {
		return s.apply(st, object)
	}
	index, err := e.index.eval(st)
	if err != nil {
		return nil, err
	}
	return st.getitem(object, index)
}

func (e *filterExpr) eval(st *state) (Value, error) {
	input, err := e.input.eval(st)
	if err != nil {
		return nil, err
	}
	return e.apply(st, input)
}

// applyTo runs a chain of filters that starts at the text of a block.
func (e *filterExpr) applyTo(st *state, text Value) (Value, error) {
	if inner, ok := e.input.(*filterExpr); ok {
		var err error
		if text, err = inner.applyTo(st, text); err != nil {
			return nil, err
		}
	}
	return e.apply(st, text)
}

// apply runs this filter on a value.
func (e *filterExpr) apply(st *state, input Value) (Value, error) {
	if e.impl == nil {
		return nil, fail(TemplateRuntime, "No filter named '%s' found.", e.name)
	}
	return st.callWith(e.impl, input, &e.args)
}

func (e *testExpr) eval(st *state) (Value, error) {
	input, err := e.input.eval(st)
	if err != nil {
		return nil, err
	}
	if e.impl == nil {
		return nil, fail(TemplateRuntime, "No test named '%s' found.", e.name)
	}
	return st.callWith(e.impl, input, &e.args)
}

// callWith evaluates arguments and calls a built-in function.
func (st *state) callWith(f *function, self Value, a *arguments) (Value, error) {
	c, err := st.arguments(a, len(f.params))
	if err != nil {
		return nil, err
	}
	return f.invoke(st, self, c)
}
