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

	dir     string
	tensors *hf.File
}

// checkpoints returns every decoder that the compiler knows.
func checkpoints(t *testing.T) []*goldenFile {
	t.Helper()
	var all []*goldenFile
	for _, root := range []string{golden.Shared(t) + "/checkpoints", "../testdata/checkpoints"} {
		paths, _ := filepath.Glob(filepath.Join(root, "*", "golden.json"))
		for _, path := range paths {
			text, err := os.ReadFile(path)
			check(t, err)
			g := &goldenFile{dir: filepath.Dir(path)}
			var kind struct{ Kind, Family string }
			check(t, json.Unmarshal(text, &kind))
			if kind.Kind != "causal-lm" || !slices.Contains(models.Supported(), kind.Family) || quantized(t, g.dir) {
				continue
			}
			check(t, json.Unmarshal(text, g))
			g.tensors, err = hf.OpenFile(filepath.Join(g.dir, "golden.safetensors"))
			check(t, err)
			t.Cleanup(func() { g.tensors.Close() })
			all = append(all, g)
		}
	}
	if len(all) < 10 {
		t.Fatalf("found only %d checkpoints", len(all))
	}
	return all
}

func quantized(t *testing.T, dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return true // adapters and GGUF files
	}
	var c map[string]any
	check(t, json.Unmarshal(text, &c))
	return c["quantization_config"] != nil
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
	path := filepath.Join(t.TempDir(), "engine.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: path, Quant: format, Check: true})
	check(t, err)
	plan, err := engine.Open(path)
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
			g.compareF32(t, model, info)
		})
	}
}

// compareF32 wants the recorded logits, to 1e-4 of their range, and the recorded greedy tokens up to the first near tie.
func (g *goldenFile) compareF32(t *testing.T, model engine.Model, info engine.ModelInfo) {
	t.Helper()
	for _, p := range g.Prompts {
		got := forward(t, model, info.Vocab, p.IDs, false)[0]
		if most, _ := relative(got, g.tensor(t, p.Name+".logits")); !(most <= 1e-4) {
			t.Errorf("%s: logits are off by %.2g of their range", p.Name, most)
		}
		ids := slices.Clone(p.IDs)
		for i, want := range p.Generate.IDs {
			if p.Generate.Gaps[i] < 0.005 {
				break
			}
			logits := forward(t, model, info.Vocab, ids, false)[0]
			if next := argMax(logits); next != want {
				t.Errorf("%s: token %d is %d, want %d", p.Name, i, next, want)
				break
			}
			ids = append(ids, want)
		}
	}
	all := slices.Concat(forward(t, model, info.Vocab, g.Prompts[2].IDs, true)...)
	if most, _ := relative(all, g.tensor(t, "p33.logits_all")); !(most <= 1e-4) {
		t.Errorf("all positions: logits are off by %.2g of their range", most)
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

// TestGoldensBF16 allows three times what transformers' own bfloat16 run is off.
func TestGoldensBF16(t *testing.T) {
	for _, g := range checkpoints(t) {
		t.Run(filepath.Base(g.dir), func(t *testing.T) {
			model, info := open(t, g.dir, "bf16")
			got := slices.Concat(forward(t, model, info.Vocab, g.Prompts[2].IDs, true)...)
			_, rms := relative(got, g.tensor(t, "p33.logits_all"))
			if allowed := 3 * g.Difference["bfloat16"].RMS; !(rms <= allowed) {
				t.Errorf("rms %.3g, %.3g is allowed", rms, allowed)
			}
		})
	}
}

// dequantized gives the interpreter a checkpoint whose matrices went through a format.
type dequantized struct {
	checkpoint *hf.Checkpoint
	format     *quant.Format
}

// Tensor implements interp.Weights.
func (d dequantized) Tensor(name string) ([]float32, error) {
	x := d.checkpoint.Lookup(name)
	if x == nil {
		return nil, fmt.Errorf("no tensor %q", name)
	}
	data := make([]float32, x.Elements())
	if err := x.ReadRows(data, 0, x.Rows()); err != nil || len(x.Shape) < 2 {
		return data, err
	}
	var block quant.Block
	if err := d.format.Quantize(&block, data, int(x.Cols())); err != nil {
		return nil, err
	}
	d.format.Dequantize(data, &block)
	return data, nil
}

// TestGoldensCodes compares integer plans with the same codes, dequantized and run in f32.
func TestGoldensCodes(t *testing.T) {
	for _, name := range []string{"int8", "int4-g32", "int4-g64", "int4-g128", "int4-g32-zp"} {
		for _, g := range checkpoints(t) {
			t.Run(name+"/"+filepath.Base(g.dir), func(t *testing.T) {
				model, info := open(t, g.dir, name)
				ids := g.Prompts[2].IDs
				got := slices.Concat(forward(t, model, info.Vocab, ids, true)...)
				c, err := hf.Open(g.dir)
				check(t, err)
				defer c.Close()
				m, err := models.Import(c, models.Options{KV: dtype.F32})
				check(t, err)
				for _, w := range m.Module.Weights {
					w.Type.DType = dtype.F32 // what codes stand for is not to be rounded to the checkpoint's type
				}
				format, err := quant.Find(name)
				check(t, err)
				batch := &interp.Batch{}
				batch.Add(0, 0, len(ids), ids...)
				batch.SampleAll()
				want, err := interp.New(m.Module, dequantized{c, format}).Run("step", batch)
				check(t, err)
				if most, _ := relative(got, want[0].Data); !(most <= 1e-2) {
					t.Errorf("logits are off by %.2g of their range", most)
				}
			})
		}
	}
}
