package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// The fixture is a model of one layer without attention projections: 48 tokens of vocabulary, hidden size 64, two heads of 16
// and one KV head. Every table of the format has something in it.
const (
	fixtureVocab  = 48
	fixtureHidden = 64
)

func fixtureInfo() ModelInfo {
	temperature := float32(0.75)
	return ModelInfo{Name: "fixture", Family: "llama", Vocab: fixtureVocab, Hidden: fixtureHidden, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 16,
		Parameters: 9000, MaxContext: 128, Quant: "bf16", BitsPerW: 16, BOS: 1, EOS: []int32{2, 3}, Generation: GenerationDefaults{Temperature: &temperature}}
}

func fixtureWeights() []WeightEntry {
	return []WeightEntry{
		{Name: "embed", Layout: "bf16", Format: "bf16", Shape: []int64{fixtureVocab, fixtureHidden}, Bytes: 64 * 64 * 2, Recipe: "model.embed_tokens.weight"},
		{Name: "norm", DType: "f32", Shape: []int64{fixtureHidden}, Bytes: 4 * fixtureHidden, Recipe: "model.norm.weight"},
		{Name: "qkv", Layout: "u8", Format: "int8", Shape: []int64{64, fixtureHidden}, Bytes: 2 * (32*64 + 32*4),
			Recipe: "(cat q_proj.weight k_proj.weight v_proj.weight)"},
		{Name: "inv_freq", DType: "f32", Shape: []int64{1, 8}, Bytes: 32, Recipe: "rope default"},
	}
}

func buf(name string, slot int, rows sym.Symbol, cols, stride int64, t dtype.Type) Buffer {
	return Buffer{Name: name, Slot: slot, Rows: sym.Of(rows), Cols: cols, Stride: stride, DType: t}
}

func ops(list ...any) []Operand {
	var out []Operand
	for i := 0; i < len(list); i += 2 {
		out = append(out, Operand{Kind: list[i].(OperandKind), Index: list[i+1].(int)})
	}
	return out
}

// fixtureProgram is a valid program, though not a useful one.
func fixtureProgram(target string) *Program {
	const b, w, c, in, none = OperandBuffer, OperandWeight, OperandCache, OperandInput, OperandNone
	rope := []Attr{{Name: "rotary_dim", Int: 16}, {Name: "style", Text: "half"}, {Name: "mode", Text: "static"}}
	heads := []Attr{{Name: "layer"}, {Name: "heads", Int: 2}, {Name: "kv_heads", Int: 1}, {Name: "dim", Int: 16}}
	q8 := buf("codes", 2, sym.T, 64, 256, dtype.Invalid)
	q8.Format, q8.Group = "q16t", 64
	return &Program{
		Func: "step", Target: target,
		Slots: []sym.Dim{sym.Of(sym.T).Scale(256), sym.Of(sym.T).Scale(256), sym.Of(sym.T).Scale(256), sym.Of(sym.R).Scale(512)},
		Buffers: []Buffer{
			buf("x", 0, sym.T, 64, 256, dtype.F32), buf("n", 1, sym.T, 64, 256, dtype.F32), q8,
			buf("qkv", 0, sym.T, 64, 256, dtype.F32), buf("q", 1, sym.T, 32, 128, dtype.F32), buf("a", 2, sym.T, 32, 128, dtype.F32),
			buf("rows", 3, sym.R, 64, 256, dtype.F32), {Name: "last", Slot: 3, Rows: sym.Of(sym.R), Cols: 64, Stride: 128, DType: dtype.BF16},
			buf("logits", 3, sym.R, fixtureVocab, 192, dtype.F32), buf("wide", 0, sym.T, 64, 256, dtype.F32),
		},
		Weights: []string{"embed", "norm", "qkv", "inv_freq"},
		Caches:  []Cache{{Name: "kv", Kind: "paged", Layers: 1, KVHeads: 1, Dim: 16, DType: dtype.BF16}},
		Launches: []Launch{
			{Kernel: "cpu.gather", Label: "embed", Operands: ops(w, 0, in, 0, b, 0)},
			{Kernel: "cpu.rmsnorm", Label: "layer 0 norm", Operands: ops(b, 0, w, 1, b, 1), Attrs: []Attr{{Name: "eps", Float: 1e-5}}, Sync: true},
			{Kernel: "cpu.quantize", Label: "layer 0 qkv input", Operands: ops(b, 1, b, 2), Sync: true},
			{Kernel: "cpu.linear", Label: "layer 0 qkv", Operands: ops(b, 2, w, 2, none, 0, b, 3), Sync: true},
			{Kernel: "cpu.rope_kv", Label: "layer 0 rope", Operands: ops(b, 3, in, 1, in, 2, in, 3, w, 3, c, 0, none, 0, none, 0, b, 4), Attrs: append(heads, rope...), Sync: true},
			{Kernel: "cpu.attention", Label: "layer 0 attention", Operands: ops(b, 4, in, 1, c, 0, none, 0, none, 0, b, 5),
				Attrs: append(heads[:4:4], Attr{Name: "scale", Float: 0.25}), Sync: true},
			{Kernel: "cpu.select_rows", Label: "rows", Operands: ops(b, 9, in, 4, b, 6), Sync: true},
			{Kernel: "cpu.cast", Label: "head input", Operands: ops(b, 6, b, 7), Sync: true},
			{Kernel: "cpu.linear", Label: "head", Operands: ops(b, 7, w, 0, none, 0, b, 8), Sync: true},
		},
		Logits: 8,
	}
}

