package cpu_test

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"llmc/codegen"
	"llmc/codegen/x86"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/passes"
	"llmc/runtime/device/cpu"
)

// shape is a tiny decoder in the form of Llama, every size odd where it may be.
type shape struct {
	layers, hidden, heads, kvHeads, dim, inner, vocab int
	window, chunk                                     int
	every                                             int // positions for which queries are scaled alike; 0: they are not
	rope                                              ir.Rope
	bias                                              bool
	kv                                                dtype.Type
}

// module builds the decoder as a model family would import it.
func (s shape) module(t *testing.T) *ir.Module {
	b := ir.NewBuilder("tiny")
	kv := b.PagedCache("kv", s.layers, s.kvHeads, s.dim, s.kv)
	matrix := func(name string, n, k int) *ir.Value { return b.Weight(name, dtype.F32, n, k) }
	bias := func(name string, n int) *ir.Value {
		if !s.bias {
			return nil
		}
		return b.Weight(name, dtype.F32, n)
	}
	embed := matrix("embed", s.vocab, s.hidden)
	rope := s.rope
	rope.InvFreq = b.Constant("inv_freq", frequencies(s.dim, rope.Mode), variants(rope.Mode), s.dim/2)
	step := b.Step(kv)
	x, token := b.Gather(embed, step.IDs), step.Token
	for l := range s.layers {
		name := func(part string) string { return fmt.Sprintf("l%d.%s", l, part) }
		n := b.RMSNorm(x, b.Weight(name("ln1"), dtype.F32, s.hidden), 1e-5)
		q := b.Linear(n, matrix(name("q"), s.heads*s.dim, s.hidden), bias(name("qb"), s.heads*s.dim))
		k := b.Linear(n, matrix(name("k"), s.kvHeads*s.dim, s.hidden), bias(name("kb"), s.kvHeads*s.dim))
		v := b.Linear(n, matrix(name("v"), s.kvHeads*s.dim, s.hidden), bias(name("vb"), s.kvHeads*s.dim))
		q = b.Rope(q, step, rope, s.heads, s.dim)
		if s.every > 0 {
			q = b.ScalePositions(q, step, 0.5, s.every)
		}
		if rope.Static() {
			k = b.Rope(k, step, rope, s.kvHeads, s.dim)
		}
		token = b.KVWrite(token, k, v, l)
		a := b.Attention(q, token, step, ir.Attention{
			Layer: l, Heads: s.heads, KVHeads: s.kvHeads, Dim: s.dim, Scale: 1 / math.Sqrt(float64(s.dim)), Window: s.window, Chunk: s.chunk, Rope: rope,
		})
		x = b.Add(x, b.Linear(a, matrix(name("o"), s.hidden, s.heads*s.dim), nil))
		n = b.RMSNorm(x, b.Weight(name("ln2"), dtype.F32, s.hidden), 1e-5)
		gate := b.SiLU(b.Linear(n, matrix(name("gate"), s.inner, s.hidden), bias(name("gateb"), s.inner)))
		up := b.Linear(n, matrix(name("up"), s.inner, s.hidden), bias(name("upb"), s.inner))
		x = b.Add(x, b.Linear(b.Mul(gate, up), matrix(name("down"), s.hidden, s.inner), bias(name("downb"), s.hidden)))
	}
	x = b.SelectRows(x, step.Rows)
	b.Return(b.Linear(b.RMSNorm(x, b.Weight("norm", dtype.F32, s.hidden), 1e-5), embed, nil), token)
	m, err := b.Module()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func variants(mode string) int {
	if mode == "longrope" {
		return 2
	}
	return 1
}

func frequencies(dim int, mode string) []float32 {
	var f []float32
	for v := range variants(mode) {
		for i := range dim / 2 {
			f = append(f, float32(math.Pow(100, -float64(2*i)/float64(dim))/float64(1+v)))
		}
	}
	return f
}

// kernels is the plainest choice for each op.
var kernels = map[string]string{
	"gather": "cpu.gather", "rmsnorm": "cpu.rmsnorm", "linear": "cpu.linear", "rope": "cpu.rope", "kv.write": "cpu.kv_write",
	"attn.paged": "cpu.attention", "add": "cpu.add", "mul": "cpu.mul", "silu": "cpu.silu", "select_rows": "cpu.select_rows",
	"scale_positions": "cpu.scale_positions",
}

// lowerPlainly gives every op its plain kernel, every value its own memory, and waits before every launch.
func lowerPlainly(m *ir.Module) {
	f := m.Func("step")
	for _, op := range f.Ops {
		op.Kernel, op.Sync = kernels[op.Kind.Name], true
		for _, r := range op.Results {
			if r.Type.IsToken() {
				continue
			}
			cols, _ := r.Type.Cols()
			r.Place = &ir.Place{Slot: len(f.Slots), Stride: 4 * cols}
			f.Slots = append(f.Slots, r.Type.Rows().Scale(4*cols).Add(sym.Const(64)))
		}
	}
	for _, w := range m.Weights {
		if w.Type.Rank() == 2 && w.Name != "inv_freq" {
			w.Type.Layout = "f32"
		}
	}
}

// lowerFused runs all passes.
func lowerFused(t *testing.T, m *ir.Module) {
	t.Helper()
	row, err := engine.FindTarget("x86-64-v3")
	check(t, err)
	target, err := x86.NewTarget(row)
	check(t, err)
	_, err = passes.Run(m, passes.Options{Target: target, Policy: passes.Policy{Linear: "f32"}, Check: true})
	check(t, err)
	for _, op := range m.Func("step").Ops {
		if op.Kind.Name == "linear" && op.Args[1].Weight.Name == "l0.q" || op.Kind.Name == "rope" {
			t.Errorf("%s is left after fusion", op.Kind.Name)
		}
	}
}

// write makes a plan of a lowered module.
func write(t *testing.T, m *ir.Module, weights interp.Weights, info engine.ModelInfo) string {
	t.Helper()
	program, err := codegen.Emit(m, m.Func("step"), "x86-64-v3", nil)
	check(t, err)
	infoContent, err := engine.InfoContent(&info)
	check(t, err)
	programContent, err := engine.ProgramContent(program)
	check(t, err)
	spec := engine.Spec{Sections: []engine.Content{infoContent, programContent}}
	var packed [][]byte
	for _, w := range m.Weights {
		data, err := interp.Elements(w, weights)
		check(t, err)
		rows, _ := w.Type.Rows().IsConst()
		cols, _ := w.Type.Cols()
		entry := engine.WeightEntry{Name: w.Name, DType: "f32", Shape: []int64{rows, cols}}
		if w.Type.Rank() == 1 {
			entry.Shape = entry.Shape[:1]
		}
		bytes := floatBytes(data)
		if w.Type.Layout != "" {
			entry.Layout, entry.DType = w.Type.Layout, ""
			entry.Segment = w.Segment
			bytes = pack(t, data, int(rows), int(cols), int(w.Segment))
		}
		entry.Bytes = int64(len(bytes))
		spec.Weights = append(spec.Weights, entry)
		packed = append(packed, bytes)
	}
	path := filepath.Join(t.TempDir(), "tiny.plan")
	writer, err := engine.NewWriter(path, spec)
	check(t, err)
	for i, b := range packed {
		_, err := writer.Weight(i).Write(b)
		check(t, err)
	}
	_, err = writer.Finish()
	check(t, err)
	return path
}

func pack(t *testing.T, data []float32, n, k, segment int) []byte {
	l, err := layout.New("f32", n, k, segment)
	check(t, err)
	out := make([]byte, l.Bytes())
	for p := range l.Panels() {
		check(t, l.PackFloats(l.Panel(out, p), data[p*layout.Lanes*k:min(n, (p+1)*layout.Lanes)*k]))
	}
	return out
}

func floatBytes(data []float32) []byte {
	var out []byte
	for _, f := range data {
		bits := math.Float32bits(f)
		out = append(out, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
	}
	return out
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s shape) info() engine.ModelInfo {
	return engine.ModelInfo{Name: "tiny", Vocab: s.vocab, Hidden: s.hidden, Layers: s.layers, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim, MaxContext: 512}
}

var base = shape{layers: 2, hidden: 40, heads: 6, kvHeads: 2, dim: 12, inner: 52, vocab: 77, kv: dtype.F32}

// TestPrograms runs programs of the plainest kernels and wants the interpreter's logits at every position.
func TestPrograms(t *testing.T) {
	for name, change := range map[string]func(*shape){
		"llama":    func(*shape) {},
		"biases":   func(s *shape) { s.bias = true },
		"window":   func(s *shape) { s.window = 9 },
		"chunks":   func(s *shape) { s.chunk, s.every = 24, 7 },
		"longrope": func(s *shape) { s.rope = ir.Rope{Mode: "longrope", OriginalMax: 30, Factor: 1.1} },
		"dynamic":  func(s *shape) { s.rope = ir.Rope{Mode: "dynamic", MaxPositions: 20, Base: 100, DynamicFactor: 2} },
		"pairs":    func(s *shape) { s.rope = ir.Rope{Style: "interleaved", RotaryDim: 0} },
	} {
		t.Run(name, func(t *testing.T) {
			s := base
			change(&s)
			m := s.module(t)
			weights, err := interp.NewRandomWeights(m, 1)
			check(t, err)
			tokens := make([]int32, 67)
			for i := range tokens {
				tokens[i] = int32(i * 31 % s.vocab)
			}
			batch := &interp.Batch{}
			batch.Add(0, 0, len(tokens), tokens...)
			batch.SampleAll()
			want, err := interp.New(m, weights).Run("step", batch)
			check(t, err)

			plain := m.Clone()
			lowerPlainly(plain)
			compare(t, write(t, plain, weights, s.info()), tokens, want[0], 1e-5)
			lowerFused(t, m)
			compare(t, write(t, m, weights, s.info()), tokens, want[0], 1e-5)
		})
	}
}

// compare runs tokens in uneven chunks and compares all logits with want, relative to their range.
func compare(t *testing.T, path string, tokens []int32, want interp.Tensor, tolerance float64) {
	t.Helper()
	plan, err := engine.Open(path)
	check(t, err)
	defer plan.Close()
	model, err := (cpu.Device{}).Load(plan, engine.Settings{MaxStepTokens: 23, MaxSequences: 4, MaxRows: 23, MaxContext: 128})
	check(t, err)
	defer model.Close()
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range want.Data {
		lo, hi = min(lo, float64(v)), max(hi, float64(v))
	}
	worst, seen := 0.0, 0
	all := func(int) bool { return true }
	check(t, engine.Forward(model, want.Cols, tokens, all, func(position int, logits []float32) error {
		for i, v := range logits {
			worst = max(worst, math.Abs(float64(v)-float64(want.Row(position)[i]))/(hi-lo))
		}
		seen++
		return nil
	}))
	if seen != len(tokens) || !(worst <= tolerance) {
		t.Errorf("%d of %d positions, largest error %.2g of the range, want %.2g", seen, len(tokens), worst, tolerance)
	}
}
