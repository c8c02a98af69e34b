package passes

import (
	"slices"
	"strings"

	"llmc/internal/sym"
	"llmc/ir"
)

// derive adds a weight with the given recipe. All else is as in like: element type, format, axis and the dims but that of
// the rows.
func (c *Context) derive(name string, recipe *ir.Recipe, like *ir.Weight) *ir.Value {
	_, cols, _ := like.Type.Matrix()
	w := &ir.Weight{Axis: like.Axis, Segment: like.Segment, Stored: like.Stored, Recipe: recipe}
	w.Name = c.fresh(name)
	w.Type = like.Type
	w.Type.Dims = slices.Clone(like.Type.Dims)
	rows := recipe.Rows(cols)
	if experts, ok := stacked(like); ok {
		w.Type.Dims[1] = sym.Const(rows / experts)
	} else {
		w.Type.Dims[0] = sym.Const(rows)
	}
	w.Value.Weight = w
	at := slices.Index(c.Module.Weights, like)
	c.Module.Weights = slices.Insert(c.Module.Weights, at, w) // beside its parts, so that weights stay in layer order
	return &w.Value
}

// stacked returns how many matrices a weight is a stack of.
func stacked(w *ir.Weight) (experts int64, ok bool) {
	if w.Type.Rank() != 3 {
		return 1, false
	}
	return w.Type.Rows().IsConst()
}

// joinable tells whether the rows of weights may become rows of one: same columns, type and axis, and no reader besides
// the one that goes.
func joinable(m *ir.Module, weights ...*ir.Weight) bool {
	a := weights[0]
	for i, w := range weights {
		sameType := w.Type.DType == a.Type.DType && w.Type.Quant == a.Type.Quant && w.Type.Layout == "" && slices.Equal(w.Type.Dims[1:], a.Type.Dims[1:])
		if !sameType || w.Axis != a.Axis || w.Stored != a.Stored || w.Segment != a.Segment || weightReaders(m, w) != 1 || slices.Contains(weights[:i], w) {
			return false
		}
	}
	return true
}

// weightReaders counts the operands that are w, over all functions.
func weightReaders(m *ir.Module, w *ir.Weight) int {
	n := 0
	for _, f := range m.Funcs {
		n += readers(f, &w.Value)
	}
	return n
}

// jointName puts joint in place of what differs in two names: "l.q_proj.weight" and "l.v_proj.weight" joined as "qkv"
// are "l.qkv_proj.weight".
func jointName(joint, a, b string) string {
	one, two := strings.Split(a, "."), strings.Split(b, ".")
	head := 0
	for head < min(len(one), len(two)) && one[head] == two[head] {
		head++
	}
	tail := 0
	for tail < min(len(one), len(two))-head && one[len(one)-1-tail] == two[len(two)-1-tail] {
		tail++
	}
	if head < min(len(one), len(two))-tail {
		_, suffix, _ := strings.Cut(one[head], "_")
		if _, other, _ := strings.Cut(two[head], "_"); suffix != "" && suffix == other {
			joint += "_" + suffix
		}
	}
	return strings.Join(slices.Concat(one[:head], []string{joint}, one[len(one)-tail:]), ".")
}

// matrixOf returns the weight that a matrix product or a look-up reads, nil for other ops.
func matrixOf(op *ir.Op) *ir.Weight {
	switch op.Kind.Name {
	case "linear", "linear_swiglu", "linear_act", "linear_add", "linear_rope_kv", "moe.linear", "moe.linear_swiglu", "linear_heads":
		return op.Arg("w").Weight
	case "gather", "gather_positions", "gather_types":
		return op.Arg("table").Weight
	}
	return nil
}

// looksUp tells whether an op reads rows of its matrix instead of multiplying with it.
func looksUp(op *ir.Op) bool {
	return op.Kind.Name == "gather" || op.Kind.Name == "gather_positions" || op.Kind.Name == "gather_types"
}

// base returns the value whose storage v is a part of.
func base(v *ir.Value) *ir.Value {
	for v.Def != nil && v.Def.Kind.Has(ir.View) {
		v = v.Def.Args[0]
	}
	return v
}
