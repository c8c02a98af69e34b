package template

// allTests lists the tests of Jinja 3.
func allTests() map[string]*function {
	table := map[string]*function{}
	for _, group := range [][]*function{typeTests, valueTests, comparisonTests()} {
		for _, f := range group {
			table[f.name] = f
		}
	}
	return table
}

// kindTest is a test of what a value is.
func kindTest(name string, is func(v Value) bool) *function {
	return builtin(name, "/", func(_ *state, self Value, _ args) (Value, error) { return boolValue(is(self)), nil })
}

func isUndefined(v Value) bool {
	_, ok := v.(*undefinedValue)
	return ok
}

var typeTests = []*function{
	kindTest("undefined", isUndefined),
	kindTest("defined", func(v Value) bool { return !isUndefined(v) }),
	kindTest("none", func(v Value) bool { return v == None }),
	kindTest("boolean", func(v Value) bool { _, ok := v.(boolValue); return ok }),
	kindTest("true", func(v Value) bool { return v == boolValue(true) }),
	kindTest("false", func(v Value) bool { return v == boolValue(false) }),
	kindTest("integer", func(v Value) bool {
		_, isBool := v.(boolValue)
		return isIntegral(v) && !isBool
	}),
	kindTest("float", func(v Value) bool { _, ok := v.(floatValue); return ok }),
	kindTest("number", isNumber),
	kindTest("string", func(v Value) bool { _, ok := asText(v); return ok }),
	kindTest("escaped", isMarkup),
	kindTest("mapping", func(v Value) bool { _, ok := v.(*dictValue); return ok }),
	kindTest("iterable", func(v Value) bool { _, err := iterate(v); return err == nil }),
	kindTest("sequence", isSequence),
	kindTest("callable", isCallable),
}

// isSequence tells whether Python finds a length and item access, which dicts and undefined values have too.
func isSequence(v Value) bool {
	switch v.(type) {
	case strValue, markupValue, *listValue, *tupleValue, *dictValue, *rangeValue, *undefinedValue:
		return true
	}
	return false
}

func isCallable(v Value) bool {
	switch v.(type) {
	case *boundMethod, *dictType, *macroValue, *loopValue, *joinerValue, *blockRef, *undefinedValue:
		return true
	}
	return false
}

var valueTests = []*function{
	builtin("odd", "", remainderTest(2, 1)),
	builtin("even", "", remainderTest(2, 0)),
	builtin("divisibleby", "num", func(st *state, self Value, a args) (Value, error) {
		return st.leaves(self, a.values[0], intValue(0))
	}),
	builtin("lower", "", textTest(isLowerText)),
	builtin("upper", "", textTest(isUpperText)),
	builtin("sameas", "other", func(_ *state, self Value, a args) (Value, error) {
		return boolValue(sameObject(self, a.values[0])), nil
	}),
	builtin("in", "seq", func(st *state, self Value, a args) (Value, error) {
		found, err := st.in(self, a.values[0])
		return boolValue(found), err
	}),
	builtin("filter", "", func(st *state, self Value, _ args) (Value, error) { return st.isNamed(st.env.filters, self) }),
	builtin("test", "", func(st *state, self Value, _ args) (Value, error) { return st.isNamed(st.env.tests, self) }),
}

func (st *state) isNamed(table map[string]*function, v Value) (Value, error) {
	if _, err := hashKey(&st.meter, v); err != nil {
		return nil, err
	}
	name, _ := asText(v)
	return boolValue(table[name] != nil), nil
}

func remainderTest(divisor, remainder int64) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, _ args) (Value, error) {
		return st.leaves(self, intValue(divisor), intValue(remainder))
	}
}

// leaves tells whether v % divisor is remainder.
func (st *state) leaves(v, divisor, remainder Value) (Value, error) {
	r, err := st.arithmetic("%", v, divisor)
	if err != nil {
		return nil, err
	}
	same, err := st.equal(r, remainder)
	return boolValue(same), err
}

func textTest(is func(string) bool) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, _ args) (Value, error) {
		s, err := st.str(self)
		return boolValue(is(s)), err
	}
}

// sameObject is Python's "is". Small integers and short texts are usually the same object there when they are equal.
func sameObject(a, b Value) bool {
	if a.typeName() != b.typeName() {
		return false
	}
	switch x := a.(type) {
	case bigValue, floatValue, markupValue:
		return false
	case intValue:
		return a == b && x >= -5 && x <= 256
	}
	return a == b
}

// comparisonTests are the operators under their names.
func comparisonTests() []*function {
	var list []*function
	for op, names := range map[string][]string{
		"==": {"==", "eq", "equalto"}, "!=": {"!=", "ne"},
		"<": {"<", "lt", "lessthan"}, "<=": {"<=", "le"},
		">": {">", "gt", "greaterthan"}, ">=": {">=", "ge"},
	} {
		for _, name := range names {
			list = append(list, builtin(name, "other /", func(st *state, self Value, a args) (Value, error) {
				holds, err := comparisons[op](st, self, a.values[0])
				return boolValue(holds), err
			}))
		}
	}
	return list
}
