package ir

import (
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Each case breaks one rule of a valid module; the verifier must say which.
func TestVerifyFindsBrokenModules(t *testing.T) {
	step := func(m *Module) *Func { return m.Func("step") }
	for _, c := range []struct {
		want  string
		spoil func(m *Module)
	}{
		{"is not defined before it", func(m *Module) { f := step(m); f.Ops[1], f.Ops[2] = f.Ops[2], f.Ops[1] }},
		{"is not defined before it", func(m *Module) { m.Weights = m.Weights[1:] }},
		{"is defined twice", func(m *Module) { f := step(m); f.Params = append(f.Params, f.Params[0]) }},
		{"bad or repeated name", func(m *Module) { step(m).Ops[0].Results[0].Name = "ids" }},
		{"bad or repeated name", func(m *Module) { step(m).Ops[0].Results[0].Name = "model.norm.weight" }},
		{"bad or repeated name", func(m *Module) { step(m).Ops[0].Results[0].Name = "12" }},
		{"declared twice", func(m *Module) { m.Weights[1].Name = m.Weights[2].Name }},
		{"belongs to something else", func(m *Module) { m.Weights[1].Value.Weight = m.Weights[2] }},
		{"belongs to something else", func(m *Module) { step(m).Ops[0].Results[0].Def = nil }},
		{"belongs to something else", func(m *Module) { step(m).Params[0].Def = step(m).Ops[0] }},
		{"instead of f32[T,32]", func(m *Module) { step(m).Ops[0].Results[0].Type = F32(sym.Of(sym.T), 33) }},
		{"operand \"w\" has 32 elements", func(m *Module) { op := step(m).Ops[1]; op.Attrs = append(op.Attrs, Attr{"group", int64(16)}) }},
		{"is missing", func(m *Module) { step(m).Ops[1].Attrs = nil }},
		{"repeat defaults", func(m *Module) { op := step(m).Ops[1]; op.Attrs = append(op.Attrs, Attr{"group", int64(0)}) }},
		{"of kind float, not int64", func(m *Module) { step(m).Ops[1].Attrs = []Attr{{"eps", int64(1)}} }},
		{"must be finite", func(m *Module) { inf := 1e308; step(m).Ops[1].Attrs = []Attr{{"eps", inf * 10}} }},
		{"1 operands instead of 2", func(m *Module) { op := step(m).Ops[1]; op.Args = op.Args[:1] }},
		{"not of fixed size", func(m *Module) { m.Weights[1].Type.Dims[0] = sym.Of(sym.T) }},
		{"recipe gives 48 rows instead of 50", func(m *Module) { m.Weights[1].Type.Dims[0] = sym.Const(50) }},
		{"has no recipe", func(m *Module) { m.Weights[1].Recipe = nil }},
		{"bad axis", func(m *Module) { m.Weights[1].Axis = "rows" }},
		{"codes without a format", func(m *Module) { m.Weights[1].Type.DType = dtype.U4 }},
		{"must be within 1..1048576", func(m *Module) { m.Caches[0].Layers = 0 }},
		{"must be one of [\"paged\"", func(m *Module) { m.Caches[0].Kind = "page" }},
		{"is of kind \"latent\", not \"paged\"", func(m *Module) { c := m.Caches[0]; c.Kind, c.KVHeads, c.Rank = Latent, 1, 4 }},
		{"a rank within 1..dim-1", func(m *Module) { c := m.Caches[0]; c.Kind, c.KVHeads, c.Rank = Latent, 1, c.Dim }},
		{"a latent cache has one of kv_heads", func(m *Module) { m.Caches[0].Kind, m.Caches[0].Rank = Latent, 4 }},
		{"rank belongs to kind", func(m *Module) { m.Caches[0].Rank = 4 }},
		{"a state is of f32, and has a rank within 1..kv_heads-1", func(m *Module) { m.Caches[0].Kind, m.Caches[0].Rank = State, 0 }},
		{"columns 40:", func(m *Module) { r := m.Weights[1].Recipe; r.Transpose, r.Left, r.Total = true, 40, 48 }},
		{"columns 8:", func(m *Module) { m.Weights[1].Recipe.Left = 8 }},
		{"no cache @kv", func(m *Module) { m.Caches[0].Name = "other" }},
		{"2 heads of 8, but cache", func(m *Module) { m.Caches[0].Dim, m.Caches[0].KVHeads = 4, 4 }},
		{"inv_freq is", func(m *Module) { setAttr(step(m), "rope", Attr{"mode", "longrope"}) }},
		{"exactly when mode is not", func(m *Module) { setAttr(step(m), "attn.paged", Attr{"mode", "dynamic"}) }},
		{"must be even and at most dim", func(m *Module) { setAttr(step(m), "rope", Attr{"rotary_dim", int64(10)}) }},
		{"bad place", func(m *Module) { step(m).Ops[0].Results[0].Place = &Place{Slot: 1, Stride: 64} }},
		{"bad kernel name", func(m *Module) { step(m).Ops[0].Kernel = "a b" }},
		{"result 0 is not defined", func(m *Module) { step(m).Results[0] = &Value{Type: step(m).Results[0].Type} }},
	} {
		m := tinyLlama(t)
		c.spoil(m)
		err := Verify(m)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

// setAttr adds an attribute to the first op of that kind.
func setAttr(f *Func, kind string, attr Attr) {
	for _, op := range f.Ops {
		if op.Kind.Name != kind {
			continue
		}
		attrs := append(op.Attrs, attr)
		if err := op.setAttrs(attrs); err != nil {
			panic(err)
		}
		return
	}
}

func TestProductsNeedMatchingFormats(t *testing.T) {
	for _, c := range []struct {
		x, w    string
		segment int64
		ok      bool
	}{
		{"q16t", "int8", 0, true}, {"q16t.g64", "int8", 64, true}, {"q16t", "int8", 64, false}, {"q16t.g64", "int8", 0, false},
		{"q16t", "int4.g32", 0, false}, {"q16g.g32", "int4.g32", 0, true}, {"q16g.g32", "int4z.g32", 64, true},
		{"q16g.g64", "int4.g32", 0, false}, {"q16t", "", 0, false}, {"", "int8", 64, true}, {"", "int4.g32", 0, true},
		{"e4m3t", "fp8", 0, true}, {"e4m3t", "fp8", 64, true}, {"e4m3t.g64", "fp8", 64, false}, {"e4m3t", "int8", 0, false}, {"q16t", "fp8", 0, false},
		{"e4m3t", "fp8_tensor", 0, true}, {"e4m3g.g128", "fp8_block.g128", 64, true}, {"e4m3g.g64", "fp8_block.g128", 0, false}, {"e4m3t", "fp8_block.g128", 0, false},
		{"e4m3g.g128", "fp8", 0, false},
		{"s8t", "int8a8", 0, true}, {"s8t", "int8a8", 64, true}, {"s8t", "int8", 0, false}, {"q16t", "int8a8", 0, false},
	} {
		w := &Weight{Segment: c.segment}
		w.Value = Value{Type: Type{Quant: c.w, Dims: constDims([]int{8, 64})}, Weight: w}
		x := &Value{Type: Type{Quant: c.x, Dims: []sym.Dim{sym.Of(sym.T), sym.Const(64)}}}
		if err := checkProduct(x, &w.Value); (err == nil) != c.ok {
			t.Errorf("%s times %s segment %d: %v", c.x, c.w, c.segment, err)
		}
	}
}

func TestBuilderKeepsTheFirstMistake(t *testing.T) {
	b := NewBuilder("m")
	s := b.Step()
	x := b.Gather(b.Weight("table", dtype.F32, 8, 4), s.IDs)
	y := b.Linear(x, b.Weight("w", dtype.F32, 6, 5), nil)
	b.Return(b.Add(b.SiLU(y), x))
	_, err := b.Module()
	if err == nil || err.Error() != "function @step, op 1: linear: x has 4 columns, w 5" {
		t.Errorf("error %v", err)
	}
}

func TestBuilderDeclaresTiedWeightsOnce(t *testing.T) {
	b := NewBuilder("m")
	first := b.Weight("w", dtype.F32, 6, 5)
	if b.Weight("w", dtype.F32, 6, 5) != first {
		t.Error("asking again gave another value")
	}
	if b.Weight("w", dtype.F32, 5, 6); b.err == nil {
		t.Error("one name with two shapes was accepted")
	}
}
