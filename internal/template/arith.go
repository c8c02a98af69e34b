package template

import (
	"math"
	"math/big"
	"strings"
)

type operator string

// binaryOperators holds the arithmetic of numbers; add, mul and mod know sequences and text as well.
var binaryOperators = map[operator]struct {
	integers func(a, b *big.Int) (Value, error)
	floats   func(a, b float64) (Value, error)
}{
	"+":  {func(a, b *big.Int) (Value, error) { return newInt(new(big.Int).Add(a, b)) }, func(a, b float64) (Value, error) { return floatValue(a + b), nil }},
	"-":  {func(a, b *big.Int) (Value, error) { return newInt(new(big.Int).Sub(a, b)) }, func(a, b float64) (Value, error) { return floatValue(a - b), nil }},
	"*":  {func(a, b *big.Int) (Value, error) { return newInt(new(big.Int).Mul(a, b)) }, func(a, b float64) (Value, error) { return floatValue(a * b), nil }},
	"/":  {divideInts, divideFloats},
	"//": {floorDivideInts, floorDivideFloats},
	"%":  {moduloInts, moduloFloats},
	"**": {powerInts, powerFloats},
}

// arithmetic is a binary operator applied to two values.
func (st *state) arithmetic(op operator, a, b Value) (Value, error) {
	if x, ok := a.(intValue); ok {
		if y, ok := b.(intValue); ok {
			if v, ok := smallInts(op, int64(x), int64(y)); ok {
				return v, nil
			}
		}
	}
	if isNumber(a) && isNumber(b) {
		return numeric(op, a, b)
	}
	if sequences := sequenceOperators[op]; sequences != nil {
		if v, err := sequences(st, a, b); v != nil || err != nil {
			return v, err
		}
	}
	for _, v := range []Value{a, b} {
		if u, ok := v.(*undefinedValue); ok {
			return nil, u.fail()
		}
	}
	name := string(op)
	if op == "**" {
		name = "** or pow()"
	}
	return nil, typeError("unsupported operand type(s) for %s: '%s' and '%s'", name, a.typeName(), b.typeName())
}

// smallInts is the common case; ok is false where the result may not fit.
func smallInts(op operator, a, b int64) (Value, bool) {
	const half = 1 << 31
	if a <= -half || a >= half || b <= -half || b >= half {
		return nil, false
	}
	switch op {
	case "+":
		return intValue(a + b), true
	case "-":
		return intValue(a - b), true
	case "*":
		return intValue(a * b), true
	case "%":
		if b > 0 {
			return intValue((a%b + b) % b), true
		}
	}
	return nil, false
}

func numeric(op operator, a, b Value) (Value, error) {
	row := binaryOperators[op]
	if isIntegral(a) && isIntegral(b) {
		return row.integers(mustInt(a), mustInt(b))
	}
	x, err := asFloat(a)
	if err != nil {
		return nil, err
	}
	y, err := asFloat(b)
	if err != nil {
		return nil, err
	}
	return row.floats(x, y)
}

func divideInts(a, b *big.Int) (Value, error) {
	if b.Sign() == 0 {
		return nil, fail(ZeroDivisionError, "division by zero")
	}
	if a.Sign() == 0 && b.Sign() < 0 {
		return floatValue(math.Copysign(0, -1)), nil
	}
	f, _ := new(big.Rat).SetFrac(a, b).Float64() // correctly rounded, as in Python
	if math.IsInf(f, 0) {
		return nil, fail(OverflowError, "integer division result too large for a float")
	}
	return floatValue(f), nil
}

func divideFloats(a, b float64) (Value, error) {
	if b == 0 {
		return nil, fail(ZeroDivisionError, "float division by zero")
	}
	return floatValue(a / b), nil
}

func floorDivideInts(a, b *big.Int) (Value, error) {
	if b.Sign() == 0 {
		return nil, fail(ZeroDivisionError, "integer division or modulo by zero")
	}
	q, _ := floorDivMod(a, b)
	return newInt(q)
}

func moduloInts(a, b *big.Int) (Value, error) {
	if b.Sign() == 0 {
		return nil, fail(ZeroDivisionError, "integer modulo by zero")
	}
	_, r := floorDivMod(a, b)
	return newInt(r)
}

// floorDivMod rounds down; Go's own operators round towards zero.
func floorDivMod(a, b *big.Int) (q, r *big.Int) {
	q, r = new(big.Int).QuoRem(a, b, new(big.Int))
	if r.Sign() != 0 && r.Sign() != b.Sign() {
		q.Sub(q, big.NewInt(1))
		r.Add(r, b)
	}
	return q, r
}

func floorDivideFloats(a, b float64) (Value, error) {
	if b == 0 {
		return nil, fail(ZeroDivisionError, "float floor division by zero")
	}
	q, _ := floatDivMod(a, b)
	return floatValue(q), nil
}

func moduloFloats(a, b float64) (Value, error) {
	if b == 0 {
		return nil, fail(ZeroDivisionError, "float modulo")
	}
	_, r := floatDivMod(a, b)
	return floatValue(r), nil
}

