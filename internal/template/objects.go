package template

import "strings"

// namespaceValue is what namespace() makes: the only thing a template can change.
type namespaceValue struct{ attrs *dictValue }

func (*namespaceValue) typeName() string { return "Namespace" }

func (ns *namespaceValue) set(st *state, name string, v Value) error {
	if err := checkNamespaceName(strValue(name)); err != nil {
		return err
	}
	return ns.attrs.put(&st.meter, strValue(name), v)
}

// checkNamespaceName refuses names with an underscore in front, as transformers does.
func checkNamespaceName(key Value) error {
	if name, ok := asText(key); ok && strings.HasPrefix(name, "_") {
		return fail(SecurityError, "Chat templates cannot store underscore-prefixed attributes on a namespace, but got %s. "+
			"Please rename the attribute.", quote(name))
	}
	return nil
}

// cyclerValue is what cycler(...) makes.
type cyclerValue struct {
	items []Value
	pos   int
}

func (*cyclerValue) typeName() string { return "Cycler" }

func (c *cyclerValue) property(name string) Value {
	switch name {
	case "current":
		return c.items[c.pos]
	case "items":
		return &tupleValue{items: c.items}
	case "pos":
		return intValue(c.pos)
	}
	return nil
}

var cyclerMethods = named(
	builtin("next", "", func(_ *state, self Value, _ args) (Value, error) {
		c := self.(*cyclerValue)
		v := c.items[c.pos]
		c.pos = (c.pos + 1) % len(c.items)
		return v, nil
	}),
	builtin("reset", "", func(_ *state, self Value, _ args) (Value, error) {
		self.(*cyclerValue).pos = 0
		return None, nil
	}),
)

// joinerValue is what joiner(sep) makes: nothing when called first, then the separator.
type joinerValue struct {
	sep  Value
	used bool
}

func (*joinerValue) typeName() string { return "Joiner" }

func (j *joinerValue) call(c callArgs) (Value, error) {
	if len(c.positional)+len(c.names) > 0 {
		return nil, typeError("Joiner.__call__() takes 1 positional argument")
	}
	if !j.used {
		j.used = true
		return strValue(""), nil
	}
	return j.sep, nil
}

var loopMethods = named(
	builtin("cycle", "*", func(_ *state, self Value, a args) (Value, error) {
		if len(a.rest) == 0 {
			return nil, typeError("no items for cycling given")
		}
		return a.rest[self.(*loopValue).index0%len(a.rest)], nil
	}),
	builtin("changed", "*", func(st *state, self Value, a args) (Value, error) {
		l := self.(*loopValue)
		now := &tupleValue{items: a.rest}
		if l.changedWith != nil {
			if same, err := st.equal(l.changedWith, now); same || err != nil {
				return boolValue(false), err
			}
		}
		l.changedWith = now
		return boolValue(true), nil
	}),
)

// templateRef is the variable self: it gives the template's blocks.
type templateRef struct{ ctx *context }

func (*templateRef) typeName() string { return "TemplateReference" }

// item finds a block; self.name comes here too, through attribute access.
func (r *templateRef) item(st *state, key Value) (Value, error) {
	name, _ := asText(key)
	if def := st.blocks[name]; def != nil {
		return &blockRef{def: def, ctx: r.ctx}, nil
	}
	return nil, nil
}

// blockRef is a block that can be called.
type blockRef struct {
	def *blockDef
	ctx *context
}

func (*blockRef) typeName() string { return "BlockReference" }

func (b *blockRef) property(name string) Value {
	switch name {
	case "name":
		return strValue(b.def.name)
	case "super":
		return noParentBlock(b.def.name)
	}
	return nil
}

func noParentBlock(name string) Value {
	return &undefinedValue{hint: "there is no parent block called " + quote(name) + ".", name: strValue("super")}
}

func (b *blockRef) call(st *state, c callArgs) (Value, error) {
	if len(c.positional)+len(c.names) > 0 {
		return nil, typeError("BlockReference.__call__() takes 1 positional argument")
	}
	text, _, err := st.capture(func() (flow, error) { return flowNext, b.def.run(st, b.ctx) })
	return st.textValue(text), err
}

// run executes a block, which sees only the context.
func (d *blockDef) run(st *state, ctx *context) error {
	act := &activation{slots: make([]Value, d.slots), ctx: ctx}
	if d.self >= 0 {
		act.slots[d.self] = &templateRef{ctx}
	}
	if d.base >= 0 {
		act.slots[d.base] = noParentBlock(d.name)
	}
	return st.within(act, macroDepth, func() error {
		st.enterScope(&d.scope)
		_, err := st.run(d.body)
		return err
	})
}

func (s *blockStmt) exec(st *state) (flow, error) {
	if s.required {
		return flowNext, fail(TemplateRuntime, "Required block %s not found", quote(s.name))
	}
	ctx := st.act.ctx
	if s.scoped {
		vars := make(map[string]Value, len(s.locals))
		for _, e := range s.locals {
			if v := *st.act.at(e.ref); v != nil {
				vars[e.name] = v
			}
		}
		ctx = &context{vars: vars, parent: ctx, exported: map[string]Value{}}
	}
	return flowNext, s.fn.run(st, ctx)
}
