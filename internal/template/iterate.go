package template

import "unicode/utf8"

// iterator yields values one by one; a nil Value without error is the end.
type iterator interface {
	next(st *state) (Value, error)
}

// iterValue is an iterator that a template holds: a generator, or what reversed() returns. It can be run through once.
type iterValue struct {
	iterator
	class string
	depth int // of generators feeding on generators
}

func (v *iterValue) typeName() string { return v.class }

// newGenerator wraps the steps of a lazy filter. Chains of generators are kept short enough for the stack.
func newGenerator(st *state, source Value, it iterator) (Value, error) {
	depth := 1
	if g, ok := source.(*iterValue); ok {
		depth = g.depth + 1
	}
	if depth > st.limits.Depth {
		return nil, &LimitError{"depth", int64(st.limits.Depth)}
	}
	return &iterValue{iterator: it, class: "generator", depth: depth}, nil
}

// generatorFunc is a generator written as a function.
type generatorFunc func(st *state) (Value, error)

func (f generatorFunc) next(st *state) (Value, error) { return f(st) }

type itemsIter struct {
	items []Value
	at    int
}

func (it *itemsIter) next(*state) (Value, error) {
	if it.at >= len(it.items) {
		return nil, nil
	}
	v := it.items[it.at]
	it.at++
	return v, nil
}

// indexIter yields at(0), at(1), ..., or in reverse.
type indexIter struct {
	at       func(i int) Value
	pos, end int
	step     int
}

func (it *indexIter) next(*state) (Value, error) {
	if it.pos == it.end {
		return nil, nil
	}
	v := it.at(it.pos)
	it.pos += it.step
	return v, nil
}

type runeIter struct {
	model Value // gives the class of the characters
	rest  string
}

func (it *runeIter) next(*state) (Value, error) {
	if it.rest == "" {
		return nil, nil
	}
	_, n := utf8.DecodeRuneInString(it.rest)
	c := it.rest[:n]
	it.rest = it.rest[n:]
	return like(it.model, c), nil
}

// iterate is Python's iter(v).
func iterate(v Value) (iterator, error) {
	switch v := v.(type) {
	case *listValue:
		return &itemsIter{items: v.items}, nil
	case *tupleValue:
		return &itemsIter{items: v.items}, nil
	case strValue:
		return &runeIter{model: v, rest: string(v)}, nil
	case markupValue:
		return &runeIter{model: strValue(""), rest: string(v)}, nil
	case *dictValue:
		return iterate(&dictView{dict: v})
	case *dictView:
		return &indexIter{at: v.at, end: len(v.dict.entries), step: 1}, nil
	case *rangeValue:
		return &indexIter{at: v.at, end: int(v.len()), step: 1}, nil
	case *undefinedValue:
		return &itemsIter{}, nil
	case *iterValue:
		return v.iterator, nil
	case *loopValue:
		return generatorFunc(func(st *state) (Value, error) {
			item, err := v.next(st)
			if item != nil {
				item = &tupleValue{items: []Value{item, v}}
			}
			return item, err
		}), nil
	}
	return nil, typeError("'%s' object is not iterable", v.typeName())
}

// iterateBack is Python's reversed(v).
func iterateBack(v Value) (iterator, error) {
	var at func(i int) Value
	var n int
	switch v := v.(type) {
	case *listValue:
		at, n = func(i int) Value { return v.items[i] }, len(v.items)
	case *tupleValue:
		at, n = func(i int) Value { return v.items[i] }, len(v.items)
	case strValue, markupValue:
		s, _ := asText(v)
		runes := []rune(s)
		at, n = func(i int) Value { return like(v, string(runes[i])) }, len(runes)
	case *dictValue:
		return iterateBack(&dictView{dict: v})
	case *dictView:
		at, n = v.at, len(v.dict.entries)
	case *rangeValue:
		at, n = v.at, int(v.len())
	case *undefinedValue:
		return &itemsIter{}, nil
	default:
		return nil, typeError("'%s' object is not reversible", v.typeName())
	}
	return &indexIter{at: at, pos: n - 1, end: -1, step: -1}, nil
}

// forEach calls f for every element of v and counts a step for each.
func (st *state) forEach(v Value, f func(item Value) error) error {
	it, err := iterate(v)
	if err != nil {
		return err
	}
	for {
		if err := st.step(); err != nil {
			return err
		}
		item, err := it.next(st)
		if err != nil || item == nil {
			return err
		}
		if err := f(item); err != nil {
			return err
		}
	}
}

// collect is Python's list(v). The caller must not change the result, which may be v's own.
func (st *state) collect(v Value) ([]Value, error) {
	switch v := v.(type) {
	case *listValue:
		return v.items, nil
	case *tupleValue:
		return v.items, nil
	}
	var items []Value
	err := st.forEach(v, func(item Value) error {
		items = append(items, item)
		return st.items(1)
	})
	return items, err
}

// length is Python's len(v).
func (st *state) length(v Value) (int, error) {
	switch v := v.(type) {
	case strValue:
		return st.runeCount(string(v))
	case markupValue:
		return st.runeCount(string(v))
	case *listValue:
		return len(v.items), nil
	case *tupleValue:
		return len(v.items), nil
	case *dictValue:
		return len(v.entries), nil
	case *dictView:
		return len(v.dict.entries), nil
	case *rangeValue:
		return int(v.len()), nil
	case *undefinedValue:
		return 0, nil
	case *loopValue:
		return v.length(st)
	}
	return 0, typeError("object of type '%s' has no len()", v.typeName())
}

func (st *state) runeCount(s string) (int, error) {
	return utf8.RuneCountInString(s), st.scan(len(s))
}

// rangeValue is Python's range: a sequence that is never written out.
type rangeValue struct{ start, stop, step int64 }

func (*rangeValue) typeName() string { return "range" }

func (r *rangeValue) len() int64 {
	// Unsigned differences cannot overflow where start and stop are far apart.
	switch {
	case r.step > 0 && r.start < r.stop:
		return int64((uint64(r.stop)-uint64(r.start)-1)/uint64(r.step)) + 1
	case r.step < 0 && r.start > r.stop:
		return int64((uint64(r.start)-uint64(r.stop)-1)/-uint64(r.step)) + 1
	}
	return 0
}

func (r *rangeValue) at(i int) Value { return intValue(r.start + int64(i)*r.step) }

// position returns the index of n in the range, or -1.
func (r *rangeValue) position(n int64) int64 {
	inside := r.step > 0 && n >= r.start && n < r.stop || r.step < 0 && n <= r.start && n > r.stop
	if !inside || (n-r.start)%r.step != 0 {
		return -1
	}
	return (n - r.start) / r.step
}

// newRange is jinja2.sandbox.safe_range.
func newRange(start, stop, step int64) (*rangeValue, error) {
	if step == 0 {
		return nil, fail(ValueError, "range() arg 3 must not be zero")
	}
	r := &rangeValue{start, stop, step}
	// A length that overflowed int64 is negative.
	if n := r.len(); n < 0 || n > maxRange {
		return nil, fail(OverflowError, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", maxRange)
	}
	return r, nil
}
