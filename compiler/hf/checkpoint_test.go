package hf

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// counted returns a checkpoint file with one f32 matrix "w" [rows, cols] whose elements are 0, 1, 2, ...
func counted(t testing.TB, name string, rows, cols int64) string {
	t.Helper()
	n := rows * cols
	text := fileOf(headerOf(t, map[string]entry{name: {"F32", []int64{rows, cols}, [2]int64{0, 4 * n}}}), 0)
	for i := range n {
		u := math.Float32bits(float32(i))
		text = append(text, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
	}
	return string(text)
}

func open(t testing.TB, dir string) *Checkpoint {
	t.Helper()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestReadRowsAndColumns(t *testing.T) {
	c := open(t, directory(t, map[string]string{singleFile: counted(t, "w", 5, 3)}))
	w, err := c.Tensor("w", 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]float32, 6)
	if err := w.ReadRows(rows, 2, 4); err != nil || !slices.Equal(rows, []float32{6, 7, 8, 9, 10, 11}) {
		t.Errorf("rows 2:4 are %v, %v", rows, err)
	}
	cols := make([]float32, 10)
	if err := w.ReadColumns(cols, 1, 3); err != nil || !slices.Equal(cols, []float32{1, 4, 7, 10, 13, 2, 5, 8, 11, 14}) {
		t.Errorf("columns 1:3 are %v, %v", cols, err)
	}
	raw := make([]byte, 12)
	if err := w.ReadRaw(raw, 1, 2); err != nil || math.Float32frombits(uint32(raw[2])<<16|uint32(raw[3])<<24) != 3 {
		t.Errorf("raw row 1 is %v, %v", raw, err)
	}
	wantError(t, w.ReadRows(rows, 4, 6), `model.safetensors: tensor "w": range 4:6 of 5`)
	wantError(t, w.ReadRows(rows, 0, 1), "takes room for 3")
	wantError(t, w.ReadColumns(cols, 2, 4), "range 2:4 of 3")
	_, err = c.Tensor("w", 5, 4)
	wantError(t, err, `model.safetensors: tensor "w": has shape [5 3] instead of [5 4]`)
	_, err = c.Tensor("v", 2)
	wantError(t, err, `model.safetensors: tensor "v": is missing`, "[2]")
}

func TestShards(t *testing.T) {
	const a, b = "model-00001-of-00002.safetensors", "sub/model-00002-of-00002.safetensors"
	good := map[string]string{
		indexFile: `{"metadata":{"total_size":1},"weight_map":{"x":"` + a + `","y":"` + b + `"}}`,
		a:         counted(t, "x", 1, 2), b: counted(t, "y", 2, 2),
	}
	c := open(t, directory(t, good))
	if got := strings.Join(c.Names(), " "); got != "x y" {
		t.Errorf("tensors %q", got)
	}
	if got := c.WeightFiles(); !slices.Equal(got, []string{a, b, indexFile}) {
		t.Errorf("weight files %q", got)
	}
	_, err := c.Tensor("z", 1)
	wantError(t, err, indexFile+`: tensor "z": is missing`)

	for index, want := range map[string]string{
		`{"weight_map":{"x":"../x.safetensors"}}`:                 `file "../x.safetensors" is outside`,
		`{"weight_map":{"x":"/etc/x.safetensors"}}`:               "is outside",
		`{"weight_map":{"x":"a\\..\\x.safetensors"}}`:             "is outside",
		`{"weight_map":{"x":"a\u0000.safetensors"}}`:              "is outside",
		`{"weight_map":{"x":"pytorch_model.bin"}}`:                "is not a .safetensors file",
		`{"weight_map":{"x":"` + b + `"}}`:                        `tensor "x": is not in ` + b,
		`{"weight_map":{"x":"missing.safetensors"}}`:              "missing.safetensors: no such file",
		`{"weight_map":{"x":"` + a + `","x":"` + b + `"}}`:        "listed twice",
		`{"weight_map":{"x":7}}`:                                  "must be mapped to a file's name",
		`{"weight_map":{}}`:                                       "weight_map: is missing or empty",
		`{"metadata":{}}`:                                         "weight_map: is missing or empty",
		`{"weight_map":[]}`:                                       "weight_map: must be an object",
		`{"weight_map":{"x":"` + a + `"},"weight_map":{"y":"` + b: "is given twice",
		`{"weight_map":{"x":"` + a:                                "ends too early",
	} {
		files := map[string]string{a: good[a], b: good[b], indexFile: index}
		_, err := Open(directory(t, files))
		wantError(t, err, want)
	}

	twice := map[string]string{indexFile: `{"weight_map":{"x":"` + a + `","z":"` + b + `"}}`, a: good[a], b: counted(t, "x", 1, 2)}
	_, err = Open(directory(t, twice))
	wantError(t, err, indexFile+`: tensor "z": is not in `+b) // x is taken from the shard that the index names
}

func TestForeignFormatsAreRefused(t *testing.T) {
	for name, want := range map[string]string{
		"pytorch_model.bin":         "pickle, which can run code",
		"model.pt":                  "pickle",
		"consolidated.00.pth":       "pickle",
		"model.onnx":                "ONNX",
		"tf_model.h5":               "TensorFlow",
		"flax_model.msgpack":        "JAX",
		"model.keras":               "Keras",
		"saved_model.pb":            "TensorFlow graph",
		"consolidated.safetensors":  "author's own layout",
		"adapter_model.safetensors": "LoRA adapter",
		"weights.safetensors":       "does not use",
		"model.gguf":                "GGUF",
	} {
		_, err := Open(directory(t, map[string]string{name: "x"}))
		wantError(t, err, name+": ", want)
		if !errors.Is(err, ErrForeign) {
			t.Errorf("%v is not ErrForeign", err)
		}
	}
	_, err := Open(directory(t, nil))
	wantError(t, err, "model.safetensors: there are no weights")
	only := directory(t, map[string]string{"model.gguf": "x"})
	if err := os.Remove(filepath.Join(only, ConfigFile)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(only)
	wantError(t, err, "model.gguf: ", "it is GGUF, beside or without what this command reads")
}

func TestOpenNeedsADirectory(t *testing.T) {
	dir := directory(t, map[string]string{"model.bin": "x", "a.txt": "x"})
	_, err := Open(filepath.Join(dir, "model.bin"))
	wantError(t, err, "model.bin: ", "pickle")
	_, err = Open(filepath.Join(dir, "a.txt"))
	wantError(t, err, "a.txt: is a file")
	_, err = Open(filepath.Join(dir, "none"))
	wantError(t, err, "does not exist")
	_, err = Open("some-model")
	wantError(t, err, "some-model does not exist", "given as org/name")
	if err := os.Remove(filepath.Join(dir, ConfigFile)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir)
	wantError(t, err, "config.json: is missing")
	if err := os.Mkdir(filepath.Join(dir, ConfigFile), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir)
	wantError(t, err, "config.json: is not a regular file")
}

// The Hub's cache keeps files once and links to them from each revision.
func TestHubCacheLayout(t *testing.T) {
	root := t.TempDir()
	snapshot := filepath.Join(root, "snapshots", "main")
	if err := os.MkdirAll(snapshot, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{ConfigFile: `{}`, singleFile: counted(t, "w", 1, 2), "README.md": "card"} {
		put(t, root, filepath.Join("blobs", name+".blob"), text)
		if err := os.Symlink(filepath.Join("..", "..", "blobs", name+".blob"), filepath.Join(snapshot, name)); err != nil {
			t.Skip(err)
		}
	}
	c := open(t, snapshot)
	if d, err := c.Document(ModelCard); err != nil || d == nil || d.Name != "README.md" {
		t.Errorf("model card %v, %v", d, err)
	}
	if !c.Has("w") {
		t.Error("no tensor")
	}
}

func TestGeneration(t *testing.T) {
	dir := directory(t, map[string]string{
		ConfigFile:     `{"model_type":"llama","bos_token_id":1,"eos_token_id":2,"pad_token_id":-1}`,
		GenerationFile: `{"eos_token_id":[7,8],"temperature":0.6,"top_k":20,"do_sample":true,"top_p":null}`,
		singleFile:     counted(t, "w", 1, 1),
	})
	g := open(t, dir).Generation
	if g.BOS == nil || *g.BOS != 1 || !slices.Equal(g.EOS, []int32{7, 8}) || g.Pad != nil {
		t.Errorf("ids: bos %v, eos %v, pad %v", g.BOS, g.EOS, g.Pad)
	}
	if *g.Temperature != 0.6 || *g.TopK != 20 || !*g.DoSample || g.TopP != nil || g.MinP != nil {
		t.Errorf("sampling %+v", g)
	}
	put(t, dir, GenerationFile, `{"bos_token_id":[5,6],"eos_token_id":[9,-1]}`)
	if g := open(t, dir).Generation; *g.BOS != 5 || !slices.Equal(g.EOS, []int32{9}) {
		t.Errorf("ids: bos %v, eos %v", g.BOS, g.EOS)
	}
	put(t, dir, GenerationFile, `{"bos_token_id":-1,"eos_token_id":-1}`)
	if g := open(t, dir).Generation; *g.BOS != 1 || !slices.Equal(g.EOS, []int32{2}) {
		t.Errorf("ids that are none: bos %v, eos %v", g.BOS, g.EOS)
	}
	put(t, dir, GenerationFile, `{"temperature":-1}`)
	_, err := Open(dir)
	wantError(t, err, "generation_config.json: temperature: -1 is outside")
}

func TestDocumentsAndDigests(t *testing.T) {
	files := map[string]string{
		ConfigFile: `{}`, singleFile: counted(t, "w", 3, 100_000), "tokenizer.json": "{}", "LICENSE.txt": "free", "README.md": "card",
		"chat_template.jinja": "{{ x }}", "additional_chat_templates/tool_use.jinja": "{{ y }}", "unrelated.txt": "no",
	}
	c := open(t, directory(t, files))
	for part, want := range map[Part]string{Tokenizer: "{}", License: "free", ModelCard: "card", ChatTemplate: "{{ x }}"} {
		if d, err := c.Document(part); err != nil || d == nil || string(d.Data) != want {
			t.Errorf("part %d is %v, %v", part, d, err)
		}
	}
	if d, err := c.Document(Merges); d != nil || err != nil {
		t.Errorf("absent part gave %v, %v", d, err)
	}
	if named, err := NamedTemplates(c.Dir); err != nil || len(named) != 1 || named["tool_use"] != "{{ y }}" {
		t.Errorf("named templates %v, %v", named, err)
	}
	one, err := c.Digests(context.Background(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	many, err := c.Digests(context.Background(), 4, func(int64) {})
	if err != nil || !slices.Equal(one, many) {
		t.Errorf("digests differ with the number of threads: %v", err)
	}
	if len(one) != len(files)-1 {
		t.Errorf("%d digests of %d files", len(one), len(files)-1)
	}
	for _, d := range one {
		if want := sha256.Sum256([]byte(files[d.Name])); d.SHA256 != want || d.Bytes != int64(len(files[d.Name])) {
			t.Errorf("%s: %d bytes, %x", d.Name, d.Bytes, d.SHA256)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Digests(ctx, 2, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled digests gave %v", err)
	}
}

// Rows do not depend on how they are asked for, differ between names and seeds, and have the promised size.
func TestRandomWeights(t *testing.T) {
	dir := directory(t, nil)
	read := func(seed uint64, name string, step int64) []float32 {
		c, err := OpenRandom(dir, seed)
		if err != nil {
			t.Fatal(err)
		}
		w, err := c.Tensor(name, 64, 256)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float32, 64*256)
		for lo := int64(0); lo < 64; lo += step {
			if err := w.ReadRows(out[lo*256:(lo+step)*256], lo, lo+step); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	a := read(1, "w", 64)
	if !slices.Equal(a, read(1, "w", 1)) {
		t.Error("rows depend on the block that they are read in")
	}
	if slices.Equal(a, read(2, "w", 64)) || slices.Equal(a, read(1, "v", 64)) {
		t.Error("seed and name must change the numbers")
	}
	var sum, squares float64
	for _, x := range a {
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	n := float64(len(a))
	if mean, deviation := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.002 || math.Abs(deviation-1.0/16) > 0.002 {
		t.Errorf("mean %g, deviation %g, want 0 and 1/16", mean, deviation)
	}
	for spec, want := range map[string]uint64{"random:7": 7, "random:18446744073709551615": math.MaxUint64} {
		if seed, err := RandomSeed(spec); err != nil || seed != want {
			t.Errorf("%q gives %d, %v", spec, seed, err)
		}
	}
	for _, spec := range []string{"random", "random:", "random:-1", "zeros:1", "random:1x"} {
		if _, err := RandomSeed(spec); err == nil {
			t.Errorf("%q was accepted", spec)
		}
	}
}

func BenchmarkReadRows(b *testing.B) {
	const rows, cols = 512, 4096
	for _, row := range []struct{ dtype, bytes string }{{"F32", "4"}, {"BF16", "2"}, {"F16", "2"}} {
		size := int64(row.bytes[0]-'0') * rows * cols
		text := fileOf(headerOf(b, map[string]entry{"w": {row.dtype, []int64{rows, cols}, [2]int64{0, size}}}), int(size))
		c := open(b, directory(b, map[string]string{singleFile: string(text)}))
		benchmarkRows(b, row.dtype, c, rows, cols)
	}
	c, err := OpenRandom(directory(b, nil), 1)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkRows(b, "random", c, rows, cols)
}

func benchmarkRows(b *testing.B, name string, c *Checkpoint, rows, cols int64) {
	b.Run(name, func(b *testing.B) {
		w, err := c.Tensor("w", rows, cols)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]float32, 32*cols)
		b.SetBytes(4 * rows * cols)
		for b.Loop() {
			for lo := int64(0); lo < rows; lo += 32 {
				if err := w.ReadRows(dst, lo, lo+32); err != nil {
					b.Fatal(fmt.Errorf("%s: %w", name, err))
				}
			}
		}
	})
}
