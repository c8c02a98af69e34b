package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// Bounds of what is decoded, so that a hostile file can not make the decoder allocate much more than the file's size.
const (
	maxDepth  = 8
	maxArray  = 1 << 17
	maxKeys   = 64      // of one map
	maxValues = 1 << 21 // of one document
)

// marshal encodes v, which holds no Go map, with the shortest integers and fields in order: the same value gives the same bytes.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.UseCompactInts(true)
	err := enc.Encode(v)
	return buf.Bytes(), err
}

// unmarshal decodes data, all of it, into v. strict refuses fields that v does not have.
func unmarshal(data []byte, v any, strict bool) error {
	if err := scan(data); err != nil {
		return err
	}
	dec := msgpack.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields(strict)
	return dec.Decode(v)
}

// scan walks a msgpack document without allocating for its contents and checks what the decoder takes on trust: that
// lengths fit in the data, that nesting and counts are bounded, that maps have distinct text keys, that integers fit in
// an int64, that nothing follows. Nil and extension types are not part of the plan format.
func scan(data []byte) error {
	s := scanner{data: data}
	s.stack = append(s.stack, frame{left: 1})
	for len(s.stack) > 0 {
		top := &s.stack[len(s.stack)-1]
		if top.left == 0 {
			s.stack = s.stack[:len(s.stack)-1]
			continue
		}
		top.left--
		if err := s.value(top); err != nil {
			return fmt.Errorf("at byte %d: %w", s.pos, err)
		}
	}
	if s.pos != len(data) {
		return fmt.Errorf("at byte %d: %d bytes follow the value", s.pos, len(data)-s.pos)
	}
	return nil
}

// frame is a container whose values are being walked.
type frame struct {
	left  int
	isMap bool
	keys  [][]byte // seen so far
}

type scanner struct {
	data   []byte
	pos    int
	values int
	stack  []frame
}

// value walks one element of top: for a map, the key and the first byte of what it maps to.
func (s *scanner) value(top *frame) error {
	if s.values++; s.values > maxValues {
		return fmt.Errorf("more than %d values", maxValues)
	}
	if top.isMap {
		if err := s.key(top); err != nil {
			return err
		}
	}
	c, err := s.take(1)
	if err != nil {
		return err
	}
	form := formOf(c[0])
	if form == nil {
		return fmt.Errorf("type byte %#x is not used in plans", c[0])
	}
	n := uint64(c[0] & form.mask)
	if form.width > 0 {
		b, err := s.take(form.width)
		if err != nil {
			return err
		}
		n = bigEndian(b)
	}
	return form.walk(s, n)
}

func (s *scanner) key(top *frame) error {
	start := s.pos
	c, err := s.take(1)
	if err != nil {
		return err
	}
	form := formOf(c[0])
	if form == nil || !form.text {
		return fmt.Errorf("map key with type byte %#x is not text", c[0])
	}
	s.pos = start
	if err := s.value(&frame{}); err != nil {
		return err
	}
	key := s.data[start:s.pos]
	for _, k := range top.keys {
		if bytes.Equal(k, key) {
			return fmt.Errorf("map key %q occurs twice", key)
		}
	}
	top.keys = append(top.keys, key)
	return nil
}

func (s *scanner) take(n int) ([]byte, error) {
	if n > len(s.data)-s.pos {
		return nil, fmt.Errorf("%d bytes missing", n-(len(s.data)-s.pos))
	}
	b := s.data[s.pos : s.pos+n]
	s.pos += n
	return b, nil
}

func bigEndian(b []byte) uint64 {
	var wide [8]byte
	copy(wide[8-len(b):], b)
	return binary.BigEndian.Uint64(wide[:])
}

// valueForm is one row of the msgpack specification's format table (https://github.com/msgpack/msgpack/blob/master/spec.md).
type valueForm struct {
	first, last byte
	mask        byte // bits of the type byte that are the number
	width       int  // bytes of number after the type byte
	text        bool
	walk        func(s *scanner, n uint64) error
}

var valueForms = []valueForm{
	{0x00, 0x7f, 0x7f, 0, false, walkNumber}, // positive fixint
	{0x80, 0x8f, 0x0f, 0, false, walkMap},
	{0x90, 0x9f, 0x0f, 0, false, walkArray},
	{0xa0, 0xbf, 0x1f, 0, true, walkBytes},   // fixstr
	{0xc2, 0xc3, 0x00, 0, false, walkNumber}, // bool
	{0xc4, 0xc4, 0x00, 1, false, walkBytes},  // bin 8, 16, 32
	{0xc5, 0xc5, 0x00, 2, false, walkBytes},
	{0xc6, 0xc6, 0x00, 4, false, walkBytes},
	{0xca, 0xca, 0x00, 4, false, walkNumber}, // float 32, 64
	{0xcb, 0xcb, 0x00, 8, false, walkNumber},
	{0xcc, 0xcc, 0x00, 1, false, walkNumber}, // uint 8, 16, 32, 64
	{0xcd, 0xcd, 0x00, 2, false, walkNumber},
	{0xce, 0xce, 0x00, 4, false, walkNumber},
	{0xcf, 0xcf, 0x00, 8, false, walkUint64},
	{0xd0, 0xd0, 0x00, 1, false, walkNumber}, // int 8, 16, 32, 64
	{0xd1, 0xd1, 0x00, 2, false, walkNumber},
	{0xd2, 0xd2, 0x00, 4, false, walkNumber},
	{0xd3, 0xd3, 0x00, 8, false, walkNumber},
	{0xd9, 0xd9, 0x00, 1, true, walkBytes}, // str 8, 16, 32
	{0xda, 0xda, 0x00, 2, true, walkBytes},
	{0xdb, 0xdb, 0x00, 4, true, walkBytes},
	{0xdc, 0xdc, 0x00, 2, false, walkArray},
	{0xdd, 0xdd, 0x00, 4, false, walkArray},
	{0xde, 0xde, 0x00, 2, false, walkMap},
	{0xdf, 0xdf, 0x00, 4, false, walkMap},
	{0xe0, 0xff, 0x1f, 0, false, walkNumber}, // negative fixint
}

func formOf(c byte) *valueForm {
	for i := range valueForms {
		if f := &valueForms[i]; f.first <= c && c <= f.last {
			return f
		}
	}
	return nil
}

func walkNumber(*scanner, uint64) error { return nil }

func walkUint64(_ *scanner, n uint64) error {
	if n > 1<<63-1 {
		return fmt.Errorf("integer %d does not fit in 63 bits", n)
	}
	return nil
}

func walkBytes(s *scanner, n uint64) error {
	if n > uint64(len(s.data)-s.pos) {
		return fmt.Errorf("text or bytes of length %d, %d bytes left", n, len(s.data)-s.pos)
	}
	s.pos += int(n)
	return nil
}

func walkArray(s *scanner, n uint64) error { return s.push(n, 1, maxArray, false) }

func walkMap(s *scanner, n uint64) error { return s.push(n, 2, maxKeys, true) }

// push starts a container of n elements of at least width bytes each.
func (s *scanner) push(n, width, limit uint64, isMap bool) error {
	if n > limit || n*width > uint64(len(s.data)-s.pos) {
		return fmt.Errorf("container of %d elements; at most %d are allowed and %d bytes are left", n, limit, len(s.data)-s.pos)
	}
	if len(s.stack) > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	s.stack = append(s.stack, frame{left: int(n), isMap: isMap})
	return nil
}
