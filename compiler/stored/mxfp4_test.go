package stored

import (
	"path/filepath"
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
		if want := shapes[name[strings.LastIndex(name, ".")+1:]]; [3]int64(x.Shape) != want || m.Plain != dtype.BF16 {
			t.Errorf("%s is %v of %v, want %v of bf16", name, x.Shape, m.Plain, want)
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
	if layers := f.Int("num_hidden_layers", 1, 100); int64(found) != 2*layers || f.Err() != nil {
		t.Errorf("%d stacks in %d layers: %v", found, layers, f.Err())
	}
}
