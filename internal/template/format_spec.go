package template

import (
	"strings"
	"unicode/utf8"
)

// formatSpec is Python's format specification mini-language: [[fill]align][sign][z][#][0][width][grouping][.precision][type].
type formatSpec struct {
	fill       rune
	align      byte // < > ^ = or 0
	sign       byte // + - space or 0
	noNegZero  bool // z
	alternate  bool // #
	width      int
	grouping   byte // , _ or 0
	precision  int  // -1: none
	kind       byte // 0: none
	zeroFilled bool
}

const maxFormatNumber = 1 << 31

// parseFormatSpec reads a specification.
func parseFormatSpec(s string) (formatSpec, error) {
	f := formatSpec{fill: ' ', precision: -1}
	fillGiven := false
	if r, n := utf8.DecodeRuneInString(s); n > 0 && len(s) > n && strings.IndexByte("<>=^", s[n]) >= 0 {
		f.fill, f.align, fillGiven = r, s[n], true
		s = s[n+1:]
	} else if s != "" && strings.IndexByte("<>=^", s[0]) >= 0 {
		f.align = s[0]
		s = s[1:]
	}
	take := func(set string) byte {
		if s == "" || strings.IndexByte(set, s[0]) < 0 {
			return 0
		}
		c := s[0]
		s = s[1:]
		return c
	}
	f.sign = take("+- ")
	f.noNegZero = take("z") != 0
	f.alternate = take("#") != 0
	if !fillGiven && take("0") != 0 {
		f.fill, f.zeroFilled = '0', true
	}
	var err error
	if f.width, s, err = formatNumber(s, "Too many decimal digits in format string"); err != nil {
		return f, err
	}
	f.width = max(f.width, 0)
	f.grouping = take(",")
	if c := take("_"); c != 0 {
		if f.grouping != 0 {
			return f, fail(ValueError, "Cannot specify both ',' and '_'.")
		}
		f.grouping = c
	}
	if take(",_") != 0 {
		return f, fail(ValueError, "Cannot specify both ',' and '_'.")
	}
	if take(".") != 0 {
		if f.precision, s, err = formatNumber(s, "Too many decimal digits in format string"); err != nil {
			return f, err
		}
		if f.precision < 0 {
			return f, fail(ValueError, "Format specifier missing precision")
		}
	}
	if len(s) > 1 {
		return f, fail(ValueError, "Invalid format specifier")
	}
	if s != "" {
		f.kind = s[0]
	}
	return f, nil
}

// formatNumber reads digits at the start of s; -1 when there are none.
func formatNumber(s, tooLong string) (n int, rest string, err error) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + int(s[i]-'0')
		if n > maxFormatNumber {
			return 0, s, fail(ValueError, "%s", tooLong)
		}
		i++
	}
	if i == 0 {
		return -1, s, nil
	}
	return n, s[i:], nil
}

// format is Python's format(v, spec).
func (st *state) format(v Value, spec string) (string, error) {
	if spec == "" {
		return st.str(v)
	}
	switch v := v.(type) {
	case strValue:
		return st.formatText(string(v), spec)
	case markupValue:
		return "", fail(ValueError, "Unsupported format specification for Markup.")
	case boolValue, intValue, bigValue:
		return st.formatInt(v, spec)
	case floatValue:
		f, err := parseFormatSpec(spec)
		if err != nil {
			return "", err
		}
		return st.formatFloat(float64(v), f, "float")
	}
	return "", typeError("unsupported format string passed to %s.__format__", v.typeName())
}

func (st *state) formatText(s, spec string) (string, error) {
	f, err := parseFormatSpec(spec)
	switch {
	case err != nil:
		return "", err
	case f.kind != 0 && f.kind != 's':
		return "", unknownFormat(f.kind, "str")
	case f.sign != 0:
		return "", fail(ValueError, "Sign not allowed in string format specifier")
	case f.noNegZero:
		return "", fail(ValueError, "Negative zero coercion (z) not allowed in string format specifier")
	case f.alternate:
		return "", fail(ValueError, "Alternate form (#) not allowed in string format specifier")
	case f.align == '=':
		return "", fail(ValueError, "'=' alignment not allowed in string format specifier")
	case f.grouping != 0:
		return "", fail(ValueError, "Cannot specify '%c' with 's'.", f.grouping)
	}
	if f.precision >= 0 {
		s = s[:runeOffset(s, f.precision)]
	}
	return st.align(s, f.width, f.fill, f.align, '<')
}

func unknownFormat(kind byte, class string) error {
	return fail(ValueError, "Unknown format code '%c' for object of type '%s'", kind, class)
}

// align pads s on the sides that the alignment leaves free.
func (st *state) align(s string, width int, fill rune, align, fallback byte) (string, error) {
	if align == 0 {
		align = fallback
	}
	return st.pad(s, width, string(fill), func(pad, _ int) int {
		switch align {
		case '<':
			return 0
		case '^':
			return pad / 2
		}
		return pad
	})
}

// alignNumber pads a number, between sign and digits where the alignment is "=". The digits before the first byte of tail
// are grouped.
func (st *state) alignNumber(sign, digits, tail string, f formatSpec) (string, error) {
	align := f.align
	if f.zeroFilled && align == 0 {
		align = '='
	}
	size := 3
	if strings.IndexByte("boxX", f.kind) >= 0 && f.kind != 0 {
		size = 4
	}
	if f.grouping != 0 {
		if f.fill == '0' && align == '=' {
			want := f.width - len(sign) - len(tail)
			if want > st.limits.Output {
				return "", &LimitError{"output", int64(st.limits.Output)}
			}
			n := len(digits)
			for n+(n-1)/size < want {
				n++
			}
			digits = strings.Repeat("0", n-len(digits)) + digits
		}
		digits = group(digits, size, f.grouping)
	}
	if err := st.text(len(sign) + len(digits) + len(tail)); err != nil {
		return "", err
	}
	if align == '=' {
		body, err := st.align(digits+tail, f.width-len(sign), f.fill, '>', '>')
		return sign + body, err
	}
	return st.align(sign+digits+tail, f.width, f.fill, align, '>')
}

// group puts a separator before every size digits from the right.
func group(digits string, size int, separator byte) string {
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%size == 0 {
			b.WriteByte(separator)
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}
