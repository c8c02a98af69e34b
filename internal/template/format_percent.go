package template

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// percentFormat is "text % values", printf as Python has it. It returns nil when the left side is no text.
func percentFormat(st *state, a, b Value) (Value, error) {
	text, ok := asText(a)
	if !ok {
		return nil, nil
	}
	p := percentFormatter{st: st, markup: isMarkup(a), values: b}
	s, err := p.format(text)
	return like(a, s), err
}

type percentFormatter struct {
	st     *state
	markup bool  // values are escaped
	values Value // a tuple, a mapping, or the only value
	used   int
	out    []byte
}

// directive is one %...x.
type directive struct {
	flags     string
	width     int
	precision int // -1: none
	kind      rune
}

func (p *percentFormatter) format(text string) (string, error) {
	if err := p.st.scan(len(text)); err != nil {
		return "", err
	}
	for {
		before, rest, found := strings.Cut(text, "%")
		if err := p.write(before); err != nil {
			return "", err
		}
		if !found {
			break
		}
		var err error
		if text, err = p.directive(rest); err != nil {
			return "", err
		}
	}
	if p.unused() {
		return "", typeError("not all arguments converted during string formatting")
	}
	return string(p.out), nil
}

func (p *percentFormatter) write(s string) error {
	if len(p.out)+len(s) > p.st.limits.Output {
		return &LimitError{"output", int64(p.st.limits.Output)}
	}
	if err := p.st.text(len(s)); err != nil {
		return err
	}
	p.out = append(p.out, s...)
	return nil
}

// unused tells whether values are left that should have been converted; mappings may be used in part.
func (p *percentFormatter) unused() bool {
	switch v := p.values.(type) {
	case *tupleValue:
		return p.used < len(v.items)
	case *dictValue, *listValue, *rangeValue, *undefinedValue:
		return false
	}
	return p.used == 0
}

// next returns the value for the next directive.
func (p *percentFormatter) next() (Value, error) {
	p.used++
	if t, ok := p.values.(*tupleValue); ok {
		if p.used <= len(t.items) {
			return t.items[p.used-1], nil
		}
	} else if p.used == 1 {
		return p.values, nil
	}
	return nil, typeError("not enough arguments for format string")
}

// directive converts one value by what follows a percent sign and returns the text behind it.
func (p *percentFormatter) directive(s string) (rest string, err error) {
	switch {
	case strings.HasPrefix(s, "%"):
		return s[1:], p.write("%")
	case strings.HasPrefix(s, "("):
		return p.mapped(s[1:])
	}
	return p.convert(s)
}

// mapped converts the value under a key: %(key)s. Keys may hold balanced parentheses.
func (p *percentFormatter) mapped(s string) (string, error) {
	depth, end := 1, 0
	for end < len(s) && depth > 0 {
		switch s[end] {
		case '(':
			depth++
		case ')':
			depth--
		}
		end++
	}
	if depth > 0 {
		return "", fail(ValueError, "incomplete format key")
	}
	d, ok := p.values.(*dictValue)
	if !ok {
		return "", typeError("format requires a mapping")
	}
	v, ok := d.getString(s[:end-1])
	if !ok {
		return "", fail(KeyError, "%s", quote(s[:end-1]))
	}
	inner := percentFormatter{st: p.st, markup: p.markup, values: v, out: p.out}
	if t, ok := v.(*tupleValue); ok { // a tuple is one value here
		inner.values = &tupleValue{items: []Value{t}}
	}
	rest, err := inner.convert(s[end:])
	p.out, p.used = inner.out, 1 // behind a key, directives without one find nothing left
	return rest, err
}

func (p *percentFormatter) convert(s string) (string, error) {
	d, rest, err := p.parse(s)
	if err != nil {
		return "", err
	}
	v, err := p.next()
	if err != nil {
		return "", err
	}
	text, err := p.value(d, v)
	if err != nil {
		return "", err
	}
	return rest, p.write(text)
}

// parse reads flags, width, precision, length modifier and type.
func (p *percentFormatter) parse(s string) (d directive, rest string, err error) {
	n := len(s) - len(strings.TrimLeft(s, "-+ #0"))
	d.flags, s = s[:n], s[n:]
	if d.width, s, err = p.number(s); err != nil {
		return d, "", err
	}
	if d.width < 0 {
		d.flags += "-"
		d.width = -d.width
	}
	d.precision = -1
	if strings.HasPrefix(s, ".") {
		if d.precision, s, err = p.number(s[1:]); err != nil {
			return d, "", err
		}
		d.precision = max(d.precision, 0)
	}
	if s != "" && strings.IndexByte("hlL", s[0]) >= 0 {
		s = s[1:]
	}
	if s == "" {
		return d, "", fail(ValueError, "incomplete format")
	}
	r, n := utf8.DecodeRuneInString(s)
	d.kind = r
	return d, s[n:], nil
}

