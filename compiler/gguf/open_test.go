package gguf

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler/gguf/gguftest"
	"llmc/compiler/hf"
	"llmc/internal/dtype"
)

// TestOpen reads the tiny model: keys, names, and rows of q in the order of transformers.
func TestOpen(t *testing.T) {
	c, err := Open(tiny().Save(t, "model.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := c.Config.Fields()
	for key, want := range map[string]int64{
		"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
		"max_position_embeddings": 64, "vocab_size": 6, "bos_token_id": -1,
	} {
		if got := f.IntOr(key, -1, -1, 1<<30); got != want {
			t.Errorf("%s is %d, want %d", key, got, want)
		}
	}
	if eps := f.FloatOr("rms_norm_eps", 0, 0, 1); eps != 1e-5 || c.Config.ModelType != "llama" || f.BoolOr("tie_word_embeddings", false) {
		t.Errorf("rms_norm_eps %g, model_type %q, or tied", eps, c.Config.ModelType)
	}
	q, err := c.Tensor("model.layers.0.self_attn.q_proj.weight", 8, 8)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 64)
	if err := q.ReadRows(got, 0, 8); err != nil {
		t.Fatal(err)
	}
	for row, from := range []int{0, 2, 1, 3, 4, 6, 5, 7} { // channels 0, 1 of a head turn with 2, 3; the file has 0, 2, 1, 3
		if got[8*row] != float32(8*from) || got[8*row+7] != float32(8*from+7) {
			t.Errorf("row %d begins with %g, want that of row %d of the file", row, got[8*row], from)
		}
	}
	column := make([]float32, 16)
	if err := q.ReadColumns(column, 3, 5); err != nil || column[1] != 19 || column[8] != 4 {
		t.Errorf("columns 3 and 4: %v, %v", column, err)
	}
	stored := make([]byte, 64)
	if err := q.ReadRaw(stored, 1, 3); err != nil || !bytes.Equal(stored[:4], []byte{0, 0, 0x80, 0x41}) { // 16
		t.Errorf("bytes of row 1: %v, %v", stored, err)
	}
}

// TestPartsOfBlocks wants the same numbers from any range of elements.
func TestPartsOfBlocks(t *testing.T) {
	data := bytes.Repeat([]byte{0, 0x3c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 255}, 4)
	w := tiny()
	w.Tensors = append(w.Tensors, gguftest.Tensor{Name: "blk.0.extra.weight", Kind: 8, Dims: []uint64{64, 2}, Data: data})
	c, err := Open(w.Save(t, "model.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	x := c.Lookup("blk.0.extra.weight")
	if x == nil || x.Stored != "Q8_0" || x.DType != dtype.F32 || x.Codes() == nil {
		t.Fatalf("tensor %v", x)
	}
	want := make([]float32, 128)
	if err := x.ReadRows(want, 0, 2); err != nil || want[0] != 1 || want[31] != -1 {
		t.Fatalf("%v, %v", want, err)
	}
	for _, cols := range []int64{1, 2, 16, 32, 128} {
		view, err := x.View(cols)
		if err != nil {
			t.Fatal(err)
		}
		for lo := int64(0); lo < view.Rows(); lo++ {
			got := make([]float32, cols)
			if err := view.ReadRows(got, lo, lo+1); err != nil || !slices.Equal(got, want[lo*cols:(lo+1)*cols]) {
				t.Fatalf("row %d of %d columns: %v, %v", lo, cols, got, err)
			}
		}
	}
}

// saveParts writes a model in three files.
func saveParts(t *testing.T, change func(part int, w *gguftest.Writer)) string {
	t.Helper()
	dir := t.TempDir()
	whole := tiny()
	for i, name := range []string{"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"} {
		w := &gguftest.Writer{}
		if i == 0 {
			w.Keys = whole.Keys
		}
		w.Set(partKey, i)
		w.Set(partsKey, 3)
		w.Set(partTensorsKey, len(whole.Tensors))
		w.Tensors = whole.Tensors[4*i : 4*i+4]
		change(i, w)
		if err := os.WriteFile(filepath.Join(dir, name), w.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestParts(t *testing.T) {
	dir := saveParts(t, func(int, *gguftest.Writer) {})
	for _, path := range []string{dir, filepath.Join(dir, "m-00001-of-00003.gguf"), filepath.Join(dir, "m-00002-of-00003.gguf")} {
		if !Is(path) {
			t.Errorf("%s is not recognized", path)
		}
		c, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if names := c.Names(); len(names) != 12 || len(c.SourceFiles()) != 3 {
			t.Errorf("%d tensors of %d files", len(names), len(c.SourceFiles()))
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	for want, change := range map[string]func(part int, w *gguftest.Writer){
		"m-00002-of-00003.gguf: split.no: says that it is file 5": func(part int, w *gguftest.Writer) {
			if part == 1 {
				w.Set(partKey, 5)
			}
		},
		"split.count: says 4 files":          func(_ int, w *gguftest.Writer) { w.Set(partsKey, 4) },
		"split.tensors.count: says 9 tensor": func(_ int, w *gguftest.Writer) { w.Set(partTensorsKey, 9) },
		"is there twice": func(part int, w *gguftest.Writer) {
			if part == 2 {
				w.Tensors[0].Name = "token_embd.weight"
			}
		},
	} {
		refused(t, saveParts(t, change), want)
	}
	if err := os.Remove(filepath.Join(dir, "m-00003-of-00003.gguf")); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, "m-00003-of-00003.gguf: no such file")
	if err := os.WriteFile(filepath.Join(dir, "other.gguf"), tiny().Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, "other.gguf: lies beside m-00001-of-00003.gguf")
}

// refused wants an error of one line that names what is wrong.
func refused(t *testing.T, path, want string) {
	t.Helper()
	c, err := Open(path)
	if err == nil {
		c.Close()
		t.Errorf("no error, want one with %q", want)
		return
	}
	var e *hf.Error
	if text := err.Error(); !errors.As(err, &e) || !strings.Contains(text, want) || strings.Contains(text, "\n") {
		t.Errorf("error %q (%T), want one of a checkpoint with %q", text, err, want)
	}
}

// huge is a count that nothing is to be allocated for.
const huge = 1 << 40

func bytesOf(values ...any) gguftest.Raw {
	var b bytes.Buffer
	gguftest.Put(&b, values...)
	return b.Bytes()
}

// mistakes are changes to the tiny model with what its error says.
var mistakes = []struct {
	want   string
	change func(w *gguftest.Writer)
}{
	{"version: byte 8: 1 is not read", func(w *gguftest.Writer) { w.Version = 1 }},
	{"version: byte 8: the file is big-endian", func(w *gguftest.Writer) { w.Version = 0x03000000 }},
	{"version: byte 8: 99 is not read", func(w *gguftest.Writer) { w.Version = 99 }},
	{"metadata_kv_count: byte 24: 1099511627776 keys, at most 65536", func(w *gguftest.Writer) { w.KeyCount = huge }},
	{"metadata_kv_count: byte 24: 65536 keys do not fit", func(w *gguftest.Writer) { w.KeyCount = 1 << 16 }},
	{"general.architecture: is missing", func(w *gguftest.Writer) { w.Keys[0] = "general.other" }},
	{`general.architecture: "bert" is not supported; supported are llama`, func(w *gguftest.Writer) { w.Keys[1] = "bert" }},
	{"general.architecture: must be a string, not uint32", func(w *gguftest.Writer) { w.Keys[1] = 7 }},
	{"x: byte ", func(w *gguftest.Writer) { w.Set("x", bytesOf(uint32(99))) }},
	{"has type 99, which GGUF does not define", func(w *gguftest.Writer) { w.Set("x", bytesOf(uint32(99))) }},
	{"1099511627776 bytes of a string, at most", func(w *gguftest.Writer) { w.Set("x", bytesOf(uint32(kindString), uint64(huge))) }},
	{"1099511627776 elements, at most", func(w *gguftest.Writer) { w.Set("x", bytesOf(uint32(kindArray), uint32(kindU8), uint64(huge))) }},
	{"4194304 elements do not fit", func(w *gguftest.Writer) { w.Set("x", bytesOf(uint32(kindArray), uint32(kindString), uint64(1<<22))) }},
	{"is an array of type 99", func(w *gguftest.Writer) { w.Set("x", bytesOf(uint32(kindArray), uint32(99), uint64(1))) }},
	{"arrays nested more than 4 deep", func(w *gguftest.Writer) {
		var v []any
		for range 20 {
			v = append(v, uint32(kindArray), uint64(1))
		}
		w.Set("x", bytesOf(append([]any{uint32(kindArray)}, append(v, uint32(kindU8), uint64(0))...)...))
	}},
	{`metadata key 1: byte `, func(w *gguftest.Writer) { w.Keys[2] = "general.architecture" }},
	{"general.alignment: 24 is not a power of two", func(w *gguftest.Writer) { w.Set(alignmentKey, 24) }},
	{"general.alignment: 0 is not a power of two", func(w *gguftest.Writer) { w.Set(alignmentKey, 0) }},
	{"general.alignment: must be numbers, not string", func(w *gguftest.Writer) { w.Set(alignmentKey, "x") }},
	{`tensor "token_embd.weight": has 5 dimensions`, func(w *gguftest.Writer) { firstTensor(w).Dims = []uint64{8, 6, 1, 1, 1} }},
	{`tensor "token_embd.weight": has 0 dimensions`, func(w *gguftest.Writer) { firstTensor(w).Dims = nil }},
	{"has a dimension of 1099511627776", func(w *gguftest.Writer) { firstTensor(w).Dims = []uint64{huge, huge} }},
	{"has a dimension of 0", func(w *gguftest.Writer) { firstTensor(w).Dims = []uint64{8, 0} }},
	{"has type 99, which is not known", func(w *gguftest.Writer) { firstTensor(w).Kind = 99 }},
	{"has type IQ2_XXS, which is not read", func(w *gguftest.Writer) { firstTensor(w).Kind = 16 }},
	{"has rows of 8 elements, which are no blocks of 32 of Q4_0", func(w *gguftest.Writer) { firstTensor(w).Kind = 2 }},
	{"has offset 4, which is no multiple of the alignment 32", func(w *gguftest.Writer) { firstTensor(w).Offset = 4 }},
	{"from 1099511627776 on, but there are", func(w *gguftest.Writer) { firstTensor(w).Offset = huge }},
	{"has offset 9223372036854775808, beyond any file", func(w *gguftest.Writer) { firstTensor(w).Offset = 1 << 63 }},
	{`tensor "output_norm.weight": begins inside tensor "token_embd.weight"`, func(w *gguftest.Writer) { w.Tensors[1].Offset -= 32 }},
	{`is empty or there twice`, func(w *gguftest.Writer) { firstTensor(w).Name = "output.weight" }},
	{`is empty or there twice`, func(w *gguftest.Writer) { firstTensor(w).Name = "" }},
	{"llama.attention.head_count: is not a finite number", func(w *gguftest.Writer) {
		w.Set("llama.attention.head_count", gguftest.Raw(bytesOf(uint32(kindF32), uint32(0x7fc00000))))
	}},
	{"llama.rope.dimension_count: 2 differs from 4", func(w *gguftest.Writer) { w.Set("llama.rope.dimension_count", 2) }},
	{"blk.0.attn_q.weight\": has 8 rows, which are no heads of 16", func(w *gguftest.Writer) {
		w.Set("llama.rope.dimension_count", 16)
		w.Set("llama.attention.key_length", 16)
	}},
	{`tokenizer.ggml.model: "t5" is not supported`, func(w *gguftest.Writer) { w.Set(modelKey, "t5") }},
	{"tokenizer.ggml.scores: has 1 entries, there are 6 tokens", func(w *gguftest.Writer) { w.Set(scoresKey, []float32{1}) }},
	{"tokenizer.ggml.token_type: has 1 entries, there are 6 tokens", func(w *gguftest.Writer) { w.Set(typesKey, []int32{1}) }},
	{"tokenizer.ggml.token_type: token 0 has type 9", func(w *gguftest.Writer) { w.Set(typesKey, []int32{9, 1, 1, 1, 1, 1}) }},
	{"tokenizer.ggml.tokens: token 3 is not UTF-8", func(w *gguftest.Writer) { w.Set(tokensKey, []string{"a", "b", "c", "\xff", "d", "e"}) }},
	{"tokenizer.ggml.tokens: must be an array of strings", func(w *gguftest.Writer) { w.Set(tokensKey, 3) }},
	{"tokenizer.ggml.pre: is missing", func(w *gguftest.Writer) { w.Set(modelKey, "gpt2") }},
	{`tokenizer.ggml.pre: "new" is not supported`, func(w *gguftest.Writer) { w.Set(modelKey, "gpt2"); w.Set(preKey, "new") }},
	{"tokenizer.ggml.merges: is missing", func(w *gguftest.Writer) { w.Set(modelKey, "gpt2"); w.Set(preKey, "gpt-2") }},
	{"tokenizer.ggml.add_bos_token: must be a bool, not uint32", func(w *gguftest.Writer) { w.Set(addBOSKey, 1) }},
	{"tokenizer.ggml.bos_token_id: must be a whole number", func(w *gguftest.Writer) { w.Set(bosKey, 1.5) }},
	{`tensor "rope_freqs.weight": holds 0, which divides no frequency`, func(w *gguftest.Writer) {
		w.Tensors = append(w.Tensors, gguftest.Tensor{Name: frequencies, Dims: []uint64{2}, Data: make([]byte, 8)})
	}},
	{`tensor "rope_freqs.weight": must be a vector`, func(w *gguftest.Writer) {
		w.Tensors = append(w.Tensors, gguftest.Tensor{Name: frequencies, Dims: []uint64{2, 1}, Data: make([]byte, 8)})
	}},
}

// TestExperts wants a matrix, or a bias, for each expert.
func TestExperts(t *testing.T) {
	for _, shape := range [][]uint64{{8}, {8, 1 << 13}} {
		w := tiny()
		size := shape[0] * 4
		if len(shape) > 1 {
			size *= shape[1]
		}
		w.Tensors = append(w.Tensors, gguftest.Tensor{Name: "blk.0.ffn_gate_exps.weight", Dims: shape, Data: make([]byte, size)})
		refused(t, w.Save(t, "model.gguf"), "it must hold a matrix, or a bias, for each of up to 4096 experts")
	}
}

func firstTensor(w *gguftest.Writer) *gguftest.Tensor { return &w.Tensors[0] }

// TestRefused has one mistake at a time.
func TestRefused(t *testing.T) {
	for _, c := range mistakes {
		w := tiny()
		c.change(w)
		refused(t, w.Save(t, "model.gguf"), c.want)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"empty.gguf": nil, "short.gguf": tiny().Bytes()[:40], "other.gguf": []byte("PK\x03\x04 something else entirely")} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, path, name+": ")
	}
	whole := tiny().Bytes()
	path := filepath.Join(dir, "cut.gguf")
	if err := os.WriteFile(path, whole[:len(whole)-40], 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "the file is truncated, or the header wrong")
}

// FuzzOpen opens whatever it is given and reads all of it. Seeds are the tiny model whole and with bytes changed.
func FuzzOpen(f *testing.F) {
	f.Add(tiny().Bytes())
	bpe := tiny()
	bpe.Set(modelKey, "gpt2")
	bpe.Set(preKey, "qwen2")
	bpe.Set(mergesKey, []string{"▁ a"})
	bpe.Set(templateKey, "{{ messages }}")
	bpe.Set("llama.rope.scaling.type", "linear")
	bpe.Set("llama.rope.scaling.factor", 2.0)
	bpe.Tensors = append(bpe.Tensors, gguftest.Tensor{Name: "x", Kind: 12, Dims: []uint64{256, 2}, Data: make([]byte, 288)})
	f.Add(bpe.Bytes())
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "model.gguf")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Open(path)
		if err != nil {
			if e := (*hf.Error)(nil); !errors.As(err, &e) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q of type %T", err, err)
			}
			return
		}
		defer c.Close()
		for _, name := range c.Names() {
			x := c.Lookup(name)
			row := make([]float32, x.Cols())
			for r := range x.Rows() {
				if err := x.ReadRows(row, r, r+1); err != nil {
					t.Errorf("%v: %v", x, err)
				}
			}
		}
	})
}
