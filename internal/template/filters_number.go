package template

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

var numberFilters = []*function{
	builtin("abs", "/", func(_ *state, self Value, _ args) (Value, error) { return absolute(self) }),
	builtin("int", "default? base?", intFilter),
	builtin("float", "default?", floatFilter),
	builtin("round", "precision? method?", roundFilter),
	builtin("filesizeformat", "binary?", filesizeFilter),
}

// parseInt is Python's int(text, base).
func parseInt(s string, base int) (Value, error) {
	invalid := fail(ValueError, "invalid literal for int() with base %d: %s", base, quoteShort(s))
	if base != 0 && (base < 2 || base > 36) {
		return nil, fail(ValueError, "int() base must be >= 2 and <= 36, or 0")
	}
	digits := asciiDigits(strings.TrimFunc(s, isSpace))
	sign := ""
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		sign, digits = digits[:1], digits[1:]
	}
	if len(digits) > maxIntText {
		return nil, fail(ValueError, "Exceeds the limit (%d digits) for integer string conversion", maxIntText)
	}
	if len(digits) > 1 && digits[0] == '0' {
		prefixed := map[byte]int{'b': 2, 'o': 8, 'x': 16}[digits[1]|0x20]
		switch {
		case prefixed != 0 && (base == 0 || base == prefixed):
			base = prefixed
			digits = strings.TrimPrefix(digits[2:], "_")
		case base == 0 && strings.Trim(digits, "0_") != "":
			return nil, invalid
		}
	}
	if base == 0 {
		base = 10
	}
	if digits == "" || strings.HasPrefix(digits, "_") || strings.HasSuffix(digits, "_") || strings.Contains(digits, "__") ||
		strings.ContainsAny(digits, "+-") {
		return nil, invalid
	}
	i, ok := new(big.Int).SetString(sign+strings.ReplaceAll(digits, "_", ""), base)
	if !ok {
		return nil, invalid
	}
	return newInt(i)
}

func quoteShort(s string) string {
	if len(s) > 100 {
		s = s[:runeOffset(s, 100)] + "..."
	}
	return quote(s)
}

// asciiDigits replaces the decimal digits of other scripts, which Python's numbers accept.
func asciiDigits(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < 0x80 || !unicode.Is(unicode.Nd, r) {
			return r
		}
		zero := r // digits come in rows of ten, which start with a zero
		for unicode.Is(unicode.Nd, zero-1) {
			zero--
		}
		return '0' + (r-zero)%10
	}, s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// parseFloat is Python's float(text).
