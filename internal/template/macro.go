package template

// macroValue is a macro with the variables around its definition, which it sees as they are when it is called.
type macroValue struct {
	def   *macroDef
	outer *activation
}

func (*macroValue) typeName() string { return "Macro" }

func (m *macroValue) property(name string) Value {
	switch name {
	case "name":
		if m.def.name == "" {
			return None
		}
		return strValue(m.def.name)
	case "arguments":
		t := &tupleValue{}
		for _, p := range m.def.params {
			t.items = append(t.items, strValue(p.name))
		}
		return t
	case "catch_kwargs":
		return boolValue(m.def.kwargs >= 0)
	case "catch_varargs":
		return boolValue(m.def.varargs >= 0)
	case "caller":
		return boolValue(m.def.caller >= 0)
	case "explicit_caller":
		return boolValue(m.def.explicitCaller)
	}
	return nil
}

func (s *macroStmt) exec(st *state) (flow, error) {
	m := &macroValue{def: &s.def, outer: st.act}
	*st.act.at(s.ref) = m
	if s.export {
		st.act.ctx.exported[s.name] = m
	}
	return flowNext, nil
}

func (s *callStmt) exec(st *state) (flow, error) {
	block := &macroValue{def: &s.def, outer: st.act}
	if s.call == nil { // a generation block
		text, err := block.call(st, callArgs{})
		if err != nil {
			return flowNext, err
		}
		return flowNext, st.print(text)
	}
	v, err := s.call.call(st, block)
	if err != nil {
		return flowNext, err
	}
	return flowNext, st.print(v)
}

// call runs the macro and returns what it wrote.
func (m *macroValue) call(st *state, c callArgs) (Value, error) {
	act := &activation{slots: make([]Value, m.def.slots), outer: m.outer, ctx: m.outer.ctx}
	if err := st.items(len(act.slots)); err != nil {
		return nil, err
	}
	if err := m.bindArguments(st, act, c); err != nil {
		return nil, err
	}
	var text string
	err := st.within(act, macroDepth, func() (err error) {
		text, _, err = st.capture(func() (flow, error) {
			st.enterScope(&m.def.scope)
			if err := m.defaults(st); err != nil {
				return flowNext, err
			}
			return st.run(m.def.body)
		})
		return err
	})
	return st.textValue(text), err
}

// bindArguments puts arguments into the slots of the parameters.
func (m *macroValue) bindArguments(st *state, act *activation, c callArgs) error {
	d := m.def
	count := min(len(c.positional), len(d.params))
	for i, v := range c.positional[:count] {
		act.slots[d.params[i].ref.slot] = v
	}
	for _, p := range d.params[count:] {
		act.slots[p.ref.slot] = c.take(p.name)
	}
	if d.caller >= 0 {
		caller := c.take("caller")
		if caller == nil || caller == None {
			caller = &undefinedValue{hint: "No caller defined", name: strValue("caller")}
		}
		act.slots[d.caller] = caller
	}
	if d.kwargs >= 0 {
		rest := newDict(len(c.names))
		for i, name := range c.names {
			if err := rest.put(&st.meter, strValue(name), c.values[i]); err != nil {
				return err
			}
		}
		act.slots[d.kwargs] = rest
	} else if len(c.names) > 0 {
		return typeError("macro '%s' takes no keyword argument '%s'", d.name, c.names[0])
	}
	if d.varargs >= 0 {
		act.slots[d.varargs] = &tupleValue{items: c.positional[count:]}
	} else if len(c.positional) > count {
		return typeError("macro '%s' takes not more than %d argument(s)", d.name, len(d.params))
	}
	return nil
}

// defaults fills in the parameters that were not given. A default sees the parameters before it.
func (m *macroValue) defaults(st *state) error {
	first := len(m.def.params) - len(m.def.defaults)
	for i, p := range m.def.params {
		slot := &st.act.slots[p.ref.slot]
		switch {
		case *slot != nil:
		case i < first:
			*slot = &undefinedValue{hint: "parameter " + quote(p.name) + " was not provided", name: strValue(p.name)}
		default:
			v, err := m.def.defaults[i-first].eval(st)
			if err != nil {
				return err
			}
			*slot = v
		}
	}
	return nil
}
