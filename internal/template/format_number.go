package template

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

var intBases = map[byte]struct {
	base   int
	prefix string
}{0: {10, ""}, 'd': {10, ""}, 'n': {10, ""}, 'b': {2, "0b"}, 'o': {8, "0o"}, 'x': {16, "0x"}, 'X': {16, "0X"}}

// formatInt is int.__format__.
func (st *state) formatInt(v Value, spec string) (string, error) {
	f, err := parseFormatSpec(spec)
	if err != nil {
		return "", err
	}
	if strings.IndexByte("eEfFgG%", f.kind) >= 0 && f.kind != 0 {
		x, err := asFloat(v)
		if err != nil {
			return "", err
		}
		return st.formatFloat(x, f, "int")
	}
	if f.precision >= 0 {
		return "", fail(ValueError, "Precision not allowed in integer format specifier")
	}
	if f.noNegZero {
		return "", fail(ValueError, "Negative zero coercion (z) not allowed in format specifier with integer format code '%c'", max(f.kind, 'd'))
	}
	if f.kind == 'c' {
		return st.formatRune(v, f)
	}
	base, ok := intBases[f.kind]
	if !ok {
		return "", unknownFormat(f.kind, v.typeName())
	}
	if f.grouping == ',' && base.base != 10 || f.grouping != 0 && f.kind == 'n' {
		return "", fail(ValueError, "Cannot specify '%c' with '%c'.", f.grouping, f.kind)
	}
	digits, sign, err := intDigits(v, base.base)
	if err != nil {
		return "", err
	}
	if f.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	sign = signText(sign == "-", f.sign)
	if f.alternate {
		sign += base.prefix
	}
	return st.alignNumber(sign, digits, "", f)
}

func intDigits(v Value, base int) (digits, sign string, err error) {
	i := mustInt(v)
	digits = i.Text(base)
	if digits[0] == '-' {
		digits, sign = digits[1:], "-"
	}
	if base == 10 && len(digits) > maxIntText {
		return "", "", fail(ValueError, "Exceeds the limit (%d digits) for integer string conversion", maxIntText)
	}
	return digits, sign, nil
}

func (st *state) formatRune(v Value, f formatSpec) (string, error) {
	if f.sign != 0 || f.grouping != 0 || f.alternate {
		return "", fail(ValueError, "Sign, grouping or alternate form not allowed with integer format specifier 'c'")
	}
	i, big, _ := asInt(v)
	if big || i < 0 || i > unicode.MaxRune {
		return "", fail(OverflowError, "%%c arg not in range(0x110000)")
	}
	return st.align(string(rune(i)), f.width, f.fill, f.align, '<')
}

func signText(negative bool, style byte) string {
	switch {
	case negative:
		return "-"
	case style == '+' || style == ' ':
		return string(style)
	}
	return ""
}

// formatFloat is float.__format__; class names the object in errors.
func (st *state) formatFloat(x float64, f formatSpec, class string) (string, error) {
	if strings.IndexByte("eEfFgGn%", f.kind) < 0 && f.kind != 0 {
		return "", unknownFormat(f.kind, class)
	}
	if f.grouping != 0 && f.kind == 'n' {
		return "", fail(ValueError, "Cannot specify '%c' with 'n'.", f.grouping)
	}
	if f.precision > st.limits.Output {
		return "", &LimitError{"output", int64(st.limits.Output)}
	}
	negative := math.Signbit(x) && !math.IsNaN(x)
	digits := floatDigits(math.Abs(x), f.kind, f.precision, f.alternate)
	if f.noNegZero && strings.Trim(digits, "0.") == "" {
		negative = false
	}
	whole := len(digits)
	for i, c := range []byte(digits) {
		if c < '0' || c > '9' {
			whole = i
			break
		}
	}
	return st.alignNumber(signText(negative, f.sign), digits[:whole], digits[whole:], f)
}

// floatDigits writes a number that is not negative in one of C's formats, or in the shortest form for kind 0.
func floatDigits(x float64, kind byte, precision int, alternate bool) string {
	upper := kind == 'E' || kind == 'F' || kind == 'G'
	finish := func(s string) string {
		if upper {
			return strings.ToUpper(s)
		}
		return s
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		s := "nan"
		if math.IsInf(x, 0) {
			s = "inf"
		}
		if kind == '%' {
			s += "%"
		}
		return finish(s)
	}
	if kind == 0 && precision < 0 {
		return floatRepr(x)
	}
	if precision < 0 {
		precision = 6
	}
	switch kind {
	case 'e', 'E':
		return finish(withPoint(strconv.FormatFloat(x, 'e', precision, 64), alternate))
	case 'f', 'F':
		return finish(withPoint(strconv.FormatFloat(x, 'f', precision, 64), alternate))
	case '%':
		return withPoint(strconv.FormatFloat(x*100, 'f', precision, 64), alternate) + "%"
	}
	return finish(generalFormat(x, precision, kind == 0, alternate))
}

// withPoint adds the decimal point that the alternate form always has.
func withPoint(s string, alternate bool) string {
	if !alternate || strings.Contains(s, ".") {
		return s
	}
	if e := strings.IndexByte(s, 'e'); e >= 0 {
		return s[:e] + "." + s[e:]
	}
	return s + "."
}

// generalFormat is C's %g: precision significant digits, with an exponent where that is shorter. Without a type character,
// Python leaves one digit behind the point and changes to an exponent one digit earlier.
func generalFormat(x float64, precision int, untyped, alternate bool) string {
	precision = max(precision, 1)
	scientific := strconv.FormatFloat(x, 'e', precision-1, 64)
	mantissa, exponent, _ := strings.Cut(scientific, "e")
	exp, _ := strconv.Atoi(exponent)
	limit := precision
	if untyped {
		limit--
	}
	if exp < -4 || exp >= limit {
		if !alternate {
			mantissa = trimZeros(mantissa)
		}
		return withPoint(mantissa+"e"+exponent, alternate)
	}
	s := strconv.FormatFloat(x, 'f', precision-1-exp, 64)
	if !alternate {
		s = trimZeros(s)
	}
	if untyped && !strings.Contains(s, ".") {
		s += ".0"
	}
	return withPoint(s, alternate)
}

// trimZeros removes zeros at the end of a fraction.
func trimZeros(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
