package template

// sliceValue only stands for a slice in messages; templates cannot hold one.
type sliceValue struct{}

func (*sliceValue) typeName() string { return "slice" }

func (*sliceExpr) eval(*state) (Value, error) { return &sliceValue{}, nil }

// apply is object[start:stop:step].
func (e *sliceExpr) apply(st *state, object Value) (Value, error) {
	var bounds [3]Value
	for i, part := range []expr{e.start, e.stop, e.step} {
		if part == nil {
			continue
		}
		v, err := part.eval(st)
		if err != nil {
			return nil, err
		}
		if v != None {
			bounds[i] = v
		}
	}
	switch o := object.(type) {
	case *listValue:
		items, err := st.sliceItems(o.items, bounds)
		return &listValue{items: items}, err
	case *tupleValue:
		items, err := st.sliceItems(o.items, bounds)
		return &tupleValue{items: items}, err
	case strValue, markupValue:
		return st.sliceText(o, bounds)
	case *rangeValue:
		start, stop, step, err := sliceBounds(bounds, int(o.len()))
		if err != nil {
			return nil, err
		}
		return &rangeValue{o.start + int64(start)*o.step, o.start + int64(stop)*o.step, o.step * int64(step)}, nil
	case *dictValue:
		return nil, typeError("unhashable type: 'slice'")
	case *undefinedValue:
		return nil, o.fail()
	}
	return nil, typeError("'%s' object is not subscriptable", object.typeName())
}

// sliceBounds resolves the bounds of a slice of n elements as Python does: start <= i < stop for positive steps,
// start >= i > stop for negative ones, where stop may be -1.
func sliceBounds(bounds [3]Value, n int) (start, stop, step int, err error) {
	step = 1
	if bounds[2] != nil {
		if step, err = sliceIndex(bounds[2]); err != nil {
			return 0, 0, 0, err
		}
		if step == 0 {
			return 0, 0, 0, fail(ValueError, "slice step cannot be zero")
		}
		step = max(step, -n-1) // far enough to end after one element, and free of overflow
		step = min(step, n+1)
	}
	low, high := 0, n
	start, stop = 0, n
	if step < 0 {
		low, high = -1, n-1
		start, stop = n-1, -1
	}
	for i, bound := range []*int{&start, &stop} {
		if bounds[i] == nil {
			continue
		}
		at, err := sliceIndex(bounds[i])
		if err != nil {
			return 0, 0, 0, err
		}
		if at < 0 {
			at = max(at+n, low)
		}
		*bound = min(at, high)
	}
	return start, stop, step, nil
}

func sliceIndex(v Value) (int, error) {
	i, ok := index(v)
	if !ok {
		return 0, typeError("slice indices must be integers or None or have an __index__ method")
	}
	return i, nil
}

// sliceCount is the number of elements that the bounds select.
func sliceCount(start, stop, step int) int {
	if step > 0 {
		return max(0, (stop-start+step-1)/step)
	}
	return max(0, (start-stop-step-1)/-step)
}

func (st *state) sliceItems(items []Value, bounds [3]Value) ([]Value, error) {
	start, stop, step, err := sliceBounds(bounds, len(items))
	if err != nil {
		return nil, err
	}
	n := sliceCount(start, stop, step)
	if n == 0 {
		return nil, nil
	}
	if step == 1 {
		return items[start : start+n : start+n], nil // lists never change, so they can share their elements
	}
	if err := st.items(n); err != nil {
		return nil, err
	}
	picked := make([]Value, n)
	for i := range picked {
		picked[i] = items[start+i*step]
	}
	return picked, nil
}

func (st *state) sliceText(v Value, bounds [3]Value) (Value, error) {
	s, _ := asText(v)
	n, err := st.runeCount(s)
	if err != nil {
		return nil, err
	}
	start, stop, step, err := sliceBounds(bounds, n)
	if err != nil {
		return nil, err
	}
	count := sliceCount(start, stop, step)
	if count == 0 {
		return like(v, ""), nil
	}
	if step == 1 {
		if n == len(s) { // ASCII
			return like(v, s[start:start+count]), nil
		}
		from := runeOffset(s, start)
		return like(v, s[from:from+runeOffset(s[from:], count)]), nil
	}
	if err := st.text(4 * n); err != nil {
		return nil, err
	}
	runes := []rune(s)
	picked := make([]rune, count)
	for i := range picked {
		picked[i] = runes[start+i*step]
	}
	return like(v, string(picked)), nil
}

// runeOffset is the number of bytes of the first n characters.
func runeOffset(s string, n int) int {
	for at := range s {
		if n == 0 {
			return at
		}
		n--
	}
	return len(s)
}
