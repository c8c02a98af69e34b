package gguf

import (
	"encoding/binary"
	"fmt"

	"llmc/compiler/hf"
)

// cursor reads the header of a file front to back. After the first mistake everything it gives is zero.
type cursor struct {
	file string
	data []byte
	at   int
	err  error
}

// fail records a mistake in what is called field, with the place.
func (c *cursor) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = &hf.Error{File: c.file, Field: field, Err: fmt.Errorf("byte %d: %w", c.at, fmt.Errorf(format, args...))}
	}
}

// take returns the next n bytes.
func (c *cursor) take(n uint64, field string) []byte {
	if c.err != nil {
		return nil
	}
	if left := uint64(len(c.data) - c.at); n > left {
		c.fail(field, "takes %d bytes, but the file has %d more: it is truncated, or a length is wrong", n, left)
		return nil
	}
	c.at += int(n)
	return c.data[c.at-int(n) : c.at]
}

func (c *cursor) u32(field string) uint32 {
	if b := c.take(4, field); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64(field string) uint64 {
	if b := c.take(8, field); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads a number of things of which each takes at least least bytes of the file.
func (c *cursor) count(field, things string, most, least uint64) uint64 {
	n := c.u64(field)
	switch left := uint64(len(c.data) - c.at); {
	case c.err != nil:
		return 0
	case n > most:
		c.fail(field, "%d %s, at most %d are read", n, things, most)
	case n > left/least:
		c.fail(field, "%d %s do not fit the %d bytes that follow: the file is truncated, or the count is wrong", n, things, left)
	default:
		return n
	}
	return 0
}

// text reads a string of at most most bytes.
func (c *cursor) text(field string, most uint64) string {
	return string(c.take(c.count(field, "bytes of a string", most, 1), field))
}
