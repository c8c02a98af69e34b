package template

import (
	"math"
	"math/big"
)

// asInt returns the value of an int or bool as int64; ok is false for other types, big for what does not fit.
func asInt(v Value) (i int64, big, ok bool) {
	switch v := v.(type) {
	case intValue:
		return int64(v), false, true
	case boolValue:
		if v {
			return 1, false, true
		}
		return 0, false, true
	case bigValue:
		return 0, true, true
	}
	return 0, false, false
}

// mustInt widens an int or bool.
func mustInt(v Value) *big.Int {
	if b, ok := v.(bigValue); ok {
		return b.Int
	}
	i, _, _ := asInt(v)
	return big.NewInt(i)
}

func isIntegral(v Value) bool {
	_, _, ok := asInt(v)
	return ok
}

func isNumber(v Value) bool {
	_, isFloat := v.(floatValue)
	return isFloat || isIntegral(v)
}

// newInt makes an int of any size, within maxIntBits.
func newInt(b *big.Int) (Value, error) {
	if b.IsInt64() {
		return intValue(b.Int64()), nil
	}
	if b.BitLen() > maxIntBits {
		return nil, &LimitError{"digits", maxIntBits}
	}
	return bigValue{b}, nil
}

// asFloat is the conversion of arithmetic: ints beyond the range of float are an error.
func asFloat(v Value) (float64, error) {
	switch v := v.(type) {
	case floatValue:
		return float64(v), nil
	case bigValue:
		f, _ := new(big.Float).SetInt(v.Int).Float64()
		if math.IsInf(f, 0) {
			return 0, fail(OverflowError, "int too large to convert to float")
		}
		return f, nil
	}
	i, _, _ := asInt(v)
	return float64(i), nil
}

// index converts an int or bool to a Go int, clamping what is out of range, as slicing does.
func index(v Value) (int, bool) {
	i, isBig, ok := asInt(v)
	if !ok {
		return 0, false
	}
	if isBig {
		if v.(bigValue).Sign() < 0 {
			return math.MinInt, true
		}
		return math.MaxInt, true
	}
	return int(i), true
}

// intArg reads an argument that must be an int.
func intArg(v Value) (int, error) {
	i, ok := index(v)
	if !ok {
		return 0, typeError("'%s' object cannot be interpreted as an integer", v.typeName())
	}
	return i, nil
}

// negate, posit and absolute are the unary operators.
func negate(v Value) (Value, error) {
	switch v := v.(type) {
	case intValue:
		if v != math.MinInt64 {
			return -v, nil
		}
		return newInt(new(big.Int).Neg(mustInt(v)))
	case boolValue, bigValue:
		return newInt(new(big.Int).Neg(mustInt(v)))
	case floatValue:
		return -v, nil
	case *undefinedValue:
		return nil, v.fail()
	}
	return nil, typeError("bad operand type for unary -: '%s'", v.typeName())
}

func posit(v Value) (Value, error) {
	switch v := v.(type) {
	case intValue, bigValue, floatValue:
		return v, nil
	case boolValue:
		return newInt(mustInt(v))
	case *undefinedValue:
		return nil, v.fail()
	}
	return nil, typeError("bad operand type for unary +: '%s'", v.typeName())
}

func absolute(v Value) (Value, error) {
	switch v := v.(type) {
	case intValue, boolValue, bigValue:
		return newInt(new(big.Int).Abs(mustInt(v)))
	case floatValue:
		return floatValue(math.Abs(float64(v))), nil
	}
	return nil, typeError("bad operand type for abs(): '%s'", v.typeName())
}

// compareNumbers orders two numbers exactly, an int against a float too; ok is false when one is NaN.
func compareNumbers(a, b Value) (order int, ok bool) {
	x, xBig, xInt := asInt(a)
	y, yBig, yInt := asInt(b)
	switch {
	case xInt && yInt && !xBig && !yBig:
		switch {
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	case xInt && yInt:
		return mustInt(a).Cmp(mustInt(b)), true
	case xInt:
		order, ok = compareFloatInt(float64(b.(floatValue)), mustInt(a))
		return -order, ok
	case yInt:
		return compareFloatInt(float64(a.(floatValue)), mustInt(b))
	}
	f, g := float64(a.(floatValue)), float64(b.(floatValue))
	switch {
	case f < g:
		return -1, true
	case f > g:
		return 1, true
	}
	return 0, f == g
}

func compareFloatInt(f float64, i *big.Int) (int, bool) {
	switch {
	case math.IsNaN(f):
		return 0, false
	case math.IsInf(f, 0):
		return int(math.Copysign(1, f)), true
	}
	exact := new(big.Float).SetPrec(max(64, uint(i.BitLen()))).SetInt(i)
	return new(big.Float).SetFloat64(f).Cmp(exact), true
}

// truncate is int(f).
func truncate(f float64) (Value, error) {
	switch {
	case math.IsNaN(f):
		return nil, fail(ValueError, "cannot convert float NaN to integer")
	case math.IsInf(f, 0):
		return nil, fail(OverflowError, "cannot convert float infinity to integer")
	}
	b, _ := new(big.Float).SetFloat64(f).Int(nil)
	return newInt(b)
}
