package gguf

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"llmc/compiler/hf"
)

// kind is the type of a metadata value.
type kind uint32

const (
	kindU8 kind = iota
	kindI8
	kindU16
	kindI16
	kindU32
	kindI32
	kindF32
	kindBool
	kindString
	kindArray
	kindU64
	kindI64
	kindF64
)

// kinds gives the name of each kind and the bytes of a value; 0 where these differ.
var kinds = [...]struct {
	name string
	size uint64
}{
	kindU8: {"uint8", 1}, kindI8: {"int8", 1}, kindU16: {"uint16", 2}, kindI16: {"int16", 2}, kindU32: {"uint32", 4}, kindI32: {"int32", 4},
	kindF32: {"float32", 4}, kindBool: {"bool", 1}, kindString: {"string", 0}, kindArray: {"array", 0},
	kindU64: {"uint64", 8}, kindI64: {"int64", 8}, kindF64: {"float64", 8},
}

func (k kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return fmt.Sprintf("type %d", uint32(k))
}

// Bounds of what is read of the metadata.
const (
	maxKeys   = 1 << 16
	maxKey    = 1 << 10
	maxText   = 16 << 20
	maxArray  = 1 << 23 // elements
	maxNested = 4       // arrays within arrays
)

// value is a metadata value: where it lies. Nothing of it is kept before somebody asks for it.
type value struct {
	kind  kind
	of    kind // of an array's elements
	count uint64
	at    int // of its bytes, of an array those of its elements
}

// metadata are the values of a file by key.
type metadata struct {
	file   string
	values map[string]value
	keys   []string // in the file's order
	view   func(use func(header []byte)) error
}

// parseMetadata reads count keys and skips their values.
func (c *cursor) parseMetadata(count uint64) *metadata {
	m := &metadata{file: c.file, values: map[string]value{}}
	for i := uint64(0); i < count && c.err == nil; i++ {
		key := c.text(fmt.Sprintf("metadata key %d", i), maxKey)
		if c.err != nil {
			return m
		}
		if _, twice := m.values[key]; twice || key == "" || !utf8.ValidString(key) {
			c.fail(fmt.Sprintf("metadata key %d", i), "%q is empty, not UTF-8 or there twice", key)
			return m
		}
		v := value{kind: kind(c.u32(key))}
		if v.kind == kindArray {
			v.of, v.count = c.arrayHeader(key)
		}
		v.at = c.at
		c.skip(key, v, 0)
		m.values[key] = v
		m.keys = append(m.keys, key)
	}
	return m
}

func (c *cursor) arrayHeader(key string) (of kind, count uint64) {
	of = kind(c.u32(key))
	least := uint64(8) // a string's length
	if int(of) < len(kinds) && kinds[of].size > 0 {
		least = kinds[of].size
	}
	return of, c.count(key, "elements", maxArray, least)
}

// skip goes past a value whose type, and count for an array, have been read.
func (c *cursor) skip(key string, v value, depth int) {
	switch {
	case c.err != nil:
	case int(v.kind) >= len(kinds):
		c.fail(key, "has %v, which GGUF does not define", v.kind)
	case v.kind == kindString:
		c.take(c.count(key, "bytes of a string", maxText, 1), key)
	case v.kind != kindArray:
		c.take(kinds[v.kind].size, key)
	case int(v.of) >= len(kinds):
		c.fail(key, "is an array of %v, which GGUF does not define", v.of)
	case kinds[v.of].size > 0:
		c.take(v.count*kinds[v.of].size, key)
	case depth >= maxNested:
		c.fail(key, "has arrays nested more than %d deep", maxNested)
	default:
		for i := uint64(0); i < v.count && c.err == nil; i++ {
			inner := value{kind: v.of}
			if inner.kind == kindArray {
				inner.of, inner.count = c.arrayHeader(key)
			}
			c.skip(key, inner, depth+1)
		}
	}
}

func (m *metadata) errorf(key, format string, args ...any) error {
	return &hf.Error{File: m.file, Field: key, Err: fmt.Errorf(format, args...)}
}

func (m *metadata) has(key string) bool { _, ok := m.values[key]; return ok }

// read calls use with a cursor on a value of one of the kinds; ok is false where there is none.
func (m *metadata) read(key string, use func(c *cursor, v value) error) (ok bool, err error) {
	v, ok := m.values[key]
	if !ok {
		return false, nil
	}
	var inner error
	err = m.view(func(header []byte) {
		c := &cursor{file: m.file, data: header, at: v.at}
		if inner = use(c, v); inner == nil {
			inner = c.err
		}
	})
	return true, cmp.Or(err, inner)
}

// text returns a string, "" where there is none.
func (m *metadata) text(key string) (string, error) {
	var s string
	_, err := m.read(key, func(c *cursor, v value) error {
		if v.kind != kindString {
			return m.errorf(key, "must be a string, not %v", v.kind)
		}
		s = c.text(key, maxText)
		if !utf8.ValidString(s) {
			return m.errorf(key, "is not UTF-8")
		}
		return nil
	})
	return s, err
}

// texts returns an array of strings, nil where there is none. Their bytes are as they are.
func (m *metadata) texts(key string) ([]string, error) {
	var list []string
	_, err := m.read(key, func(c *cursor, v value) error {
		if v.kind != kindArray || v.of != kindString {
			return m.errorf(key, "must be an array of strings, not %v of %v", v.kind, v.of)
		}
		list = make([]string, 0, v.count) // each takes eight bytes of the file at least
		for range v.count {
			list = append(list, c.text(key, maxText))
		}
		return nil
	})
	return list, err
}

// numbers returns an array of numbers, or one number as an array, nil where there is none.
func (m *metadata) numbers(key string) ([]float64, error) {
	var list []float64
	_, err := m.read(key, func(c *cursor, v value) error {
		if v.kind != kindArray {
			v.of, v.count = v.kind, 1
		}
		size := kinds[v.of].size
		if size == 0 {
			return m.errorf(key, "must be numbers, not %v", v.of)
		}
		list = make([]float64, v.count)
		for i := range list {
			list[i] = number(v.of, c.take(size, key))
		}
		return nil
	})
	return list, err
}

// number gives a value of a kind of fixed size. Integers beyond 2^53 lose their last bits, which no key that is read has.
func number(k kind, b []byte) float64 {
	var bits [8]byte
	copy(bits[:], b)
	u := binary.LittleEndian.Uint64(bits[:])
	switch k {
	case kindI8:
		return float64(int8(u))
	case kindI16:
		return float64(int16(u))
	case kindI32:
		return float64(int32(u))
	case kindI64:
		return float64(int64(u))
	case kindF32:
		return float64(math.Float32frombits(uint32(u)))
	case kindF64:
		return math.Float64frombits(u)
	}
	return float64(u)
}

// integer returns a whole number, def where there is none.
func (m *metadata) integer(key string, def int64) (int64, error) {
	list, err := m.numbers(key)
	if err != nil || list == nil {
		return def, err
	}
	if len(list) != 1 || list[0] != math.Trunc(list[0]) || math.Abs(list[0]) > 1<<53 {
		return 0, m.errorf(key, "must be a whole number")
	}
	return int64(list[0]), nil
}

// truth returns a bool, def where there is none.
func (m *metadata) truth(key string, def bool) (bool, error) {
	list, err := m.numbers(key)
	if err != nil || list == nil {
		return def, err
	}
	if m.values[key].kind != kindBool || len(list) != 1 {
		return false, m.errorf(key, "must be a bool, not %v", m.values[key].kind)
	}
	return list[0] != 0, nil
}