// floatDivMod gives a remainder with the sign of b and the quotient rounded to the integer that fits it.
func floatDivMod(a, b float64) (q, r float64) {
	r = math.Mod(a, b)
	q = (a - r) / b
	if r != 0 {
		if (b < 0) != (r < 0) {
			r += b
			q--
		}
	} else {
		r = math.Copysign(0, b)
	}
	if q == 0 {
		return math.Copysign(0, a/b), r
	}
	floor := math.Floor(q)
	if q-floor > 0.5 {
		floor++
	}
	return floor, r
}

func powerInts(a, b *big.Int) (Value, error) {
	if b.Sign() < 0 {
		x, _ := new(big.Float).SetInt(a).Float64()
		y, _ := new(big.Float).SetInt(b).Float64()
		return powerFloats(x, y)
	}
	if a.BitLen() > 1 && (!b.IsInt64() || b.Int64() > maxIntBits || int64(a.BitLen()-1)*b.Int64() > maxIntBits) {
		return nil, &LimitError{"digits", maxIntBits}
	}
	if a.BitLen() <= 1 && b.BitLen() > 1 { // -1, 0 and 1: only the parity of the exponent counts
		b = big.NewInt(2 - int64(b.Bit(0)))
	}
	return newInt(new(big.Int).Exp(a, b, nil))
}

func powerFloats(a, b float64) (Value, error) {
	if a == 0 && b < 0 {
		return nil, fail(ZeroDivisionError, "0.0 cannot be raised to a negative power")
	}
	if a < 0 && b != math.Trunc(b) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		return nil, fail(NotImplemented, "complex numbers are not supported")
	}
	f := math.Pow(a, b)
	if math.IsInf(f, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		return nil, fail(OverflowError, "(34, 'Numerical result out of range')")
	}
	return floatValue(f), nil
}

// sequenceOperators are the operators that text, lists and tuples know. They return nil for operands that are none.
var sequenceOperators = map[operator]func(st *state, a, b Value) (Value, error){
	"+": concatenate,
	"*": repeat,
	"%": percentFormat,
}

// concatenate joins two strings, two lists or two tuples.
func concatenate(st *state, a, b Value) (Value, error) {
	switch x := a.(type) {
	case strValue:
		if y, ok := b.(strValue); ok {
			if err := st.text(len(x) + len(y)); err != nil {
				return nil, err
			}
			return x + y, nil
		}
	case *listValue:
		if y, ok := b.(*listValue); ok {
			items, err := st.joinItems(x.items, y.items)
			return &listValue{items: items}, err
		}
	case *tupleValue:
		if y, ok := b.(*tupleValue); ok {
			items, err := st.joinItems(x.items, y.items)
			return &tupleValue{items: items}, err
		}
	}
	if isUndefined(b) {
		return nil, nil
	}
	if _, ok := b.(markupValue); ok || isMarkup(a) {
		return st.concatenateMarkup(a, b)
	}
	switch a.(type) {
	case strValue:
		return nil, typeError(`can only concatenate str (not "%s") to str`, b.typeName())
	case *listValue, *tupleValue:
		return nil, typeError(`can only concatenate %s (not "%s") to %[1]s`, a.typeName(), b.typeName())
	}
	return nil, nil
}

func (st *state) joinItems(a, b []Value) ([]Value, error) {
	if err := st.items(len(a) + len(b)); err != nil {
		return nil, err
	}
	return append(append(make([]Value, 0, len(a)+len(b)), a...), b...), nil
}

// repeat is a sequence times an int, in either order.
func repeat(st *state, a, b Value) (Value, error) {
	if isIntegral(a) {
		a, b = b, a
	}
	count, ok := index(b)
	if !ok {
		if isUndefined(b) {
			return nil, nil
		}
		switch a.(type) {
		case strValue, markupValue, *listValue, *tupleValue:
			return nil, typeError("can't multiply sequence by non-int of type '%s'", b.typeName())
		}
		return nil, nil
	}
	count = max(count, 0)
	switch x := a.(type) {
	case strValue, markupValue:
		s, _ := asText(x)
		if len(s) > 0 && count > st.limits.Output/len(s) {
			return nil, &LimitError{"output", int64(st.limits.Output)}
		}
		if err := st.text(len(s) * count); err != nil {
			return nil, err
		}
		return like(a, strings.Repeat(s, count)), nil
	case *listValue:
		items, err := st.repeatItems(x.items, count)
		return &listValue{items: items}, err
	case *tupleValue:
		items, err := st.repeatItems(x.items, count)
		return &tupleValue{items: items}, err
	}
	return nil, nil
}

func (st *state) repeatItems(items []Value, count int) ([]Value, error) {
	if len(items) == 0 || count == 0 {
		return nil, nil
	}
	if int64(count) > st.limits.Memory/int64(len(items)) {
		return nil, &LimitError{"memory", st.limits.Memory}
	}
	if err := st.items(len(items) * count); err != nil {
		return nil, err
	}
	repeated := make([]Value, 0, len(items)*count)
	for range count {
		repeated = append(repeated, items...)
	}
	return repeated, nil
}
