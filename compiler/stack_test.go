package compiler

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
)

// Stacks of matrices are packed expert by expert, whether the checkpoint has a tensor for each, one for all of them, or gate and up interleaved by a
// pass; what the plan then holds is, row by row, what the recipe gives, rounded as the format rounds.
func TestStacksOfMatrices(t *testing.T) {
	const experts, n, k = 3, 37, 72
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, hf.ConfigFile), []byte(`{"model_type": "llama"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := hf.OpenRandom(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Tensor("all", experts, n, k); err != nil {
		t.Fatal(err)
	}
	var each, halves []*ir.Recipe
	for e := range int64(experts) {
		one := ir.TensorRows(fmt.Sprintf("e%d", e), 0, n)
		each = append(each, one)
		halves = append(halves, ir.InterleaveRows(32, one, ir.TensorRows("all", e*n, n)))
	}
	var jobs []*packJob
	for _, layout := range []struct{ name, quant string }{{"frag.bf16", ""}, {"frag.u4z.g32", "int4z.g32"}, {"frag.e4m3", "fp8"}} {
		for recipe, r := range map[string]*ir.Recipe{"each": ir.ConcatRows(each...), "all": ir.TensorRows("all", 0, experts*n), "halves": ir.ConcatRows(halves...)} {
			b := ir.NewBuilder("stack")
			w := b.Stack(recipe+layout.name, "", dtype.BF16, r, experts, int(r.Rows(k))/experts, k).Weight
			if layout.quant != "" {
				f, err := quant.FindType(layout.quant)
				if err != nil {
					t.Fatal(err)
				}
				w.Type.DType, w.Type.Quant = f.DType, f.Type
			}
			w.Type.Layout = layout.name
			if _, err := b.Module(); err != nil {
				t.Fatal(err)
			}
			job, err := newPackJob(w, len(jobs))
			if err != nil {
				t.Fatal(err)
			}
			jobs = append(jobs, job)
		}
	}
	plan := packJobs(t, c, jobs)
	for _, j := range jobs {
		checkStored(t, c, plan, j)
	}
}

// Matrices of a stack whose outputs are turned, more of them at a time than a worker reads, are turned by themselves, however many are held together: also where
// all have one scale, for which they are turned twice.
func TestTurnedStacks(t *testing.T) {
	const experts, n, k = 5, 320, 64
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, hf.ConfigFile), []byte(`{"model_type": "llama"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := hf.OpenRandom(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	var each []*ir.Recipe
	for e := range experts {
		each = append(each, ir.TensorRows(fmt.Sprintf("e%d", e), 0, n))
	}
	recipe := ir.Rotate(ir.ConcatRows(each...), nil, "h16", "r320", k)
	defer func(bytes int64) { turnedAtOnce = bytes }(turnedAtOnce)
	for _, together := range []int64{1, 2, experts} {
		turnedAtOnce = together * 4 * n * k
		var jobs []*packJob
		for _, form := range []struct{ layout, quant string }{{"frag.bf16", ""}, {"u8", "int8a8"}, {"frag.e4m3", "fp8_tensor"}} {
			b := ir.NewBuilder("stack")
			w := b.Stack(form.layout, "", dtype.BF16, recipe, experts, n, k).Weight
			if form.quant != "" {
				f, err := quant.FindType(form.quant)
				if err != nil {
					t.Fatal(err)
				}
				w.Type.DType, w.Type.Quant = f.DType, f.Type
			}
			w.Type.Layout = form.layout
			job, err := newPackJob(w, len(jobs))
			if err != nil {
				t.Fatal(err)
			}
			if mixes, err := job.mixesRows(); !mixes || err != nil {
				t.Fatalf("%s is packed piece by piece: %v", form.layout, err)
			}
			jobs = append(jobs, job)
		}
		plan := packJobs(t, c, jobs)
		for _, j := range jobs {
			checkStored(t, c, plan, j)
		}
	}
}

// packJobs writes a plan of weights alone.
func packJobs(t *testing.T, c *hf.Checkpoint, jobs []*packJob) *engine.Plan {
	t.Helper()
	info, err := engine.InfoContent(&engine.ModelInfo{Name: "m", Family: "m", Vocab: 1, Hidden: 1, Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 1, MaxContext: 1})
	if err != nil {
		t.Fatal(err)
	}
	hashing := startHashing(t.Context(), c, 3, &cli.Progress{}, nil)
	defer hashing.stop()
	o := output{checkpoint: c, hashing: hashing, jobs: jobs, path: filepath.Join(t.TempDir(), "m.plan"), threads: 3, progress: &cli.Progress{}}
	if _, err := o.write(context.Background(), []engine.Content{info}); err != nil {
		t.Fatal(err)
	}
	plan, err := engine.Open(o.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plan.Close() })
	return plan
}

func checkStored(t *testing.T, c *hf.Checkpoint, plan *engine.Plan, j *packJob) {
	t.Helper()
	entry, _, err := plan.Weight(j.weight.Name)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newStoredWeight(plan, entry)
	if err != nil {
		t.Fatal(err)
	}
	if w.rows != j.rows || w.cols != j.cols {
		t.Fatalf("%s: %d x %d instead of %d x %d", entry.Name, w.rows, w.cols, j.rows, j.cols)
	}
	want, got := make([]float32, j.rows*j.cols), make([]float32, j.rows*j.cols)
	if err := models.ReadRows(c, j.weight.Recipe, want, 3, 0, j.rows); err != nil {
		t.Fatal(err)
	}
	if j.format != nil {
		var block quant.Block
		if err := j.format.Quantize(&block, want, int(j.cols)); err != nil {
			t.Fatal(err)
		}
		j.format.Dequantize(want, &block)
	} else {
		for i, v := range want {
			want[i] = dtype.BF16ToF32(dtype.F32ToBF16(v))
		}
	}
	w.decode(got, 0)
	if !slices.Equal(got, want) {
		t.Errorf("%s is not what its recipe gives", entry.Name)
	}
}
