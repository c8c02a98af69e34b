package template

import (
	"cmp"
	"strings"
)

// equal is Python's a == b.
func (st *state) equal(a, b Value) (bool, error) {
	if s, ok := asText(a); ok {
		t, ok := asText(b)
		if !ok || len(s) != len(t) {
			return false, nil
		}
		return s == t, st.scan(len(s))
	}
	if isNumber(a) {
		if !isNumber(b) {
			return false, nil
		}
		order, ok := compareNumbers(a, b)
		return ok && order == 0, nil
	}
	switch x := a.(type) {
	case noneValue:
		return a == b, nil
	case *undefinedValue:
		_, ok := b.(*undefinedValue)
		return ok, nil
	case *listValue:
		y, ok := b.(*listValue)
		if !ok {
			return false, nil
		}
		return st.equalItems(x.items, y.items)
	case *tupleValue:
		y, ok := b.(*tupleValue)
		if !ok {
			return false, nil
		}
		return st.equalItems(x.items, y.items)
	case *dictValue:
		y, ok := b.(*dictValue)
		if !ok {
			return false, nil
		}
		return st.equalDicts(x, y)
	case *dictView:
		y, ok := b.(*dictView)
		if !ok || x.kind != y.kind || x.kind == valuesView {
			return a == b, nil
		}
		return st.equalViews(x, y)
	case *rangeValue:
		y, ok := b.(*rangeValue)
		n := x.len()
		return ok && n == y.len() && (n == 0 || x.start == y.start && (n == 1 || x.step == y.step)), nil
	}
	return a == b, nil // functions, iterators, namespaces and the like are equal only to themselves
}

func (st *state) equalItems(a, b []Value) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	if err := st.enter(1); err != nil {
		return false, err
	}
	defer st.leave(1)
	for i := range a {
		if err := st.step(); err != nil {
			return false, err
		}
		if same, err := st.equal(a[i], b[i]); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (st *state) equalDicts(a, b *dictValue) (bool, error) {
	if len(a.entries) != len(b.entries) {
		return false, nil
	}
	return st.contains(b, a, func(x, y Value) (bool, error) { return st.equal(x, y) })
}

func (st *state) equalViews(a, b *dictView) (bool, error) {
	if len(a.dict.entries) != len(b.dict.entries) {
		return false, nil
	}
	if a.kind == keysView {
		return st.contains(b.dict, a.dict, func(Value, Value) (bool, error) { return true, nil })
	}
	return st.equalDicts(a.dict, b.dict)
}

// contains tells whether every key of part is in whole with a value that same accepts.
func (st *state) contains(whole, part *dictValue, same func(a, b Value) (bool, error)) (bool, error) {
	if err := st.enter(1); err != nil {
		return false, err
	}
	defer st.leave(1)
	for _, e := range part.entries {
		if err := st.step(); err != nil {
			return false, err
		}
		v, ok, err := whole.lookup(&st.meter, e.key)
		if !ok || err != nil {
			return false, err
		}
		if ok, err := same(v, e.value); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// order is Python's comparison of two values for <, <=, > and >=; op names it in the error.
// ok is false where one side is NaN, which is neither less nor greater.
func (st *state) order(op string, a, b Value) (order int, ok bool, err error) {
	if isNumber(a) && isNumber(b) {
		order, ok = compareNumbers(a, b)
		return order, ok, nil
	}
	if s, isText := asText(a); isText {
		if t, isText := asText(b); isText {
			return strings.Compare(s, t), true, st.scan(min(len(s), len(t)))
		}
	}
	switch x := a.(type) {
	case *listValue:
		if y, ok := b.(*listValue); ok {
			return st.orderItems(op, x.items, y.items)
		}
	case *tupleValue:
		if y, ok := b.(*tupleValue); ok {
			return st.orderItems(op, x.items, y.items)
		}
	}
	for _, v := range []Value{a, b} {
		if u, ok := v.(*undefinedValue); ok {
			return 0, false, u.fail()
		}
	}
	return 0, false, typeError("'%s' not supported between instances of '%s' and '%s'", op, a.typeName(), b.typeName())
}

// orderItems compares at the first place where the sequences differ.
func (st *state) orderItems(op string, a, b []Value) (int, bool, error) {
	if err := st.enter(1); err != nil {
		return 0, false, err
	}
	defer st.leave(1)
	for i := range min(len(a), len(b)) {
		if err := st.step(); err != nil {
			return 0, false, err
		}
		same, err := st.equal(a[i], b[i])
		if err != nil {
			return 0, false, err
		}
		if !same {
			return st.order(op, a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b)), true, nil
}

// comparisons are the operators between two values.
var comparisons = map[string]func(st *state, a, b Value) (bool, error){
	"==":     func(st *state, a, b Value) (bool, error) { return st.equal(a, b) },
	"!=":     func(st *state, a, b Value) (bool, error) { same, err := st.equal(a, b); return !same, err },
	"<":      ordered("<", func(order int) bool { return order < 0 }),
	"<=":     ordered("<=", func(order int) bool { return order <= 0 }),
	">":      ordered(">", func(order int) bool { return order > 0 }),
	">=":     ordered(">=", func(order int) bool { return order >= 0 }),
	"in":     func(st *state, a, b Value) (bool, error) { return st.in(a, b) },
	"not in": func(st *state, a, b Value) (bool, error) { found, err := st.in(a, b); return !found, err },
}

func ordered(op string, accept func(int) bool) func(*state, Value, Value) (bool, error) {
	return func(st *state, a, b Value) (bool, error) {
		order, ok, err := st.order(op, a, b)
		return ok && accept(order), err
	}
}

// in is Python's item in container.
func (st *state) in(item, container Value) (bool, error) {
	switch c := container.(type) {
	case strValue, markupValue:
		s, _ := asText(c)
		part, ok := asText(item)
		if !ok {
			return false, typeError("'in <string>' requires string as left operand, not %s", item.typeName())
		}
		return strings.Contains(s, part), st.scan(len(s))
	case *dictValue:
		_, found, err := c.lookup(&st.meter, item)
		return found, err
	case *dictView:
		if c.kind == keysView {
			_, found, err := c.dict.lookup(&st.meter, item)
			return found, err
		}
	case *rangeValue:
		if i, big, ok := asInt(item); ok {
			return !big && c.position(i) >= 0, nil
		}
	}
	return st.inItems(item, container)
}

func (st *state) inItems(item, container Value) (bool, error) {
	it, err := iterate(container)
	if err != nil {
		return false, typeError("argument of type '%s' is not iterable", container.typeName())
	}
	for {
		if err := st.step(); err != nil {
			return false, err
		}
		v, err := it.next(st)
		if v == nil || err != nil {
			return false, err
		}
		if same, err := st.equal(v, item); same || err != nil {
			return same, err
		}
	}
}
