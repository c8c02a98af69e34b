package template

import "slices"

// callArgs are the evaluated arguments of a call.
type callArgs struct {
	positional []Value
	names      []string // of keywords
	values     []Value
}

// arguments evaluates the arguments of a call, leaving room for as many positional ones as the callee takes.
func (st *state) arguments(a *arguments, capacity int) (callArgs, error) {
	positional, err := st.evalAll(a.positional, capacity)
	c := callArgs{positional: positional}
	if err != nil || len(a.values) == 0 && a.star == nil && a.dict == nil {
		return c, err
	}
	if c.values, err = st.evalAll(a.values, 0); err != nil {
		return c, err
	}
	c.names = slices.Clone(a.names)
	if a.star != nil {
		v, err := a.star.eval(st)
		if err != nil {
			return c, err
		}
		items, err := st.collect(v)
		if err != nil {
			return c, err
		}
		if err := st.items(len(items)); err != nil {
			return c, err
		}
		c.positional = append(c.positional, items...)
	}
	if a.dict != nil {
		v, err := a.dict.eval(st)
		if err != nil {
			return c, err
		}
		return c, c.addKeywords(st, v)
	}
	return c, nil
}

// addKeywords unpacks **v.
func (c *callArgs) addKeywords(st *state, v Value) error {
	d, ok := v.(*dictValue)
	if !ok {
		return typeError("argument after ** must be a mapping, not %s", v.typeName())
	}
	if err := st.items(2 * len(d.entries)); err != nil {
		return err
	}
	seen := make(map[string]bool, len(c.names))
	for _, name := range c.names {
		seen[name] = true
	}
	for _, e := range d.entries {
		name, ok := asText(e.key)
		if !ok {
			return typeError("keywords must be strings")
		}
		if seen[name] {
			return typeError("got multiple values for keyword argument '%s'", name)
		}
		c.names = append(c.names, name)
		c.values = append(c.values, e.value)
	}
	return nil
}

// take removes a keyword and returns its value, or nil.
func (c *callArgs) take(name string) Value {
	i := slices.Index(c.names, name)
	if i < 0 {
		return nil
	}
	v := c.values[i]
	c.names = slices.Delete(c.names, i, i+1)
	c.values = slices.Delete(c.values, i, i+1)
	return v
}

func (e *callExpr) eval(st *state) (Value, error) { return e.call(st, nil) }

// call runs the call; a call block passes itself as caller.
func (e *callExpr) call(st *state, caller Value) (Value, error) {
	if err := st.step(); err != nil {
		return nil, err
	}
	callee, self, method, err := st.callee(e.callee)
	if err != nil {
		return nil, err
	}
	capacity := 0
	if method != nil {
		capacity = len(method.params)
	}
	c, err := st.arguments(&e.args, capacity)
	if err != nil {
		return nil, err
	}
	if caller != nil {
		if slices.Contains(c.names, "caller") {
			return nil, typeError("got multiple values for keyword argument 'caller'")
		}
		c.names = append(c.names, "caller")
		c.values = append(c.values, caller)
	}
	if method != nil {
		return method.invoke(st, self, c)
	}
	return st.callValue(callee, c)
}

// callee evaluates what is called. For a method it returns object and function, without making a bound method.
func (st *state) callee(e expr) (callee, self Value, method *function, err error) {
	attr, ok := e.(*getattrExpr)
	if !ok {
		callee, err = e.eval(st)
		return callee, nil, nil, err
	}
	if self, err = attr.object.eval(st); err != nil {
		return nil, nil, nil, err
	}
	if m := st.env.method(self, attr.name); m != nil && !m.unsafe {
		return nil, self, m, nil
	}
	callee, err = st.getattr(self, attr.name, attr.key)
	return callee, nil, nil, err
}

// callValue is Python's v(...).
func (st *state) callValue(v Value, c callArgs) (Value, error) {
	switch v := v.(type) {
	case *boundMethod:
		return v.fn.invoke(st, v.self, c)
	case *dictType:
		return v.fn.invoke(st, v, c)
	case *macroValue:
		return v.call(st, c)
	case *loopValue:
		return v.call(st, c)
	case *joinerValue:
		return v.call(c)
	case *blockRef:
		return v.call(st, c)
	case *undefinedValue:
		return nil, v.fail()
	}
	return nil, typeError("'%s' object is not callable", v.typeName())
}

// call is loop(items) in a recursive loop.
func (l *loopValue) call(st *state, c callArgs) (Value, error) {
	if len(c.positional) != 1 || len(c.names) > 0 {
		return nil, typeError("LoopContext.__call__() takes 2 positional arguments but %d were given", 1+len(c.positional))
	}
	if l.recurse == nil {
		return nil, typeError("The loop must have the 'recursive' marker to be called recursively.")
	}
	text, err := l.recurse.call(st, c.positional[0], l.depth0+1)
	return st.textValue(text), err
}
