package template

// exec runs a loop. A recursive one is a function that returns what it wrote.
func (s *forStmt) exec(st *state) (flow, error) {
	v, err := s.iterable.eval(st)
	if err != nil {
		return flowNext, err
	}
	if !s.recursive {
		return s.loop(st, v, nil, 0)
	}
	recurse := &loopRecursion{stmt: s, outer: st.act}
	text, err := recurse.call(st, v, 0)
	if err != nil {
		return flowNext, err
	}
	return flowNext, st.write(text)
}

// loopRecursion is a recursive loop that {{ loop(items) }} can run again.
type loopRecursion struct {
	stmt  *forStmt
	outer *activation
}

func (r *loopRecursion) call(st *state, items Value, depth int) (string, error) {
	act := &activation{slots: make([]Value, r.stmt.slots), outer: r.outer, ctx: r.outer.ctx}
	if err := st.items(len(act.slots)); err != nil {
		return "", err
	}
	var text string
	err := st.within(act, macroDepth, func() (err error) {
		text, _, err = st.capture(func() (flow, error) { return r.stmt.loop(st, items, r, depth) })
		return err
	})
	return text, err
}

// loop is the loop proper, in the activation that its variables belong to.
func (s *forStmt) loop(st *state, v Value, recurse *loopRecursion, depth int) (flow, error) {
	it, err := iterate(v)
	if err != nil {
		return flowNext, err
	}
	if s.test != nil {
		it = &filteredItems{stmt: s, source: it, act: st.act}
		v = &iterValue{iterator: it, class: "generator"} // has no length
	}
	if s.loopSlot >= 0 {
		loop := &loopValue{source: v, it: it, index0: -1, depth0: depth, recurse: recurse}
		it = loop
		st.act.slots[s.loopSlot] = loop
	}
	completed := false // a turn ran to its end: Jinja runs else after loops whose every turn was left early
	for {
		if err := st.step(); err != nil {
			return flowNext, err
		}
		item, err := it.next(st)
		if err != nil {
			return flowNext, err
		}
		if item == nil {
			break
		}
		if err := s.target.assign(st, item); err != nil {
			return flowNext, err
		}
		st.enterScope(&s.bodyScope)
		fl, err := st.run(s.body)
		if err != nil {
			return flowNext, err
		}
		if fl == flowBreak {
			break
		}
		completed = completed || fl == flowNext
	}
	st.leaveScope(&s.bodyScope)
	if completed || s.otherwise == nil {
		return flowNext, nil
	}
	st.enterScope(&s.elseScope)
	fl, err := st.run(s.otherwise)
	st.leaveScope(&s.elseScope)
	return fl, err
}

// filteredItems are the items of {% for x in items if test %}, tested one by one while the loop runs.
type filteredItems struct {
	stmt    *forStmt
	source  iterator
	act     *activation
	entered bool
}

func (f *filteredItems) next(st *state) (item Value, err error) {
	outer := st.act
	st.act = f.act
	defer func() { st.act = outer }()
	if !f.entered {
		st.enterScope(&f.stmt.testScope)
		f.entered = true
	}
	for {
		if err := st.step(); err != nil {
			return nil, err
		}
		if item, err = f.source.next(st); item == nil || err != nil {
			return nil, err
		}
		if err := f.stmt.testTarget.assign(st, item); err != nil {
			return nil, err
		}
		if yes, err := st.holds(f.stmt.test); yes || err != nil {
			return item, err
		}
	}
}

// loopValue is the variable loop.
type loopValue struct {
	source  Value // what is looped over
	it      iterator
	index0  int
	depth0  int
	recurse *loopRecursion

	size          int // once known; see sized
	sized         bool
	after         Value // peeked at
	current, prev Value
	changedWith   *tupleValue
}

func (*loopValue) typeName() string { return "LoopContext" }

func (l *loopValue) next(st *state) (Value, error) {
	v := l.after
	l.after = nil
	if v == nil {
		var err error
		if v, err = l.it.next(st); v == nil || err != nil {
			return nil, err
		}
	}
	l.index0++
	l.prev, l.current = l.current, v
	return v, nil
}

// peek returns the item after the current one, or nil.
func (l *loopValue) peek(st *state) (Value, error) {
	if l.after == nil {
		var err error
		if l.after, err = l.it.next(st); err != nil {
			return nil, err
		}
	}
	return l.after, nil
}

// length counts the items. Those of a generator are all computed for it.
func (l *loopValue) length(st *state) (int, error) {
	if l.sized {
		return l.size, nil
	}
	switch l.source.(type) {
	case *iterValue:
		var rest []Value
		err := st.forEach(&iterValue{iterator: l.it, class: "generator"}, func(item Value) error {
			rest = append(rest, item)
			return st.items(1)
		})
		if err != nil {
			return 0, err
		}
		l.it = &itemsIter{items: rest}
		l.size = len(rest) + l.index0 + 1
		if l.after != nil {
			l.size++
		}
	default:
		n, err := st.length(l.source)
		if err != nil {
			return 0, err
		}
		l.size = n
	}
	l.sized = true
	return l.size, nil
}

// loopAttributes are what loop.x gives, apart from its methods.
var loopAttributes = map[string]func(st *state, l *loopValue) (Value, error){
	"index":  func(_ *state, l *loopValue) (Value, error) { return intValue(l.index0 + 1), nil },
	"index0": func(_ *state, l *loopValue) (Value, error) { return intValue(l.index0), nil },
	"first":  func(_ *state, l *loopValue) (Value, error) { return boolValue(l.index0 == 0), nil },
	"depth":  func(_ *state, l *loopValue) (Value, error) { return intValue(l.depth0 + 1), nil },
	"depth0": func(_ *state, l *loopValue) (Value, error) { return intValue(l.depth0), nil },
	"length": func(st *state, l *loopValue) (Value, error) {
		n, err := l.length(st)
		return intValue(n), err
	},
	"revindex": func(st *state, l *loopValue) (Value, error) {
		n, err := l.length(st)
		return intValue(n - l.index0), err
	},
	"revindex0": func(st *state, l *loopValue) (Value, error) {
		n, err := l.length(st)
		return intValue(n - l.index0 - 1), err
	},
	"last": func(st *state, l *loopValue) (Value, error) {
		v, err := l.peek(st)
		return boolValue(v == nil), err
	},
	"previtem": func(_ *state, l *loopValue) (Value, error) {
		if l.index0 == 0 {
			return undefinedHint("there is no previous item"), nil
		}
		return l.prev, nil
	},
	"nextitem": func(st *state, l *loopValue) (Value, error) {
		v, err := l.peek(st)
		if v == nil {
			v = undefinedHint("there is no next item")
		}
		return v, err
	},
}
