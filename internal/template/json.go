package template

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth is how deep values may nest; Python's json stops near its recursion limit too.
const maxJSONDepth = 500

// DecodeJSON reads one JSON text as Python's json.loads does: keys keep their order, of equal keys the last value wins,
// integers stay integers of any size up to 4300 digits, NaN and Infinity are numbers. Surrogates without a partner and bytes
// that are not UTF-8 become U+FFFD. Errors name the byte offset.
func DecodeJSON(data []byte) (Value, error) {
	d := jsonReader{s: string(data)}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if d.space(); d.pos < len(d.s) {
		return nil, d.fail("unexpected data after the value")
	}
	return v, nil
}

type jsonReader struct {
	s   string
	pos int
}

func (d *jsonReader) fail(what string) error {
	return fmt.Errorf("json: byte %d: %s", d.pos, what)
}

func (d *jsonReader) space() {
	for d.pos < len(d.s) && strings.IndexByte(" \t\n\r", d.s[d.pos]) >= 0 {
		d.pos++
	}
}

// skip consumes c, after spaces, if it comes next.
func (d *jsonReader) skip(c byte) bool {
	d.space()
	if d.pos < len(d.s) && d.s[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

var jsonWords = []struct {
	text  string
	value Value
}{
	{"null", None}, {"true", boolValue(true)}, {"false", boolValue(false)},
	{"NaN", floatValue(math.NaN())}, {"Infinity", floatValue(math.Inf(1))}, {"-Infinity", floatValue(math.Inf(-1))},
}

func (d *jsonReader) value(depth int) (Value, error) {
	if depth > maxJSONDepth {
		return nil, d.fail(fmt.Sprintf("nested more than %d deep", maxJSONDepth))
	}
	d.space()
	if d.pos == len(d.s) {
		return nil, d.fail("unexpected end")
	}
	switch c := d.s[d.pos]; {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		s, err := d.string()
		return strValue(s), err
	}
	for _, word := range jsonWords {
		if strings.HasPrefix(d.s[d.pos:], word.text) {
			d.pos += len(word.text)
			return word.value, nil
		}
	}
	return d.number()
}

func (d *jsonReader) object(depth int) (Value, error) {
	d.pos++
	object := newDict(4)
	if d.skip('}') {
		return object, nil
	}
	for {
		d.space()
		if d.pos == len(d.s) || d.s[d.pos] != '"' {
			return nil, d.fail("expected a property name in double quotes")
		}
		key, err := d.string()
		if err != nil {
			return nil, err
		}
		if !d.skip(':') {
			return nil, d.fail("expected ':'")
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		object.setString(key, v)
		if d.skip('}') {
			return object, nil
		}
		if !d.skip(',') {
			return nil, d.fail("expected ',' or '}'")
		}
	}
}

func (d *jsonReader) array(depth int) (Value, error) {
	d.pos++
	list := &listValue{}
	if d.skip(']') {
		return list, nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list.items = append(list.items, v)
		if d.skip(']') {
			return list, nil
		}
		if !d.skip(',') {
			return nil, d.fail("expected ',' or ']'")
		}
	}
}

// number matches -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?.
func (d *jsonReader) number() (Value, error) {
	s := d.s[d.pos:]
	digits := func(i int) int {
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i
	}
	start := 0
	if strings.HasPrefix(s, "-") {
		start = 1
	}
	end := digits(start)
	if end == start {
		return nil, d.fail("expected a value")
	}
	if s[start] == '0' {
		end = start + 1
	}
	whole := end
	if end < len(s) && s[end] == '.' {
		if e := digits(end + 1); e > end+1 {
			end = e
		}
	}
	if end < len(s) && (s[end] == 'e' || s[end] == 'E') {
		exponent := end + 1 + len(signAt(s, end+1))
		if e := digits(exponent); e > exponent {
			end = e
		}
	}
	if end > whole {
		f, err := strconv.ParseFloat(s[:end], 64)
		if err != nil && !math.IsInf(f, 0) {
			return nil, d.fail("invalid number")
		}
		d.pos += end
		return floatValue(f), nil
	}
	if i, err := strconv.ParseInt(s[:end], 10, 64); err == nil {
		d.pos += end
		return intValue(i), nil
	}
	if end-start > maxIntText {
		return nil, d.fail(fmt.Sprintf("integer of more than %d digits", maxIntText))
	}
	i, _ := new(big.Int).SetString(s[:end], 10)
	d.pos += end
	return bigValue{i}, nil
}

// string reads a quoted string.
func (d *jsonReader) string() (string, error) {
	d.pos++
	start := d.pos
	for i := start; i < len(d.s); i++ {
		switch c := d.s[i]; {
		case c == '"':
			d.pos = i + 1
			return validText(d.s[start:i]), nil
		case c == '\\':
			return d.escaped(start, i)
		case c < ' ':
			d.pos = i
			return "", d.fail("control character in a string")
		}
	}
	d.pos = len(d.s)
	return "", d.fail("string without end")
}

// escaped reads the rest of a string whose first escape is at byte i.
func (d *jsonReader) escaped(start, i int) (string, error) {
	b := []byte(d.s[start:i])
	for d.pos = i; d.pos < len(d.s); {
		c := d.s[d.pos]
		switch {
		case c == '"':
			d.pos++
			return validText(string(b)), nil
		case c < ' ':
			return "", d.fail("control character in a string")
		case c != '\\':
			b = append(b, c)
			d.pos++
		default:
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
		}
	}
	return "", d.fail("string without end")
}

// validText replaces every byte that is not UTF-8.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

var jsonEscapeChars = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (d *jsonReader) escape() (rune, error) {
	if d.pos+1 < len(d.s) {
		if r, ok := jsonEscapeChars[d.s[d.pos+1]]; ok {
			d.pos += 2
			return r, nil
		}
	}
	r, ok := d.hexRune()
	if !ok {
		return 0, d.fail("invalid escape in a string")
	}
	d.pos += 6
	if utf16.IsSurrogate(r) {
		if low, ok := d.hexRune(); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				d.pos += 6
				return pair, nil
			}
		}
		return utf8.RuneError, nil
	}
	return r, nil
}

// hexRune reads \uhhhh at the current place without consuming it.
func (d *jsonReader) hexRune() (rune, bool) {
	if d.pos+6 > len(d.s) || d.s[d.pos:d.pos+2] != `\u` {
		return 0, false
	}
	r, err := strconv.ParseUint(d.s[d.pos+2:d.pos+6], 16, 16)
	return rune(r), err == nil
}