func fixtureSpec(t testing.TB) Spec {
	t.Helper()
	info := fixtureInfo()
	sum := sha256.Sum256([]byte("checkpoint"))
	provenance := Provenance{Compiler: "0.1.0", Files: []SourceFile{{Name: "model.safetensors", Bytes: 10, SHA256: sum[:]}}, Options: []Option{{"quant", "bf16"}}}
	spec := Spec{Weights: fixtureWeights(), Late: []string{KindAccuracy}}
	add := func(c Content, err error) {
		if err != nil {
			t.Fatal(err)
		}
		spec.Sections = append(spec.Sections, c)
	}
	add(InfoContent(&info))
	for _, target := range []string{"x86-64-v3", "x86-64-v4-vnni"} {
		add(ProgramContent(fixtureProgram(target)))
	}
	for _, c := range []Content{{KindTokenizer, "", []byte("binary tokenizer")}, {KindTokenizerFile, "tokenizer.json", []byte(`{"model":{}}`)},
		{KindTemplate, "default", []byte("{{ messages[0].content }}")}, {KindIR, "import", []byte("func @step()\n")}, {KindIR, "final", []byte("func @step()\n")},
		{KindCard, "", []byte("# Fixture\n")}, {KindLicense, "", nil}} {
		add(c, nil)
	}
	add(RulesContent([]RuleCount{{"fuse-qkv", "qkv", 1}}))
	add(ProvenanceContent(&provenance))
	const text = ".version 7.8\n.target sm_80\n"
	add(Content{KindPTX, "sm80", []byte(text)}, nil)
	add(CubinContent("sm80", &Cubin{Arch: "sm_80", Assembler: "12.2.140", PTX: SumPTX(text), Image: []byte("\x7fELF and the rest")}))
	return spec
}

// weightBytes are reproducible bytes of weight i.
func weightBytes(i int, n int64) []byte {
	r := rand.New(rand.NewPCG(uint64(i), 7))
	b := make([]byte, roundUp(n, 8))
	for at := 0; at < len(b); at += 8 {
		binary.LittleEndian.PutUint64(b[at:], r.Uint64())
	}
	return b[:n]
}

// writePlan writes spec with its weights cut into parts of at most part bytes, which threads goroutines write in a random order.
func writePlan(t testing.TB, path string, spec Spec, threads, part int, seed uint64) (digest string) {
	t.Helper()
	w, err := NewWriter(path, spec)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	writeWeights(t, w, spec, threads, part, seed)
	for _, kind := range spec.Late {
		if err := w.WriteLate(kind, []byte(`{"ppl":12.5}`)); err != nil {
			t.Fatal(err)
		}
	}
	if digest, err = w.Finish(); err != nil {
		t.Fatal(err)
	}
	return digest
}

func writeWeights(t testing.TB, w *Writer, spec Spec, threads, part int, seed uint64) {
	type piece struct{ weight, at, end int }
	var pieces []piece
	data := make([][]byte, len(spec.Weights))
	for i, e := range spec.Weights {
		data[i] = weightBytes(i, e.Bytes)
		for at := 0; at < len(data[i]); at += part {
			pieces = append(pieces, piece{i, at, min(at+part, len(data[i]))})
		}
	}
	if seed != 0 {
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	}
	var wg sync.WaitGroup
	for thread := range threads {
		wg.Go(func() {
			for i := thread; i < len(pieces); i += threads {
				p := pieces[i]
				if _, err := w.Weight(p.weight).WriteAt(data[p.weight][p.at:p.end], int64(p.at)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// fixturePlan writes the fixture and returns its path.
func fixturePlan(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fixture.plan")
	writePlan(t, path, fixtureSpec(t), 1, 1<<20, 0)
	return path
}
