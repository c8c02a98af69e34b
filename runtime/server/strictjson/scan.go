package strictjson

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Bounds of a text. They are far above what real requests hold and keep stack and memory small.
const (
	MaxDepth   = 64      // arrays and objects inside each other
	MaxMembers = 1 << 16 // members of one object
	MaxNumber  = 64      // bytes of one number
)

// SyntaxError tells what is wrong with a text and where.
type SyntaxError struct {
	Offset int
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// Check walks text and returns it, without the white space around it, as a Value; the error is a *SyntaxError.
func Check(text []byte) (Value, error) {
	s := scanner{text: text}
	if !utf8.Valid(text) {
		return nil, &SyntaxError{Offset: invalidUTF8(text), Reason: "invalid UTF-8"}
	}
	s.space()
	start := s.pos
	if err := s.value(0); err != nil {
		return nil, err
	}
	end := s.pos
	if s.space(); s.pos < len(text) {
		return nil, s.wrong("text after the end")
	}
	return Value(text[start:end]), nil
}

func invalidUTF8(text []byte) int {
	pos := 0
	for pos < len(text) {
		r, n := utf8.DecodeRune(text[pos:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		pos += n
	}
	return pos
}

// scanner is a recursive-descent reader; MaxDepth bounds its stack.
type scanner struct {
	text []byte
	pos  int
}

func (s *scanner) wrong(format string, args ...any) error {
	return &SyntaxError{Offset: s.pos, Reason: fmt.Sprintf(format, args...)}
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte; 0, which no JSON token begins with, at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) value(depth int) error {
	if depth > MaxDepth {
		return s.wrong("nested deeper than %d", MaxDepth)
	}
	switch c := s.peek(); {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		return s.str()
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case s.pos >= len(s.text):
		return s.wrong("unexpected end")
	default:
		return s.wrong("no value begins with %q", c)
	}
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.text[s.pos:], []byte(word)) {
		return s.wrong("no value begins so")
	}
	s.pos += len(word)
	return nil
}

func (s *scanner) object(depth int) error {
	keys := keySet{}
	s.pos++ // {
	if s.space(); s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.wrong("a key must be a string")
		}
		start := s.pos
		if err := s.str(); err != nil {
			return err
		}
		key, _ := Value(s.text[start:s.pos]).Text()
		if !keys.add(key) {
			s.pos = start
			return s.wrong("duplicate key %.64q", key)
		}
		if keys.len() > MaxMembers {
			return s.wrong("an object of more than %d members", MaxMembers)
		}
		if s.space(); s.peek() != ':' {
			return s.wrong("no colon after a key")
		}
		s.pos++
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.next('}'); !more {
			return err
		}
	}
}

func (s *scanner) array(depth int) error {
	s.pos++ // [
	if s.space(); s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.next(']'); !more {
			return err
		}
	}
}

// next reads the comma before another element, or the closing bracket.
func (s *scanner) next(closing byte) (more bool, err error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case closing:
		s.pos++
		return false, nil
	}
	return false, s.wrong("neither a comma nor %q", closing)
}

func (s *scanner) str() error {
	s.pos++ // "
	for {
		switch c := s.peek(); {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case s.pos >= len(s.text):
			return s.wrong("a string does not end")
		case c < ' ':
			return s.wrong("control character in a string")
		default:
			s.pos++
		}
	}
}

// escape reads one escape sequence, or two when they are a surrogate pair.
func (s *scanner) escape() error {
	if s.pos+1 >= len(s.text) {
		return s.wrong("a string does not end")
	}
	switch s.text[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
	default:
		return s.wrong("unknown escape sequence")
	}
	unit, ok := s.unit()
	if !ok {
		return s.wrong(`\u without four hexadecimal digits`)
	}
	const highFrom, lowFrom, lowEnd = 0xd800, 0xdc00, 0xe000
	if unit < highFrom || unit >= lowEnd {
		s.pos += 6
		return nil
	}
	if unit >= lowFrom {
		return s.wrong("lone surrogate")
	}
	first := s.pos
	s.pos += 6
	if low, ok := s.unit(); !ok || low < lowFrom || low >= lowEnd {
		s.pos = first
		return s.wrong("lone surrogate")
	}
	s.pos += 6
	return nil
}

// unit decodes the \uXXXX at the position without moving.
func (s *scanner) unit() (uint64, bool) {
	rest := s.text[s.pos:]
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' || rest[2] == '+' || rest[2] == '-' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(rest[2:6]), 16, 16)
	return v, err == nil
}

func (s *scanner) number() error {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.wrong("a number without digits")
	}
	float := false
	if s.peek() == '.' {
		float = true
		s.pos++
		if !s.digits() {
			return s.wrong("a number without digits after its point")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		float = true
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.wrong("a number without digits in its exponent")
		}
	}
	if s.pos-start > MaxNumber {
		return s.wrong("a number of more than %d bytes", MaxNumber)
	}
	if float {
		if _, err := strconv.ParseFloat(string(s.text[start:s.pos]), 64); err != nil {
			return s.wrong("a number out of range")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

// keySet holds the keys of one object: a short list while it is short, a map later.
type keySet struct {
	few  []string
	many map[string]struct{}
}

func (k *keySet) len() int { return max(len(k.few), len(k.many)) }

func (k *keySet) add(key string) bool {
	const fewest = 16
	if k.many == nil && len(k.few) < fewest {
		for _, seen := range k.few {
			if seen == key {
				return false
			}
		}
		k.few = append(k.few, key)
		return true
	}
	if k.many == nil {
		k.many = make(map[string]struct{}, 2*fewest)
		for _, seen := range k.few {
			k.many[seen] = struct{}{}
		}
	}
	before := len(k.many)
	k.many[key] = struct{}{}
	return len(k.many) > before
}
