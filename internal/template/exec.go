package template

// flow says how a statement ended.
type flow int

const (
	flowNext flow = iota
	flowBreak
	flowContinue
)

func (st *state) run(body []stmt) (flow, error) {
	for _, s := range body {
		if err := st.step(); err != nil {
			return flowNext, err
		}
		fl, err := s.exec(st)
		if err != nil {
			if e, ok := err.(*RenderError); ok && e.Line == 0 {
				e.Line = s.lineno()
			}
			return flowNext, err
		}
		if fl != flowNext {
			return fl, nil
		}
	}
	return flowNext, nil
}

func (s *outputStmt) exec(st *state) (flow, error) {
	for _, part := range s.parts {
		if t, ok := part.(*textExpr); ok {
			if err := st.write(t.text); err != nil {
				return flowNext, err
			}
			continue
		}
		v, err := part.eval(st)
		if err != nil {
			return flowNext, err
		}
		if err := st.print(v); err != nil {
			return flowNext, err
		}
	}
	return flowNext, nil
}

// print writes the value of {{ }}.
func (st *state) print(v Value) error {
	text, err := st.str(v)
	if err != nil {
		return err
	}
	if st.autoescape && !isMarkup(v) {
		if text, err = st.escape(text); err != nil {
			return err
		}
	}
	return st.write(text)
}

func (s *ifStmt) exec(st *state) (flow, error) {
	yes, err := st.holds(s.test)
	if err != nil {
		return flowNext, err
	}
	if yes {
		return st.run(s.body)
	}
	for _, e := range s.elifs {
		if yes, err = st.holds(e.test); err != nil {
			return flowNext, err
		}
		if yes {
			return st.run(e.body)
		}
	}
	return st.run(s.otherwise)
}

// holds evaluates a condition.
func (st *state) holds(e expr) (bool, error) {
	v, err := e.eval(st)
	if err != nil {
		return false, err
	}
	return st.truth(v)
}

// truth is bool(v) for the values whose truth takes work.
func (st *state) truth(v Value) (bool, error) {
	if loop, ok := v.(*loopValue); ok {
		n, err := loop.length(st)
		return n > 0, err
	}
	return truth(v), nil
}

func (s *setStmt) exec(st *state) (flow, error) {
	if err := checkNamespaces(st, s.target); err != nil {
		return flowNext, err
	}
	v, err := s.value.eval(st)
	if err != nil {
		return flowNext, err
	}
	if err := s.target.assign(st, v); err != nil {
		return flowNext, err
	}
	st.export(s.exports)
	return flowNext, nil
}

// checkNamespaces refuses ns.attr on anything but namespaces, before the value is computed.
func checkNamespaces(st *state, t target) error {
	switch t := t.(type) {
	case *attrTarget:
		if _, ok := (*st.act.at(t.ref)).(*namespaceValue); !ok {
			return fail(TemplateRuntime, "cannot assign attribute on non-namespace object")
		}
	case *tupleTarget:
		for _, item := range t.items {
			if err := checkNamespaces(st, item); err != nil {
				return err
			}
		}
	}
	return nil
}

// export copies variables into the context.
func (st *state) export(list []export) {
	for _, e := range list {
		st.act.ctx.exported[e.name] = *st.act.at(e.ref)
	}
}

func (s *setBlockStmt) exec(st *state) (flow, error) {
	text, fl, err := st.captureScope(&s.scope, s.body)
	if err != nil || fl != flowNext {
		return fl, err
	}
	v := st.textValue(text)
	if s.filter != nil {
		if v, err = s.filter.applyTo(st, v); err != nil {
			return flowNext, err
		}
	}
	if err := s.target.assign(st, v); err != nil {
		return flowNext, err
	}
	st.leaveScope(&s.scope)
	st.export(s.exports)
	return flowNext, nil
}

// captureScope enters a scope and runs its body with the output captured. The caller leaves the scope.
func (st *state) captureScope(sc *scope, body []stmt) (string, flow, error) {
	st.enterScope(sc)
	return st.capture(func() (flow, error) { return st.run(body) })
}

func (s *filterStmt) exec(st *state) (flow, error) {
	text, fl, err := st.captureScope(&s.scope, s.body)
	if err != nil || fl != flowNext {
		return fl, err
	}
	v, err := s.filter.applyTo(st, st.textValue(text))
	if err != nil {
		return flowNext, err
	}
	st.leaveScope(&s.scope)
	return flowNext, st.print(v)
}

func (s *withStmt) exec(st *state) (flow, error) {
	st.enterScope(&s.scope)
	for i, t := range s.targets {
		v, err := s.values[i].eval(st)
		if err != nil {
			return flowNext, err
		}
		if err := t.assign(st, v); err != nil {
			return flowNext, err
		}
	}
	fl, err := st.run(s.body)
	st.leaveScope(&s.scope)
	return fl, err
}

func (s *autoescapeStmt) exec(st *state) (flow, error) {
	st.enterScope(&s.scope)
	v, err := s.enabled.eval(st)
	if err != nil {
		return flowNext, err
	}
	before := st.autoescape
	st.autoescape = truth(v)
	fl, err := st.run(s.body)
	st.autoescape = before
	st.leaveScope(&s.scope)
	return fl, err
}

func (s *loaderStmt) exec(*state) (flow, error) {
	return flowNext, fail(TypeError, "{%% %s %%} is not available: chat templates have no loader", s.tag)
}

func (*breakStmt) exec(*state) (flow, error)    { return flowBreak, nil }
func (*continueStmt) exec(*state) (flow, error) { return flowContinue, nil }

func (t *nameTarget) assign(st *state, v Value) error {
	*st.act.at(t.ref) = v
	return nil
}

func (t *attrTarget) assign(st *state, v Value) error {
	ns, ok := (*st.act.at(t.ref)).(*namespaceValue)
	if !ok {
		return fail(NotImplemented, "cannot assign attribute on non-namespace object")
	}
	return ns.set(st, t.attr, v)
}

// assign unpacks a sequence of exactly as many values.
func (t *tupleTarget) assign(st *state, v Value) error {
	it, err := iterate(v)
	if err != nil {
		return typeError("cannot unpack non-iterable %s object", v.typeName())
	}
	values := make([]Value, 0, len(t.items))
	for {
		item, err := it.next(st)
		if err != nil {
			return err
		}
		if item == nil {
			break
		}
		if len(values) == len(t.items) {
			return fail(ValueError, "too many values to unpack (expected %d)", len(t.items))
		}
		values = append(values, item)
	}
	if len(values) < len(t.items) {
		return fail(ValueError, "not enough values to unpack (expected %d, got %d)", len(t.items), len(values))
	}
	for i, item := range t.items {
		if err := item.assign(st, values[i]); err != nil {
			return err
		}
	}
	return nil
}
