package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// latentProgram is the fixture with a layer of latent attention instead of its own: 2 heads of 8 channels, rows of 24 with a rank of 16.
func latentProgram() (*Program, []WeightEntry) {
	p := fixtureProgram("x86-64-v3")
	p.Slots = append(p.Slots, sym.Of(sym.T).Scale(512))
	first := len(p.Buffers)
	column := func(name string, cols, offset int64) Buffer {
		b := buf(name, len(p.Slots)-1, sym.T, cols, 512, dtype.F32)
		b.Offset = offset
		return b
	}
	p.Buffers = append(p.Buffers, column("q", 16, 0), column("absorbed", 32, 64), column("turned", 16, 192), column("c", 16, 256), column("k", 8, 320), column("attended", 32, 352))
	p.Caches = []Cache{{Name: "kv", Kind: Latent, Layers: 1, KVHeads: 1, Dim: 24, Rank: 16, DType: dtype.BF16}}
	p.Weights = append(p.Weights, "keys")
	const b, w, c, in = OperandBuffer, OperandWeight, OperandCache, OperandInput
	p.Launches = slices.Replace(p.Launches, 4, 6,
		Launch{Kernel: "cpu.linear_heads", Operands: ops(w, 4, b, first, b, first+1), Attrs: []Attr{{Name: "input", Text: "f32"}}},
		Launch{Kernel: "cpu.latent_write", Operands: ops(b, first+3, b, first+4, in, 3, c, 0), Attrs: []Attr{{Name: "layer"}}},
		Launch{Kernel: "cpu.attention_latent", Operands: ops(b, first+1, b, first+2, in, 1, c, 0, b, first+5),
			Attrs: []Attr{{Name: "layer"}, {Name: "heads", Int: 2}, {Name: "scale", Float: 0.25}}},
	)
	keys := WeightEntry{Name: "keys", Layout: "f32", Shape: []int64{2, 16, 8}}
	packed, err := keys.Packed()
	if err != nil {
		panic(err)
	}
	keys.Bytes = int64(packed.Bytes())
	return p, append(fixtureWeights(), keys)
}

// A program of latent attention is taken, and refused where anything in it does not fit.
func TestLatentChecks(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *Program)
		text   string
	}{
		{"as it is", func(*Program) {}, ""},
		{"codes", func(p *Program) { p.Caches[0].DType = dtype.I8 }, ""},
		{"unknown kind", func(p *Program) { p.Caches[0].Kind = "window" }, `unknown kind "window"`},
		{"paged", func(p *Program) { p.Caches[0].Kind, p.Caches[0].Rank = Paged, 0 }, `cache of kind "paged"; the kernel takes "latent"`},
		{"paged with a rank", func(p *Program) { p.Caches[0].Kind = Paged }, `kind "paged" with 1 heads and rank 16`},
		{"two heads", func(p *Program) { p.Caches[0].KVHeads = 2 }, `kind "latent" with 2 heads`},
		{"no rank", func(p *Program) { p.Caches[0].Rank = 0 }, "latent cache of rank 0 in rows of 24"},
		{"all rank", func(p *Program) { p.Caches[0].Rank = 24 }, "latent cache of rank 24 in rows of 24"},
		{"negative rank", func(p *Program) { p.Caches[0].Rank = -1 }, "latent cache of rank -1"},
		{"wide rows", func(p *Program) { p.Caches[0].Dim = 1 << 20 }, "must be within"},
		{"another rank", func(p *Program) { p.Caches[0].Rank = 15 }, "c: size 16, not rank = 15"},
		{"another row", func(p *Program) { p.Caches[0].Dim = 26 }, "dim = rank+rope does not hold: 26 and 24"},
		{"layer", func(p *Program) { p.Launches[6].Attrs[0].Int = 1 }, "layer < layers does not hold"},
		{"heads", func(p *Program) { p.Launches[6].Attrs[1].Int = 3 }, "q: size 32, not heads*rank = 48"},
		{"turned", func(p *Program) { p.Buffers[len(p.Buffers)-4].Cols = 15 }, "q_rope of 15 columns for 2 heads and rows of 24 with rank 16"},
		{"paged attention", func(p *Program) {
			p.Launches[6] = fixtureProgram("x86-64-v3").Launches[5]
		}, `cache of kind "latent"; the kernel takes "paged"`},
		{"head input", func(p *Program) { p.Launches[4].Attrs[0].Text = "q16t" }, "takes an input of f32 with groups of 0, not q16t"},
		{"head columns", func(p *Program) { p.Buffers[len(p.Buffers)-6].Cols = 15 }, "x: size 15, not stack*k = 16"},
		{"not a stack", func(p *Program) { p.Launches[4].Operands[0].Index = 2 }, "the kernel takes one of 3 dimensions"},
	} {
		p, weights := latentProgram()
		c.change(p)
		content, err := ProgramContent(p)
		if err != nil {
			t.Fatal(err)
		}
		h, info := Header{Weights: weights}, fixtureInfo()
		_, err = decodeProgram("step/x86-64-v3", content.Data, h.weightIndex(), &info)
		if (err == nil) != (c.text == "") || err != nil && (!errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}
