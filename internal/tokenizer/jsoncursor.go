package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// A cursor reads the large parts of a file, JSON that encoding/json has found well-formed, without building a value for
// every element.
type cursor struct {
	data []byte
	pos  int
}

var errShape = errors.New("unexpected kind of JSON value")

// peek gives the next byte that is no white space, 0 at the end.
func (c *cursor) peek() byte {
	for c.pos < len(c.data) {
		switch b := c.data[c.pos]; b {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return b
		}
	}
	return 0
}

func (c *cursor) expect(b byte) error {
	if c.peek() != b {
		return errShape
	}
	c.pos++
	return nil
}

// list reads open element, element, ... close.
func (c *cursor) list(open, end byte, element func() error) error {
	if err := c.expect(open); err != nil {
		return err
	}
	for first := true; c.peek() != end; first = false {
		if !first {
			if err := c.expect(','); err != nil {
				return err
			}
		}
		if err := element(); err != nil {
			return err
		}
	}
	c.pos++
	return nil
}

func (c *cursor) array(element func() error) error { return c.list('[', ']', element) }

// object calls value with each key; value must read the value.
func (c *cursor) object(value func(key string) error) error {
	return c.list('{', '}', func() error {
		key, err := c.string()
		if err == nil {
			err = c.expect(':')
		}
		if err != nil {
			return err
		}
		return value(key)
	})
}

// pair reads an array of two elements.
func (c *cursor) pair(first, second func() error) error {
	for _, step := range []func() error{
		func() error { return c.expect('[') }, first, func() error { return c.expect(',') }, second, func() error { return c.expect(']') },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cursor) string() (string, error) {
	if c.peek() != '"' {
		return "", errShape
	}
	start := c.pos + 1
	for i := start; i < len(c.data); i++ {
		switch c.data[i] {
		case '"':
			c.pos = i + 1
			return string(c.data[start:i]), nil
		case '\\':
			return c.escaped(start - 1)
		}
	}
	return "", errShape
}

// escaped reads a string with escapes from its opening quote.
func (c *cursor) escaped(start int) (string, error) {
	for i := start + 1; i < len(c.data); i++ {
		switch c.data[i] {
		case '\\':
			i++
		case '"':
			var s string
			c.pos = i + 1
			err := json.Unmarshal(c.data[start:c.pos], &s)
			return s, err
		}
	}
	return "", errShape
}

// token gives the bytes of a number.
func (c *cursor) token() []byte {
	c.peek()
	rest := c.data[c.pos:]
	end := bytes.IndexAny(rest, ",]} \t\r\n")
	if end < 0 {
		end = len(rest)
	}
	c.pos += end
	return rest[:end]
}

// integer reads an id.
func (c *cursor) integer() (int32, error) {
	digits := c.token()
	n, err := strconv.ParseUint(string(digits), 10, 32)
	if err != nil || n >= maxID {
		return 0, fmt.Errorf("id %.20q is not an integer below %d", digits, maxID)
	}
	return int32(n), nil
}

func (c *cursor) number() (float64, error) {
	digits := c.token()
	n, err := strconv.ParseFloat(string(digits), 64)
	if err != nil {
		return 0, fmt.Errorf("%.20q is not a number", digits)
	}
	return n, nil
}