// number reads a width or precision: digits, or * for the next value.
func (p *percentFormatter) number(s string) (int, string, error) {
	if !strings.HasPrefix(s, "*") {
		n, rest, err := formatNumber(s, "width too big")
		return max(n, 0), rest, err
	}
	v, err := p.next()
	if err != nil {
		return 0, "", err
	}
	n, ok := index(v)
	if !ok {
		return 0, "", typeError("* wants int")
	}
	if n > maxFormatNumber || n < -maxFormatNumber {
		return 0, "", fail(OverflowError, "Python int too large to convert to C int")
	}
	return n, s[1:], nil
}

func (p *percentFormatter) value(d directive, v Value) (string, error) {
	switch d.kind {
	case 's', 'r', 'a':
		return p.text(d, v)
	case 'c':
		return p.character(d, v)
	case 'd', 'i', 'u', 'o', 'x', 'X':
		return p.integer(d, v)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		if u, ok := v.(*undefinedValue); ok {
			return "", u.fail()
		}
		if !isNumber(v) {
			return "", typeError("must be real number, not %s", v.typeName())
		}
		x, err := asFloat(v)
		if err != nil {
			return "", err
		}
		return p.st.formatFloat(x, p.spec(d, byte(d.kind)), "float")
	}
	return "", fail(ValueError, "unsupported format character '%c' (0x%x)", d.kind, d.kind)
}

// spec translates the flags of printf into those of format.
func (p *percentFormatter) spec(d directive, kind byte) formatSpec {
	f := formatSpec{fill: ' ', align: '>', width: d.width, precision: d.precision, kind: kind}
	f.alternate = strings.Contains(d.flags, "#")
	switch {
	case strings.Contains(d.flags, "-"):
		f.align = '<'
	case strings.Contains(d.flags, "0"):
		f.fill, f.align = '0', '='
	}
	switch {
	case strings.Contains(d.flags, "+"):
		f.sign = '+'
	case strings.Contains(d.flags, " "):
		f.sign = ' '
	}
	return f
}

func (p *percentFormatter) text(d directive, v Value) (string, error) {
	convert := p.st.str
	if d.kind != 's' {
		convert = p.st.repr
	}
	s, err := convert(v)
	if err != nil {
		return "", err
	}
	if d.kind == 'a' {
		s = asciiOnly(s)
	}
	if p.markup && !(isMarkup(v) && d.kind == 's') {
		if s, err = p.st.escape(s); err != nil {
			return "", err
		}
	}
	if d.precision >= 0 {
		s = s[:runeOffset(s, d.precision)]
	}
	align := byte('>')
	if strings.Contains(d.flags, "-") {
		align = '<'
	}
	return p.st.align(s, d.width, ' ', align, align)
}

func (p *percentFormatter) character(d directive, v Value) (string, error) {
	s, ok := asText(v)
	switch i, big, isInt := asInt(v); {
	case isInt && (big || i < 0 || i > unicode.MaxRune):
		return "", fail(OverflowError, "%%c arg not in range(0x110000)")
	case isInt:
		s = string(rune(i))
	case !ok || utf8.RuneCountInString(s) != 1:
		return "", typeError("%%c requires int or char")
	}
	return p.text(directive{flags: d.flags, width: d.width, precision: -1, kind: 's'}, strValue(s))
}

func (p *percentFormatter) integer(d directive, v Value) (string, error) {
	if f, ok := v.(floatValue); ok && strings.ContainsRune("diu", d.kind) {
		var err error
		if v, err = truncate(math.Trunc(float64(f))); err != nil {
			return "", err
		}
	}
	if !isIntegral(v) {
		what := "a real number is required"
		if strings.ContainsRune("oxX", d.kind) {
			what = "an integer is required"
		} else if u, ok := v.(*undefinedValue); ok {
			return "", u.fail()
		}
		return "", typeError("%%%c format: %s, not %s", d.kind, what, v.typeName())
	}
	kind := byte(d.kind)
	if kind == 'i' || kind == 'u' {
		kind = 'd'
	}
	base := intBases[kind]
	digits, sign, err := intDigits(v, base.base)
	if err != nil {
		return "", err
	}
	if kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	if d.precision > len(digits) { // the precision of an integer is its least number of digits
		if digits, err = p.st.pad(digits, d.precision, "0", func(pad, _ int) int { return pad }); err != nil {
			return "", err
		}
	}
	f := p.spec(d, kind)
	sign = signText(sign == "-", f.sign)
	if f.alternate {
		sign += base.prefix
	}
	return p.st.alignNumber(sign, digits, "", f)
}

// asciiOnly escapes what is not ASCII, as Python's ascii() does.
func asciiOnly(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r < utf8.RuneSelf {
			b = append(b, byte(r))
		} else {
			b = appendEscape(b, r)
		}
	}
	return string(b)
}
