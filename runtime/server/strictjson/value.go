package strictjson

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// Value is the text of one JSON value that Check has accepted.
type Value []byte

// Member is one key of an object and its value.
type Member struct {
	Key   string
	Value Value
}

// IsNull tells whether the value is null.
func (v Value) IsNull() bool { return len(v) > 0 && v[0] == 'n' }

// Kind names the type of the value for a message.
func (v Value) Kind() string {
	if len(v) == 0 {
		return "nothing"
	}
	switch v[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

// Bool returns the value of true or false.
func (v Value) Bool() (value, ok bool) {
	if v.Kind() != "boolean" {
		return false, false
	}
	return v[0] == 't', true
}

// Float returns the value of a number.
func (v Value) Float() (float64, bool) {
	if v.Kind() != "number" {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	return f, err == nil
}

// Int returns the value of a number that is whole, as JSON Schema counts (1.0 and 1e3 are), and fits.
func (v Value) Int() (int64, bool) {
	if v.Kind() != "number" {
		return 0, false
	}
	if !bytes.ContainsAny(v, ".eE") {
		i, err := strconv.ParseInt(string(v), 10, 64)
		return i, err == nil
	}
	f, ok := v.Float()
	const exact = 1 << 53 // beyond it float64 skips integers
	if !ok || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

// Text returns the value of a string.
func (v Value) Text() (string, bool) {
	if len(v) < 2 || v[0] != '"' {
		return "", false
	}
	if inner := v[1 : len(v)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	var text string
	err := json.Unmarshal(v, &text)
	return text, err == nil
}

// Object returns the members of an object in their order.
func (v Value) Object() ([]Member, bool) {
	if len(v) == 0 || v[0] != '{' {
		return nil, false
	}
	members := []Member{}
	s := scanner{text: v, pos: 1}
	for s.space(); s.peek() == '"'; s.space() {
		start := s.pos
		s.skip()
		key, _ := Value(v[start:s.pos]).Text()
		s.space()
		s.pos++ // :
		s.space()
		start = s.pos
		s.skip()
		members = append(members, Member{Key: key, Value: Value(v[start:s.pos])})
		if s.space(); s.peek() == ',' {
			s.pos++
		}
	}
	return members, true
}

// Array returns the elements of an array.
func (v Value) Array() ([]Value, bool) {
	if len(v) == 0 || v[0] != '[' {
		return nil, false
	}
	elements := []Value{}
	s := scanner{text: v, pos: 1}
	for s.space(); s.peek() != ']' && s.pos < len(v); s.space() {
		start := s.pos
		s.skip()
		elements = append(elements, Value(v[start:s.pos]))
		if s.space(); s.peek() == ',' {
			s.pos++
		}
	}
	return elements, true
}

// skip moves behind one value of a text that has been checked: brackets are counted, strings jumped over.
func (s *scanner) skip() {
	for depth := 0; s.pos < len(s.text); {
		switch s.text[s.pos] {
		case '{', '[':
			depth++
			s.pos++
		case '}', ']':
			depth--
			s.pos++
		case '"':
			s.skipString()
		case ',', ':', ' ', '\t', '\n', '\r':
			s.pos++
			continue
		default:
			s.skipAtom()
		}
		if depth == 0 {
			return
		}
	}
}

func (s *scanner) skipString() {
	for s.pos++; s.pos < len(s.text) && s.text[s.pos] != '"'; s.pos++ {
		if s.text[s.pos] == '\\' {
			s.pos++
		}
	}
	s.pos++
}

// skipAtom moves behind a number or a literal.
func (s *scanner) skipAtom() {
	n := bytes.IndexAny(s.text[s.pos:], ",:]} \t\r\n")
	if n < 0 {
		n = len(s.text) - s.pos
	}
	s.pos += n
}
