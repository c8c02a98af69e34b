// Package gguftest writes GGUF files. Only tests import it.
package gguftest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// Writer makes files, right and wrong ones.
type Writer struct {
	Version  uint32 // 0: the last
	Keys     []any  // name, value, name, value, ...
	Tensors  []Tensor
	KeyCount uint64 // instead of the number of keys, when not 0
	Align    int    // 0: as without the key of it
}

// Tensor is a tensor of a file.
type Tensor struct {
	Name   string
	Kind   uint32   // of enum ggml_type
	Dims   []uint64 // columns first, as files have them
	Data   []byte
	Offset uint64 // added to the right one
}

// Types of values, and what a file begins with.
const (
	kindU32, kindI32, kindF32, kindBool, kindString, kindArray = 4, 5, 6, 7, 8, 9

	magic            = 0x46554747
	lastVersion      = 3
	defaultAlignment = 32
)

// Put writes values as files have them: little-endian, strings behind their length.
func Put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		if s, ok := v.(string); ok {
			Put(b, uint64(len(s)))
			b.WriteString(s)
			continue
		}
		if err := binary.Write(b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
}

// putValue writes a value with its type.
func putValue(b *bytes.Buffer, v any) {
	array := func(of, n int) { Put(b, uint32(kindArray), uint32(of), uint64(n)) }
	switch v := v.(type) {
	case Raw:
		b.Write(v)
	case string:
		Put(b, uint32(kindString), v)
	case bool:
		Put(b, uint32(kindBool), v)
	case uint32:
		Put(b, uint32(kindU32), v)
	case int:
		Put(b, uint32(kindU32), uint32(v))
	case float64:
		Put(b, uint32(kindF32), float32(v))
	case []string:
		array(kindString, len(v))
		for _, s := range v {
			Put(b, s)
		}
	case []float32:
		array(kindF32, len(v))
		Put(b, v)
	case []int32:
		array(kindI32, len(v))
		Put(b, v)
	default:
		panic(v)
	}
}

// Raw is the bytes of a type and a value.
type Raw []byte

// Bytes returns the file.
func (w *Writer) Bytes() []byte {
	var b bytes.Buffer
	version, count, align := w.Version, w.KeyCount, w.Align
	if version == 0 {
		version = lastVersion
	}
	if count == 0 {
		count = uint64(len(w.Keys) / 2)
	}
	if align == 0 {
		align = defaultAlignment
	}
	Put(&b, uint32(magic), version, uint64(len(w.Tensors)), count)
	for i := 0; i < len(w.Keys); i += 2 {
		Put(&b, w.Keys[i])
		putValue(&b, w.Keys[i+1])
	}
	offset := 0
	for _, t := range w.Tensors {
		Put(&b, t.Name, uint32(len(t.Dims)), t.Dims, t.Kind, uint64(offset)+t.Offset)
		offset += (len(t.Data) + align - 1) / align * align
	}
	pad := func() { b.Write(make([]byte, (align-b.Len()%align)%align)) }
	pad()
	for _, t := range w.Tensors {
		b.Write(t.Data)
		pad()
	}
	return b.Bytes()
}

// Save writes the file into a directory of the test and returns its path.
func (w *Writer) Save(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, w.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Set replaces a key's value, or adds the key.
func (w *Writer) Set(key string, v any) {
	for i := 0; i < len(w.Keys); i += 2 {
		if w.Keys[i] == key {
			w.Keys[i+1] = v
			return
		}
	}
	w.Keys = append(w.Keys, key, v)
}
