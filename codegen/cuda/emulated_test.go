package cuda_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"llmc/codegen"
	"llmc/codegen/cuda"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/passes"
	"llmc/runtime/device/emu"
)

// thorough asks for all combinations of what tests otherwise take turns with.
func thorough() bool { return os.Getenv("LLMC_LONG") != "" }

// everywhere asks for all of what only the emulator takes long for: with LLMC_LONG, and on a GPU.
func everywhere() bool { return thorough() || hardware == "cuda" }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// compile lowers a module for a target, all passes checked, and writes a plan with the given tensors. Tables that are only looked up are bf16.
func compile(t *testing.T, m *ir.Module, weights interp.Weights, target, format string, vocab int) *engine.Plan {
	t.Helper()
	return compileOn(t, m, weights, gpuTarget(t, target), format, vocab)
}

// compileOn does so for a target that need not be in the table.
func compileOn(t *testing.T, m *ir.Module, weights interp.Weights, gpu cuda.Target, format string, vocab int) *engine.Plan {
	t.Helper()
	needs(t, gpu.Name())
	spec, packed := lower(t, m, weights, gpu, passes.Policy{Linear: format, Embed: "bf16"}, vocab)
	plan, err := write(t, spec, packed)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan
}

// gpuTarget is what kernels are written for, by the name of a target.
func gpuTarget(t *testing.T, target string) cuda.Target {
	t.Helper()
	row, err := engine.FindTarget(target)
	check(t, err)
	gpu, err := cuda.NewTarget(row)
	check(t, err)
	return gpu
}

// ofCores is a target whose card has so many multiprocessors, which decide how work is shared.
func ofCores(t *testing.T, target string, cores int) cuda.Target {
	t.Helper()
	gpu := gpuTarget(t, target)
	gpu.Cores = cores
	return gpu
}

// logitsOnly writes programs that end with their logits. The kernels that sample are longer than many a network here and have tests of
// their own.
type logitsOnly struct{ *cuda.Coder }

func (logitsOnly) Finish(*engine.Program) error { return nil }

// lower makes what a plan consists of.
func lower(t *testing.T, m *ir.Module, weights interp.Weights, gpu cuda.Target, policy passes.Policy, vocab int) (engine.Spec, [][]byte) {
	t.Helper()
	return lowerWith(t, m, weights, gpu, policy, vocab, func(c *cuda.Coder) codegen.Coder { return logitsOnly{c} })
}

// lowerWith does so with a coder of one's own.
func lowerWith(t *testing.T, m *ir.Module, weights interp.Weights, gpu cuda.Target, policy passes.Policy, vocab int, with func(*cuda.Coder) codegen.Coder) (engine.Spec, [][]byte) {
	t.Helper()
	_, err := passes.Run(m, passes.Options{Target: gpu, Policy: policy, Rotation: passes.RotateNone, Check: true})
	check(t, err)
	coder := cuda.NewCoder(gpu)
	program, err := codegen.Emit(m, m.Funcs[0], gpu.Name(), with(coder))
	check(t, err)
	text, err := coder.Text()
	check(t, err)
	needsDriver(t, text)
	info := engine.ModelInfo{Name: "test", Family: "test", Vocab: vocab, Hidden: 1, Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 1, MaxContext: 4096}
	infoContent, err := engine.InfoContent(&info)
	check(t, err)
	programContent, err := engine.ProgramContent(program)
	check(t, err)
	spec := engine.Spec{Sections: []engine.Content{infoContent, programContent, {Kind: engine.KindPTX, Name: gpu.Name(), Data: []byte(text)}}}
	var packed [][]byte
	for _, w := range m.Weights {
		entry, bytes := pack(t, w, weights)
		spec.Weights, packed = append(spec.Weights, entry), append(packed, bytes)
	}
	return spec, packed
}

// write writes a plan and opens it.
func write(t *testing.T, spec engine.Spec, packed [][]byte) (*engine.Plan, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.plan")
	writer, err := engine.NewWriter(path, spec)
	if err != nil {
		return nil, err
	}
	for i, b := range packed {
		_, err := writer.Weight(i).Write(b)
		check(t, err)
	}
	if _, err = writer.Finish(); err != nil {
		return nil, err
	}
	return engine.Open(path)
}

