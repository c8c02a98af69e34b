package stored

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/golden"
)

// TestMXFP4Experts reads a checkpoint of gpt-oss: its stacks have the sizes that config.json gives, and bf16 holds every number.
func TestMXFP4Experts(t *testing.T) {
	c, err := hf.Open(filepath.Join(golden.Shared(t), "checkpoints", "gpt-oss-mxfp4"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := Attach(c); err != nil {
		t.Fatal(err)
	}
	f := c.Config.Fields()
	experts, hidden, inner := f.Int("num_local_experts", 1, 100), f.Int("hidden_size", 1, 10000), f.Int("intermediate_size", 1, 10000)
	shapes := map[string][3]int64{"gate_up_proj": {experts, 2 * inner, hidden}, "down_proj": {experts, hidden, inner}}
	found := 0
	for _, name := range c.Names() {
		x := c.Lookup(name)
		m := Of(x)
		if m == nil {
			continue
		}
		found++
		if want := shapes[name[strings.LastIndex(name, ".")+1:]]; [3]int64(x.Shape) != want || m.Plain != dtype.BF16 || m.Format == nil || m.Format.Name != "mxfp4" {
			t.Errorf("%s is %v of %v, format %v, want %v of bf16 in codes", name, x.Shape, m.Plain, m.Format, want)
			continue
		}
		view, err := x.View(x.Shape[2])
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float32, x.Shape[2])
		for r := range view.Rows() {
			if err := view.ReadRows(row, r, r+1); err != nil {
				t.Fatal(err)
			}
			for _, v := range row {
				if dtype.BF16ToF32(dtype.F32ToBF16(v)) != v {
					t.Fatalf("%s: %g is no number of bf16", name, v)
				}
			}
		}
	}
	for _, name := range c.Names() { // rows of gate and up alternate
		x := c.Lookup(name)
		if Of(x) == nil || !strings.HasSuffix(name, "gate_up_proj") {
			continue
		}
		for first := range int64(2) {
			sameRows(t, c, x, hf.Strided{Count: experts, Total: 2 * inner, Cols: hidden, First: first, Step: 2, Rows: inner})
		}
	}
	if layers := f.Int("num_hidden_layers", 1, 100); int64(found) != 2*layers || f.Err() != nil {
		t.Errorf("%d stacks in %d layers: %v", found, layers, f.Err())
	}
}

// sameRows wants rows that are taken from a tensor to be its own, in numbers and in codes.
func sameRows(t *testing.T, c *hf.Checkpoint, of *hf.Tensor, s hf.Strided) {
	t.Helper()
	const name = "taken"
	if err := PutStrided(c, name, of, s, s.Count, s.Rows, s.Cols); err != nil {
		t.Fatal(err)
	}
	defer c.Drop(c.Lookup(name))
	all, err := of.View(s.Cols)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := c.Lookup(name).View(s.Cols)
	if err != nil {
		t.Fatal(err)
	}
	got, want := make([]float32, s.Count*s.Rows*s.Cols), make([]float32, s.Cols)
	if err := taken.ReadRows(got, 0, s.Count*s.Rows); err != nil {
		t.Fatal(err)
	}
	for r := range s.Count * s.Rows {
		at := r/s.Rows*s.Total + s.First + r%s.Rows*s.Step
		if err := all.ReadRows(want, at, at+1); err != nil || !slices.Equal(got[r*s.Cols:(r+1)*s.Cols], want) {
			t.Fatalf("%s: row %d is not row %d (%v)", of.Name, r, at, err)
		}
	}
	sameCodes(t, of.Name, Of(c.Lookup(name)), s.Count*s.Rows, s.Cols)
}
