package gguf

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// writer makes GGUF files for tests, right and wrong ones.
type writer struct {
	version  uint32
	keys     []any // name, value, name, value, ...
	tensors  []testTensor
	keyCount uint64 // instead of the number of keys, when not 0
	align    int
}

type testTensor struct {
	name   string
	kind   uint32
	dims   []uint64 // columns first, as files have them
	data   []byte
	offset uint64 // added to the right one
}

func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		if s, ok := v.(string); ok {
			put(b, uint64(len(s)))
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
	array := func(of kind, n int) { put(b, uint32(kindArray), uint32(of), uint64(n)) }
	switch v := v.(type) {
	case raw:
		b.Write(v)
	case string:
		put(b, uint32(kindString), v)
	case bool:
		put(b, uint32(kindBool), v)
	case uint32:
		put(b, uint32(kindU32), v)
	case int:
		put(b, uint32(kindU32), uint32(v))
	case float64:
		put(b, uint32(kindF32), float32(v))
	case []string:
		array(kindString, len(v))
		for _, s := range v {
			put(b, s)
		}
	case []float32:
		array(kindF32, len(v))
		put(b, v)
	case []int32:
		array(kindI32, len(v))
		put(b, v)
	default:
		panic(v)
	}
}

// raw is the bytes of a type and a value.
type raw []byte

func (w *writer) bytes() []byte {
	var b bytes.Buffer
	version, count, align := w.version, w.keyCount, w.align
	if version == 0 {
		version = lastVersion
	}
	if count == 0 {
		count = uint64(len(w.keys) / 2)
	}
	if align == 0 {
		align = defaultAlignment
	}
	put(&b, uint32(magic), version, uint64(len(w.tensors)), count)
	for i := 0; i < len(w.keys); i += 2 {
		put(&b, w.keys[i])
		putValue(&b, w.keys[i+1])
	}
	offset := 0
	for _, t := range w.tensors {
		put(&b, t.name, uint32(len(t.dims)), t.dims, t.kind, uint64(offset)+t.offset)
		offset += (len(t.data) + align - 1) / align * align
	}
	pad := func() { b.Write(make([]byte, (align-b.Len()%align)%align)) }
	pad()
	for _, t := range w.tensors {
		b.Write(t.data)
		pad()
	}
	return b.Bytes()
}

func (w *writer) save(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, w.bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// set replaces a key's value, or adds the key.
func (w *writer) set(key string, v any) {
	for i := 0; i < len(w.keys); i += 2 {
		if w.keys[i] == key {
			w.keys[i+1] = v
			return
		}
	}
	w.keys = append(w.keys, key, v)
}

// tiny is a Llama of one layer with two heads of four channels, whose weights count up.
func tiny() *writer {
	w := &writer{keys: []any{
		"general.architecture", "llama", "llama.context_length", 64, "llama.embedding_length", 8, "llama.block_count", 1,
		"llama.feed_forward_length", 16, "llama.attention.head_count", 2, "llama.attention.head_count_kv", 1,
		"llama.attention.layer_norm_rms_epsilon", 1e-5, "llama.rope.dimension_count", 4, "llama.rope.freq_base", 10000.0,
		"tokenizer.ggml.model", "llama", tokensKey, []string{"<unk>", "<s>", "</s>", "▁", "a", "▁a"},
		scoresKey, []float32{0, 0, 0, -3, -2, -1}, typesKey, []int32{2, 3, 3, 1, 1, 1},
	}}
	for _, t := range []struct {
		name string
		dims []uint64
	}{
		{"token_embd.weight", []uint64{8, 6}}, {"output_norm.weight", []uint64{8}}, {"output.weight", []uint64{8, 6}},
		{"blk.0.attn_norm.weight", []uint64{8}}, {"blk.0.ffn_norm.weight", []uint64{8}},
		{"blk.0.attn_q.weight", []uint64{8, 8}}, {"blk.0.attn_k.weight", []uint64{8, 4}}, {"blk.0.attn_v.weight", []uint64{8, 4}},
		{"blk.0.attn_output.weight", []uint64{8, 8}}, {"blk.0.ffn_gate.weight", []uint64{8, 16}}, {"blk.0.ffn_up.weight", []uint64{8, 16}},
		{"blk.0.ffn_down.weight", []uint64{16, 8}},
	} {
		n := uint64(1)
		for _, d := range t.dims {
			n *= d
		}
		var data bytes.Buffer
		for i := range n {
			put(&data, float32(i))
		}
		w.tensors = append(w.tensors, testTensor{name: t.name, dims: t.dims, data: data.Bytes()})
	}
	return w
}
