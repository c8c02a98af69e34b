package models

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler/hf"
	"llmc/internal/golden"
	"llmc/ir"
	"llmc/ir/interp"
)

// recording is golden.json and golden.safetensors of a checkpoint: what transformers computed in f32.
type recording struct {
	Kind    string `json:"kind"`
	Prompts []struct {
		Name     string  `json:"name"`
		IDs      []int32 `json:"ids"`
		Generate struct {
			IDs  []int32   `json:"ids"`
			Gaps []float64 `json:"gaps"`
		} `json:"generate"`
	} `json:"prompts"`
	Hidden struct {
		Layers []int `json:"layers"`
		Count  int   `json:"count"`
	} `json:"hidden"`
	tensors *hf.File
}

func readRecording(t *testing.T, dir string) *recording {
	t.Helper()
	var r recording
	r.tensors = openRecorded(t, dir, &r)
	return &r
}

// openRecorded reads golden.json of a checkpoint into what says of it what a test needs, and opens the tensors beside it.
func openRecorded(t *testing.T, dir string, into any) *hf.File {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
	tensors, err := hf.OpenFile(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tensors.Close() })
	return tensors
}

// elements returns a recorded tensor, nil when there is none.
func (r *recording) elements(t *testing.T, name string) []float32 {
	t.Helper()
	tensor := r.tensors.Tensor(name)
	if tensor == nil {
		return nil
	}
	out := make([]float32, tensor.Elements())
	if err := tensor.ReadRows(out, 0, tensor.Rows()); err != nil {
		t.Fatal(err)
	}
	return out
}

// source lets the interpreter read a checkpoint.
type source struct{ c *hf.Checkpoint }

func (s source) Tensor(name string) ([]float32, error) {
	t := s.c.Lookup(name)
	if t == nil {
		return nil, fmt.Errorf("no tensor %q", name)
	}
	out := make([]float32, t.Elements())
	return out, t.ReadRows(out, 0, t.Rows())
}

// load imports the checkpoint in dir.
func load(t *testing.T, dir string, opts Options) (*Model, source) {
	t.Helper()
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	m, err := Import(c, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m, source{c}
}

// checkpoints returns the directories of unquantized causal models of the supported families.
func checkpoints(t *testing.T, root string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "*", "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, p := range paths {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(p), "config.json"))
		if err != nil {
			continue
		}
		var c struct {
			ModelType     string         `json:"model_type"`
			Architectures []string       `json:"architectures"`
			Quantization  map[string]any `json:"quantization_config"`
		}
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(families, func(f *family) bool { return f.modelType == c.ModelType })
		if i >= 0 && slices.Contains(Decoders(), c.ModelType) && c.Quantization == nil && slices.Contains(c.Architectures, families[i].architecture) {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	return dirs
}

func TestSharedCheckpoints(t *testing.T) {
	dirs := checkpoints(t, golden.Shared(t, "checkpoints"))
	if len(dirs) < 13 {
		t.Errorf("found only %d checkpoints", len(dirs))
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) { t.Parallel(); compareAll(t, dir, Options{}) })
	}
}

func TestOwnCheckpoints(t *testing.T) {
	dirs := checkpoints(t, filepath.Join(golden.Root(t), "testdata", "checkpoints"))
	if len(dirs) == 0 {
		t.Fatal("found no checkpoint")
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) { t.Parallel(); compareAll(t, dir, Options{}) })
	}
}

func compareAll(t *testing.T, dir string, opts Options) {
	want := readRecording(t, dir)
	m, src := load(t, dir, opts)
	for i, p := range want.Prompts {
		machine := interp.New(m.Module, src)
		hidden := map[string][]float32{}
		machine.Watch = func(v *ir.Value, x interp.Tensor) { hidden[v.Name] = x.Data }
		var b interp.Batch
		b.Add(0, 0, len(p.IDs), p.IDs...)
		b.SampleAll()
		out, err := machine.Run("step", &b)
		if err != nil {
			t.Fatal(err)
		}
		if all := want.elements(t, p.Name+".logits_all"); all != nil {
			compare(t, p.Name+".logits_all", out[0].Data, all)
		}
		compare(t, p.Name+".logits", out[0].Row(len(p.IDs)-1), want.elements(t, p.Name+".logits"))
		if p.Name == "p33" {
			want.compareHidden(t, hidden, m.Info.Family)
		}
		machine.Watch = nil
		want.compareGreedy(t, machine, m, i, out[0].Row(len(p.IDs)-1))
	}
}

// compareHidden compares the residual stream: index 0 is the embedding, which a state space's records leave out, the last one what the head sees.
func (r *recording) compareHidden(t *testing.T, got map[string][]float32, family string) {
	t.Helper()
	for _, k := range r.Hidden.Layers {
		layer := k - 1
		if family == "mamba" {
			layer = k
		}
		name := fmt.Sprintf("l%d.out", layer)
		switch {
		case layer < 0:
			name = "embed"
		case k == r.Hidden.Count-1:
			name = "norm"
		}
		compare(t, fmt.Sprintf("hidden.%d", k), got[name], r.elements(t, fmt.Sprintf("hidden.%d", k)))
	}
}

// narrowGap is the distance of the two best logits below which the choice between them may differ.
const narrowGap = 0.005

// compareGreedy continues a prompt. Where frequencies depend on the length, transformers computed every step from the start.
func (r *recording) compareGreedy(t *testing.T, machine *interp.Machine, m *Model, prompt int, logits []float32) {
	t.Helper()
	p := r.Prompts[prompt]
	ids := slices.Clone(p.IDs)
	for step, want := range p.Generate.IDs {
		if p.Generate.Gaps[step] < narrowGap {
			return
		}
		best := slices.Index(logits, slices.Max(logits))
		if best != int(want) {
			t.Errorf("%s: step %d gives token %d instead of %d (gap %g)", p.Name, step, best, want, p.Generate.Gaps[step])
			return
		}
		ids = append(ids, want)
		var b interp.Batch
		if m.Info.RopeSalt == "" {
			b.Add(0, len(ids)-1, len(p.IDs), want)
		} else {
			machine.Drop(0)
			b.Add(0, 0, len(ids), ids...)
		}
		b.Sample()
		out, err := machine.Run("step", &b)
		if err != nil {
			t.Fatal(err)
		}
		logits = out[0].Row(0)
	}
}

// compare wants every difference below 1e-4 of the range of want.
func compare(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	low, high, worst := math.Inf(1), math.Inf(-1), 0.0
	for i, w := range want {
		low, high = min(low, float64(w)), max(high, float64(w))
		worst = max(worst, math.Abs(float64(got[i])-float64(w)))
	}
	if !(worst <= 1e-4*(high-low)) {
		t.Errorf("%s: differs by %.3g, which is %.2g of the range", what, worst, worst/(high-low))
	}
}
