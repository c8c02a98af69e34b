package compiler_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/golden"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/runtime/device/cpu"
)

// goldenFile is what other software recorded of a checkpoint.
type goldenFile struct {
	Prompts []struct {
		Name     string  `json:"name"`
		IDs      []int32 `json:"ids"`
		Generate struct {
			IDs  []int32   `json:"ids"`
			Gaps []float64 `json:"gaps"`
		} `json:"generate"`
	} `json:"prompts"`
	Difference map[string]struct {
		RMS float64 `json:"rms"`
	} `json:"measured_difference_on_p33"`

	thorough bool
	dir      string
	tensors  *hf.File
}

// goldenDirs returns the directories of all decoders that there are recorded outputs of.
func goldenDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for _, root := range []string{golden.Shared(t) + "/checkpoints", "../testdata/checkpoints"} {
		paths, _ := filepath.Glob(filepath.Join(root, "*", "golden.safetensors"))
		for _, path := range paths {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	return dirs
}

// modelType returns the model_type of a directory that holds a causal language model in numbers, "" for others.
func modelType(t *testing.T, dir string) string {
	t.Helper()
	var kind struct{ Kind string }
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	check(t, err)
	check(t, json.Unmarshal(text, &kind))
	text, err = os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil || kind.Kind != "causal-lm" {
		return "" // adapters and GGUF files
	}
	var c struct {
		ModelType    string         `json:"model_type"`
		Quantization map[string]any `json:"quantization_config"`
	}
	check(t, json.Unmarshal(text, &c))
	if c.Quantization != nil {
		return ""
	}
	return c.ModelType
}

// readGolden opens what was recorded of the checkpoint in dir.
func readGolden(t *testing.T, dir string) *goldenFile {
	t.Helper()
	g := &goldenFile{dir: dir}
	g.tensors = openRecorded(t, dir, g)
	return g
}

// checkpoints returns every decoder that the compiler knows: the families that tests go through in all formats first, then the others.
func checkpoints(t *testing.T) []*goldenFile {
	t.Helper()
	var all, others []*goldenFile
	for _, dir := range goldenDirs(t) {
		family := modelType(t, dir)
		if !slices.Contains(models.Decoders(), family) {
			continue
		}
		g := readGolden(t, dir)
		g.thorough = slices.Contains(everyFormat, family) && g.Difference != nil
		if g.thorough {
			all = append(all, g)
		} else {
			others = append(others, g)
		}
	}
	if len(all) < 10 {
		t.Fatalf("found only %d checkpoints", len(all))
	}
	return append(all, others...)
}

// everyFormat are the families that go through all formats: of their checkpoints, but for this repository's own, each takes every third one. Others, which
// differ in what lies between the products, take turns: the n-th has the n-th format; with LLMC_LONG all have all.
var everyFormat = []string{"llama", "mistral", "qwen2", "qwen3"}

func (g *goldenFile) takes(n, format, formats int) bool {
	return thorough() || g.thorough && (n+format)%3 == 0 || n%formats == format
}

func (g *goldenFile) tensor(t *testing.T, name string) []float32 {
	t.Helper()
	x := g.tensors.Tensor(name)
	if x == nil {
		t.Fatalf("%s: no golden %q", g.dir, name)
	}
	data := make([]float32, x.Elements())
	check(t, x.ReadRows(data, 0, x.Rows()))
	return data
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open builds a plan and loads it.
func open(t *testing.T, dir, format string) (engine.Model, engine.ModelInfo) {
	t.Helper()
	return openBuilt(t, compiler.Options{Model: dir, Quant: format, Check: true})
}

// openBuilt builds a plan as options say and loads it.
func openBuilt(t *testing.T, options compiler.Options) (engine.Model, engine.ModelInfo) {
	t.Helper()
	options.Out = filepath.Join(t.TempDir(), "engine.plan")
	_, err := compiler.Build(t.Context(), options)
	check(t, err)
	plan, err := engine.Open(options.Out)
	check(t, err)
	model, err := (cpu.Device{}).Load(plan, engine.Settings{MaxStepTokens: 64, MaxSequences: 1, MaxRows: 64, MaxContext: 160})
	check(t, err)
	t.Cleanup(func() { model.Close(); plan.Close() })
	return model, plan.Info()
}

// forward returns the logits of all positions, or of the last.
func forward(t *testing.T, model engine.Model, vocab int, ids []int32, all bool) [][]float32 {
	t.Helper()
	var rows [][]float32
	check(t, engine.Forward(model, vocab, ids, func(p int) bool { return all || p == len(ids)-1 }, func(_ int, logits []float32) error {
		rows = append(rows, slices.Clone(logits))
		return nil
	}))
	return rows
}

// relative returns the largest difference as a part of want's range, and the root mean square of the differences.
func relative(got, want []float32) (most, rms float64) {
	span := float64(slices.Max(want) - slices.Min(want))
	for i, w := range want {
		d := math.Abs(float64(got[i]) - float64(w))
		if !(d <= most*span) {
			most = d / span
		}
		rms += d * d
	}
	return most, math.Sqrt(rms / float64(len(want)))
}

// TestGoldensF32 wants the logits and greedy tokens that transformers gives.
func TestGoldensF32(t *testing.T) {
	for _, g := range checkpoints(t) {
		t.Run(filepath.Base(g.dir), func(t *testing.T) {
			model, info := open(t, g.dir, "f32")
			g.sameF32(t, model, info.Vocab)
		})
	}
}

// sameF32 wants the logits and greedy tokens that were recorded.
func (g *goldenFile) sameF32(t *testing.T, model engine.Model, vocab int) {
	t.Helper()
	for _, p := range g.Prompts {
		got := forward(t, model, vocab, p.IDs, false)[0]
		if most, _ := relative(got, g.tensor(t, p.Name+".logits")); !(most <= 1e-4) {
			t.Errorf("%s: logits are off by %.2g of their range", p.Name, most)
		}
		n := 0 // tokens that are far enough from the next best
		for n < len(p.Generate.IDs) && p.Generate.Gaps[n] >= 0.005 {
			n++
		}
		if n == 0 {
			continue
		}
		ids := slices.Concat(p.IDs, p.Generate.IDs[:n-1])
		rows := forward(t, model, vocab, ids, true)[len(p.IDs)-1:]
		for i, want := range p.Generate.IDs[:n] {
			next := argMax(rows[i])
			if next != want { // where what a position sees depends on the length, it is asked as it was recorded
				next = argMax(forward(t, model, vocab, ids[:len(p.IDs)+i], false)[0])
			}
			if next != want {
				t.Errorf("%s: token %d is %d, want %d", p.Name, i, next, want)
				break
			}
		}
	}
	g.checkAll(t, model, vocab)
}

// checkAll wants the logits of all positions of a prompt.
func (g *goldenFile) checkAll(t *testing.T, model engine.Model, vocab int) {
	t.Helper()
	p := g.Prompts[2]
	if g.tensors.Tensor(p.Name+".logits_all") == nil {
		p = g.Prompts[1]
	}
	all := slices.Concat(forward(t, model, vocab, p.IDs, true)...)
	if most, _ := relative(all, g.tensor(t, p.Name+".logits_all")); !(most <= 1e-4) {
		t.Errorf("all positions: logits are off by %.2g of their range", most)
	}
}

var olderTargets = []string{"x86-64-v3", "x86-64-v4"}

// TestGoldensTargets wants the same of the targets that older processors have, each in one plan with the others.
func TestGoldensTargets(t *testing.T) {
	for _, g := range checkpoints(t) {
		path := filepath.Join(t.TempDir(), "engine.plan")
		_, err := compiler.Build(t.Context(), compiler.Options{Model: g.dir, Out: path, Quant: "f32", Archs: olderTargets})
		check(t, err)
		plan, err := engine.Open(path)
		check(t, err)
		defer plan.Close()
		for _, target := range olderTargets {
			t.Run(target+"/"+filepath.Base(g.dir), func(t *testing.T) {
				if row, err := engine.FindTarget(target); err != nil || len(row.Missing()) > 0 {
					t.Skipf("SKIPPED: this processor lacks %v", row.Missing())
				}
				model, err := (cpu.Device{}).Load(plan, engine.Settings{Target: target, MaxStepTokens: 64, MaxSequences: 1, MaxRows: 64, MaxContext: 160})
				check(t, err)
				defer model.Close()
				g.checkAll(t, model, plan.Info().Vocab)
			})
		}
	}
}

func argMax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}

// routes tells whether a checkpoint's model chooses experts.
func routes(t *testing.T, dir string) bool {
	t.Helper()
	c, err := hf.Open(dir)
	check(t, err)
	defer c.Close()
	m, err := models.Import(c, models.Options{})
	check(t, err)
	return slices.ContainsFunc(m.Module.Func("step").Ops, func(op *ir.Op) bool { return op.Kind.Name == "moe.route" })
}

// checkpointSource gives the interpreter a checkpoint.
type checkpointSource struct{ *hf.Checkpoint }

// Tensor implements interp.Weights.
func (c checkpointSource) Tensor(name string) ([]float32, error) {
	x := c.Lookup(name)
	if x == nil {
		return nil, fmt.Errorf("no tensor %q", name)
	}
	data := make([]float32, x.Elements())
	return data, x.ReadRows(data, 0, x.Rows())
}

// store gives all matrices that are multiplied, and tables of tokens, a format; what codes stand for is not rounded to the checkpoint's type. Tables of
// positions and what moves states on are never codes, nor are matrices that choose experts or let through what one gives: these meet inputs of bf16.
func store(t *testing.T, m *ir.Module, format *quant.Format) {
	t.Helper()
	plain := map[*ir.Weight]bool{}
	step := m.Func("step")
	for _, op := range slices.Clone(step.Ops) {
		switch op.Kind.Name {
		case "gather_positions":
			plain[op.Arg("table").Weight] = true
		case "moe.route":
			plain[roundInput(t, m, op.Arg("logits").Def)] = true
		case "scale_rows":
			if open := op.Arg("by").Def; open.Kind.Name == "sigmoid" {
				plain[roundInput(t, m, open.Arg("x").Def)] = true
			}
		case "state.conv":
			plain[op.Arg("w").Weight] = true
		case "state.scan":
			plain[op.Arg("a").Weight] = true
		}
	}
	for _, w := range m.Weights {
		switch {
		case !plain[w] && w.Type.Rank() >= 2 && w.Recipe.Kind != ir.FromValues:
			w.Type.DType, w.Type.Quant = format.DType, format.Type
		case w.Type.DType != dtype.BF16 || !plain[w]:
			w.Type.DType = dtype.F32
		}
	}
}

// roundInput lets a product take its input as bf16, and returns its weight.
func roundInput(t *testing.T, m *ir.Module, product *ir.Op) *ir.Weight {
	t.Helper()
	cast, err := m.NewOp("cast", product.Args[:1], ir.Attr{Name: "dtype", Val: "bf16"})
	check(t, err)
	product.Args[0] = cast.Result()
	f, w := m.Func("step"), product.Arg("w").Weight
	f.Ops = slices.Insert(f.Ops, slices.Index(f.Ops, product), cast)
	w.Type.DType = dtype.BF16
	return w
}

// codeFormats are those that TestGoldensCodes goes through.
var codeFormats = []string{"int8", "int4-g32", "int4-g64", "int4-g128", "int4-g32-zp"}

// TestGoldensCodes compares integer plans with the same codes, dequantized and run in f32.
func TestGoldensCodes(t *testing.T) {
	for i, name := range codeFormats {
		for n, g := range checkpoints(t) {
			if !g.takes(n, i, len(codeFormats)) {
				continue
			}
			t.Run(name+"/"+filepath.Base(g.dir), func(t *testing.T) {
				loaded, info := open(t, g.dir, name)
				model := &routed{loaded.(engine.Tracer), map[string][]float32{}}
				ids := g.Prompts[2].IDs
				got := slices.Concat(forward(t, model, info.Vocab, ids, true)...)
				c, err := hf.Open(g.dir)
				check(t, err)
				defer c.Close()
				m, err := models.Import(c, models.Options{KV: dtype.F32})
				check(t, err)
				format, err := quant.Find(name)
				check(t, err)
				store(t, m.Module, format)
				batch := &interp.Batch{}
				batch.Add(0, 0, len(ids), ids...)
				batch.SampleAll()
				machine := interp.New(m.Module, checkpointSource{c})
				model.guide(t, machine)
				want, err := machine.Run("step", batch)
				check(t, err)
				if most, _ := relative(got, want[0].Data); !(most <= 2e-2) {
					t.Errorf("logits are off by %.2g of their range", most)
				}
			})
		}
	}
}