func parseFloat(s string) (float64, error) {
	invalid := fail(ValueError, "could not convert string to float: %s", quoteShort(s))
	text := asciiDigits(strings.TrimFunc(s, isSpace))
	unsigned := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+"))
	switch {
	case len(text)-len(unsigned) > 1:
		return 0, invalid
	case unsigned == "nan":
		return math.NaN(), nil
	case unsigned == "inf" || unsigned == "infinity":
		return math.Inf(1 - 2*strings.Count(text[:1], "-")), nil
	}
	for i, c := range []byte(unsigned) {
		isDigit := func(at int) bool { return at >= 0 && at < len(unsigned) && unsigned[at] >= '0' && unsigned[at] <= '9' }
		if c == '_' && !(isDigit(i-1) && isDigit(i+1)) || strings.IndexByte("0123456789_.e+-", c) < 0 {
			return 0, invalid
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, invalid
	}
	return f, nil
}

// toFloat is Python's float(v).
func (st *state) toFloat(v Value) (float64, error) {
	if s, ok := asText(v); ok {
		if err := st.scan(len(s)); err != nil {
			return 0, err
		}
		return parseFloat(s)
	}
	if u, ok := v.(*undefinedValue); ok {
		return 0, u.fail()
	}
	if !isNumber(v) {
		return 0, typeError("float() argument must be a string or a real number, not '%s'", v.typeName())
	}
	return asFloat(v)
}

// isKind tells whether an error stands for one of the given exceptions.
func isKind(err error, kinds ...ErrorKind) bool {
	e, ok := err.(*RenderError)
	if !ok {
		return false
	}
	for _, kind := range kinds {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

func floatFilter(st *state, self Value, a args) (Value, error) {
	f, err := st.toFloat(self)
	if isKind(err, TypeError, ValueError) {
		return a.or(0, floatValue(0)), nil
	}
	return floatValue(f), err
}

func intFilter(st *state, self Value, a args) (Value, error) {
	v, err := st.toInt(self, a)
	if !isKind(err, TypeError, ValueError) {
		return v, err
	}
	f, err := st.toFloat(self) // "42.23" is 42
	if err == nil {
		v, err = truncate(f)
	}
	if isKind(err, TypeError, ValueError, OverflowError) {
		return a.or(0, intValue(0)), nil
	}
	return v, err
}

func (st *state) toInt(v Value, a args) (Value, error) {
	switch x := v.(type) {
	case strValue, markupValue:
		base, err := a.int(1, 10)
		if err != nil {
			return nil, err
		}
		s, _ := asText(x)
		if err := st.scan(len(s)); err != nil {
			return nil, err
		}
		return parseInt(s, base)
	case boolValue, intValue, bigValue:
		return posit(v)
	case floatValue:
		return truncate(float64(x))
	case *undefinedValue:
		return nil, x.fail()
	}
	return nil, typeError("int() argument must be a string, a bytes-like object or a real number, not '%s'", v.typeName())
}

func roundFilter(st *state, self Value, a args) (Value, error) {
	method, _ := asText(a.or(1, strValue("common")))
	if method != "common" && method != "ceil" && method != "floor" {
		return nil, fail(FilterArgument, "method must be common, ceil or floor")
	}
	precision, err := a.int(0, 0)
	if err != nil {
		return nil, err
	}
	if method == "common" {
		return roundCommon(self, precision)
	}
	scale, err := numeric("**", intValue(10), intValue(precision))
	if err != nil {
		return nil, err
	}
	scaled, err := st.arithmetic("*", self, scale)
	if err != nil {
		return nil, err
	}
	if f, ok := scaled.(floatValue); ok {
		rounding := math.Ceil
		if method == "floor" {
			rounding = math.Floor
		}
		if scaled, err = truncate(rounding(float64(f))); err != nil {
			return nil, err
		}
	} else if !isIntegral(scaled) {
		return nil, typeError("must be real number, not %s", scaled.typeName())
	}
	return numeric("/", scaled, scale)
}

// roundCommon is Python's round(v, precision): ties go to even.
func roundCommon(v Value, precision int) (Value, error) {
	if f, ok := v.(floatValue); ok {
		return floatValue(roundFloat(float64(f), precision)), nil
	}
	if !isIntegral(v) {
		return nil, typeError("type %s doesn't define __round__ method", v.typeName())
	}
	if precision >= 0 {
		return posit(v)
	}
	if precision < -maxIntText {
		return intValue(0), nil
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-precision)), nil)
	quotient, rest := floorDivMod(mustInt(v), unit)
	twice := new(big.Int).Lsh(rest, 1)
	if c := twice.Cmp(unit); c > 0 || c == 0 && quotient.Bit(0) == 1 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return newInt(quotient.Mul(quotient, unit))
}

// roundFloat rounds the exact binary value to a decimal place.
func roundFloat(f float64, precision int) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) || f == 0 || precision > 323 {
		return f
	}
	if precision >= 0 {
		r, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', precision, 64), 64)
		return r
	}
	scientific := strconv.FormatFloat(f, 'e', -1, 64)
	exponent, _ := strconv.Atoi(scientific[strings.IndexByte(scientific, 'e')+1:])
	digits := exponent + precision // behind the first one
	switch {
	case digits >= 0:
		r, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'e', digits, 64), 64)
		return r
	case digits == -1 && math.Abs(f) > 5*math.Pow10(exponent):
		return math.Copysign(math.Pow10(exponent+1), f)
	}
	return math.Copysign(0, f)
}

func filesizeFilter(st *state, self Value, a args) (Value, error) {
	bytes, err := st.toFloat(self)
	if err != nil {
		return nil, err
	}
	base, suffix := 1000.0, "B"
	if a.flag(0) {
		base, suffix = 1024, "iB"
	}
	switch {
	case bytes == 1:
		return strValue("1 Byte"), nil
	case bytes < base:
		n, err := truncate(bytes)
		if err != nil {
			return nil, err
		}
		text, err := st.str(n)
		return strValue(text + " Bytes"), err
	}
	prefixes := "kMGTPEZY"
	if a.flag(0) {
		prefixes = "KMGTPEZY"
	}
	unit, i := base*base, 0
	for i < len(prefixes)-1 && !(bytes < unit) {
		unit *= base
		i++
	}
	return strValue(floatDigits(base*bytes/unit, 'f', 1, false) + " " + prefixes[i:i+1] + suffix), nil
}