// pack makes the bytes of a weight as a build would.
func pack(t *testing.T, w *ir.Weight, weights interp.Weights) (engine.WeightEntry, []byte) {
	t.Helper()
	plain := *w
	plain.Type.Quant = ""
	if w.Type.Quant != "" {
		plain.Type.DType = dtype.F32
	}
	data, err := interp.Elements(&plain, weights)
	check(t, err)
	entry := engine.WeightEntry{Name: w.Name, Segment: w.Segment}
	for _, d := range w.Type.Dims {
		n, _ := d.IsConst()
		entry.Shape = append(entry.Shape, n)
	}
	if w.Type.Layout == "" {
		entry.DType, entry.Segment = "f32", 0
		var bytes []byte
		for _, f := range data {
			bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(f))
		}
		entry.Bytes = int64(len(bytes))
		return entry, bytes
	}
	entry.Layout = w.Type.Layout
	k := int(entry.K())
	p, err := entry.Packed()
	check(t, err)
	bytes := make([]byte, p.Bytes())
	f, limits := limitsOf(t, w, data, k)
	entry.Bytes = int64(len(bytes))
	for i := range p.Panels() {
		lo, hi := p.Rows(i)
		rows := data[lo*k : hi*k]
		panel := bytes[i*p.PanelBytes() : (i+1)*p.PanelBytes()]
		if w.Type.Quant == "" {
			check(t, p.PackFloats(panel, rows))
			continue
		}
		var block quant.Block
		check(t, f.QuantizeRows(&block, rows, k, lo, limits))
		check(t, p.PackCodes(panel, layout.Codes{Codes: block.Codes, Scales: block.Scales, Zeros: block.Zeros}))
	}
	return entry, bytes
}

// limitsOf finds the format of a weight and what its rows share.
func limitsOf(t *testing.T, w *ir.Weight, data []float32, k int) (*quant.Format, *quant.Limits) {
	t.Helper()
	if w.Type.Quant == "" {
		return nil, nil
	}
	f, err := quant.FindType(w.Type.Quant)
	check(t, err)
	limits := f.NewLimits(len(data)/k, k)
	check(t, limits.Add(data, 0))
	return f, limits
}

// run computes the logits of all tokens of one sequence, races checked where it is the emulator.
func run(t *testing.T, plan *engine.Plan, vocab int, tokens []int32) [][]float32 {
	t.Helper()
	return runOn(t, emu.Options{Races: true}, plan, vocab, tokens, len(tokens))
}

// runOn does so as the options say, in steps of n tokens.
func runOn(t *testing.T, options emu.Options, plan *engine.Plan, vocab int, tokens []int32, n int) [][]float32 {
	t.Helper()
	settings := engine.Settings{MaxStepTokens: n, MaxSequences: 1, MaxRows: n, MaxContext: max(16, len(tokens))}
	model := load(t, options, plan, settings)
	defer model.Close()
	var rows [][]float32
	check(t, engine.Forward(model, vocab, tokens, func(int) bool { return true }, func(_ int, logits []float32) error {
		rows = append(rows, append([]float32(nil), logits...))
		return nil
	}))
	return rows
}

// compare wants the interpreter's numbers, up to tolerance of their range.
func compare(t *testing.T, m *ir.Module, weights interp.Weights, tokens []int32, got [][]float32, tolerance float64) {
	t.Helper()
	batch := &interp.Batch{}
	batch.Add(0, 0, len(tokens), tokens...)
	batch.SampleAll()
	want, err := interp.New(m, weights).Run("step", batch)
	check(t, err)
	lo, hi := float32(math.Inf(1)), float32(math.Inf(-1))
	for _, x := range want[0].Data {
		lo, hi = min(lo, x), max(hi, x)
	}
	for r := range got {
		for i, x := range got[r] {
			if d := math.Abs(float64(x) - float64(want[0].Row(r)[i])); !(d <= tolerance*float64(hi-lo)) {
				t.Fatalf("row %d, column %d: %v, want %v; the range is %v", r, i, x, want[0].Row(r)[i], hi-lo)
			}
		}
	}
}
