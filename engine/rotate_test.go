package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// TestKeysTurnForOneToken refuses items of several tokens, and frequencies without lengths, where attention turns keys.
func TestKeysTurnForOneToken(t *testing.T) {
	const b, w, in, none, cache = OperandBuffer, OperandWeight, OperandInput, OperandNone, OperandCache
	attention := func(block int64) Launch {
		input := func(name string) int { return slices.Index(Inputs, name) }
		return Launch{Kernel: "cuda.attention", Label: "attention", Sync: true,
			Operands: ops(b, 0, in, input("positions"), cache, 0, in, input("items"), in, input("page_start"), in, input("pages"),
				in, input("ropelen"), w, 1, b, 4, b, 5),
			Attrs: []Attr{{Name: "layer"}, {Name: "heads", Int: 4}, {Name: "kv_heads", Int: 2}, {Name: "dim", Int: 16}, {Name: "scale", Float: 0.25},
				{Name: "block", Int: block}, {Name: "group", Int: 2}, {Name: "planes", Int: 2}, {Name: "extra", Int: 1}, {Name: "rotary_dim", Int: 8}, {Name: "style", Text: "half"}, {Name: "mode", Text: "longrope"},
				{Name: "original_max", Int: 32}},
			Code: code("rows_1", sym.Of(sym.T), sym.Const(1), 1, 32, 0)}
	}
	for _, c := range []struct {
		name   string
		block  int64
		change func(l *Launch)
		text   string
	}{
		{"one token", 1, func(*Launch) {}, ""},
		{"many counters", 1, func(l *Launch) { l.Attrs[7].Int, l.Attrs[8].Int = 1<<16, 1<<10 }, "67108864 counters"},
		{"two tokens", 2, func(*Launch) {}, "items of 2 tokens"},
		{"no lengths", 1, func(l *Launch) { l.Operands[6] = Operand{Kind: none} }, "go together"},
		{"another half", 1, func(l *Launch) { l.Attrs[9].Int = 16 }, "rotary_dim 16 and 4 frequencies"},
		{"another mode", 1, func(l *Launch) { l.Attrs[11].Text = "static" }, "mode static takes 1"},
	} {
		p := codeProgram()
		p.Slots = append(p.Slots, sym.Of(sym.T).Scale(256), sym.Of(sym.S).Scale(64))
		p.Buffers = append(p.Buffers, buf("attended", 2, sym.T, 64, 256, dtype.F32), buf("partials", 3, sym.S, 16, 64, dtype.F32))
		p.Weights = append(p.Weights, "inv_freq")
		p.Caches = []Cache{{Name: "kv", Kind: "paged", Layers: 1, KVHeads: 2, Dim: 16, DType: dtype.BF16}}
		l := attention(c.block)
		c.change(&l)
		p.Launches = slices.Insert(p.Launches, 1, l)
		content, err := ProgramContent(p)
		if err != nil {
			t.Fatal(err)
		}
		h, info := Header{Weights: append(codeWeights(), WeightEntry{Name: "inv_freq", DType: "f32", Shape: []int64{2, 4}, Bytes: 32})}, fixtureInfo()
		_, err = decodeProgram("step/sm80", content.Data, h.weightIndex(), &info)
		if (err == nil) != (c.text == "") || err != nil && (!errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}
