package template

import "time"

// state is one rendering.
type state struct {
	meter
	env *environment
	act *activation
	out []byte // of the innermost capture
	now time.Time

	autoescape bool
	blocks     map[string]*blockDef
}

// activation holds the variables of a running unit. A nil slot is a variable without value.
type activation struct {
	slots []Value
	outer *activation // of the unit around, as it was when the macro was defined
	ctx   *context
}

// context is where names come from that no scope around assigns.
type context struct {
	vars     map[string]Value // what Render was given, or what a scoped block sees
	exported map[string]Value // assigned at the top level; only kept for templates with blocks
	parent   *context
	globals  map[string]Value
}

func (c *context) lookup(name string) Value {
	for ; c != nil; c = c.parent {
		if v := c.exported[name]; v != nil {
			return v
		}
		if v := c.vars[name]; v != nil {
			return v
		}
		if v := c.globals[name]; v != nil {
			return v
		}
	}
	return nil
}

func (a *activation) at(r ref) *Value {
	for range r.hops {
		a = a.outer
	}
	return &a.slots[r.slot]
}

// enterScope gives the variables of a scope their first values.
func (st *state) enterScope(sc *scope) {
	slots := st.act.slots
	st.steps -= int64(len(sc.alias) + len(sc.resolve)) // the next step notices when it was too much
	for _, slot := range sc.unset {
		slots[slot] = nil
	}
	for _, a := range sc.alias {
		slots[a.slot] = *st.act.at(a.from)
	}
	for _, r := range sc.resolve {
		slots[r.slot] = st.act.ctx.lookup(r.name)
	}
}

// leaveScope forgets them again, which macros that outlive the scope can see.
func (st *state) leaveScope(sc *scope) {
	slots := st.act.slots
	for _, slot := range sc.unset {
		slots[slot] = nil
	}
	for _, a := range sc.alias {
		slots[a.slot] = nil
	}
	for _, r := range sc.resolve {
		slots[r.slot] = nil
	}
}

// write appends to the output.
func (st *state) write(s string) error {
	if len(st.out)+len(s) > st.limits.Output {
		return &LimitError{"output", int64(st.limits.Output)}
	}
	if err := st.scan(len(s)); err != nil {
		return err
	}
	st.out = append(st.out, s...)
	return nil
}

// capture runs body with an output of its own and returns what it wrote.
func (st *state) capture(body func() (flow, error)) (string, flow, error) {
	outer := st.out
	st.out = nil
	fl, err := body()
	text := st.out
	st.out = outer
	if err == nil {
		err = st.text(len(text))
	}
	return string(text), fl, err
}

// within runs f with another activation, depth levels deeper.
func (st *state) within(act *activation, depth int, f func() error) error {
	if err := st.enter(depth); err != nil {
		return err
	}
	outer := st.act
	st.act = act
	err := f()
	st.act = outer
	st.leave(depth)
	return err
}

// textValue is captured text as a value: under autoescape it is marked as HTML.
func (st *state) textValue(s string) Value {
	if st.autoescape {
		return markupValue(s)
	}
	return strValue(s)
}
