package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// Print returns the module's text. Unnamed values print as their number in order of definition.
func Print(m *Module) string {
	p := printer{}
	if m.Name != "" {
		p.line("module %s", strconv.Quote(m.Name))
	}
	if m.Cards != 0 {
		p.line("cards %d", m.Cards)
	}
	for _, c := range m.Caches {
		rank := ""
		if c.Rank != 0 {
			rank = fmt.Sprintf(", rank=%d", c.Rank)
		}
		p.line("cache @%s {kind=%q, layers=%d, kv_heads=%d, dim=%d%s, dtype=%q}", c.Name, c.Kind, c.Layers, c.KVHeads, c.Dim, rank, c.DType)
	}
	for _, w := range m.Weights {
		p.line("weight %%%s : %s%s%s", w.Name, w.Type, weightAttrs(w), weightRecipe(w, m.Cards))
	}
	for _, f := range m.Funcs {
		p.function(f)
	}
	return p.b.String()
}

type printer struct {
	b   strings.Builder
	ids map[*Value]int
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(&p.b, format, args...)
	p.b.WriteByte('\n')
}

func weightAttrs(w *Weight) string {
	var parts []string
	if w.Axis != "" {
		parts = append(parts, "axis="+strconv.Quote(w.Axis))
	}
	if w.Segment != 0 {
		parts = append(parts, "segment="+strconv.FormatInt(w.Segment, 10))
	}
	if w.Stored != "" {
		parts = append(parts, "stored="+strconv.Quote(w.Stored))
	}
	if w.Part != nil {
		parts = append(parts, "of="+strconv.Quote(w.Part.Of), map[bool]string{false: "blocks=", true: "columns="}[w.Part.Columns]+strconv.Quote(w.Part.String()))
	}
	if len(parts) == 0 {
		return ""
	}
	return " {" + strings.Join(parts, ", ") + "}"
}

// weightRecipe leaves out the recipe of a weight that is the whole tensor of its own name.
func weightRecipe(w *Weight, cards int64) string {
	if w.Recipe.Equal(w.ownTensor(cards)) {
		return ""
	}
	return " = " + w.Recipe.String()
}

// ownTensor is the recipe that a weight has when none is given: the tensor of the same name, of a part that of the whole.
func (w *Weight) ownTensor(cards int64) *Recipe {
	if w.Part != nil {
		w = w.Whole(cards)
	}
	rows, _, _ := w.Type.Matrix()
	return TensorRows(w.Name, 0, rows)
}

// String prints recipes such as `tensor("q", 0:64)`, `tensor("w", 0:64, transpose)`, `tensor("w", 0:64, transpose 32:128)`, `const(1, 0.5)`, `zeros(8)`,
// `concat(..., ...)`, `interleave(32, ..., ...)`, `rotated(0:64, "r64", "", ..., ...)`, and `scaled(0:64, ..., const(...))` for a rotated one that has factors of rows.
func (r *Recipe) String() string {
	var args []string
	name := ""
	switch r.Kind {
	case FromTensor:
		name, args = "tensor", []string{strconv.Quote(r.Tensor), fmt.Sprintf("%d:%d", r.Start, r.Start+r.Count)}
		switch {
		case r.Transpose && r.Total != 0:
			args = append(args, fmt.Sprintf("transpose %d:%d", r.Left, r.Total))
		case r.Transpose:
			args = append(args, "transpose")
		}
		if r.Transform != "" {
			args = append(args, r.Transform)
		}
	case FromValues:
		name = "const"
		for _, v := range r.Values {
			args = append(args, strconv.FormatFloat(float64(v), 'g', -1, 32))
		}
	case FromZeros:
		name, args = "zeros", []string{strconv.FormatInt(r.Count, 10)}
	case Concat:
		name = "concat"
	case Interleave:
		name, args = "interleave", []string{strconv.FormatInt(r.Block, 10)}
	case Rotated:
		name, args = "rotated", []string{fmt.Sprintf("%d:%d", r.Start, r.Start+r.Count), strconv.Quote(r.In), strconv.Quote(r.Out)}
		if r.ByRow {
			name, args = "scaled", args[:1]
		}
	}
	for _, part := range r.Parts {
		args = append(args, part.String())
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

func (p *printer) function(f *Func) {
	p.ids = map[*Value]int{}
	f.eachValue(func(v *Value) { p.ids[v] = len(p.ids) })
	var params []string
	for _, v := range f.Params {
		params = append(params, p.ref(v)+": "+v.Type.String())
	}
	var results []string
	for _, v := range f.Results {
		results = append(results, v.Type.String())
	}
	p.line("func @%s(%s) -> (%s) {", f.Name, strings.Join(params, ", "), strings.Join(results, ", "))
	if len(f.Slots) > 0 {
		var sizes []string
		for _, d := range f.Slots {
			sizes = append(sizes, d.String())
		}
		p.line("  slots [%s]", strings.Join(sizes, ", "))
	}
	for _, op := range f.Ops {
		if op.Sync {
			p.line("  sync")
		}
		p.line("  %s", p.op(op))
	}
	p.line("  return%s", spaced(p.refs(f.Results)))
	p.line("}")
}

func spaced(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

func (p *printer) ref(v *Value) string {
	if v == nil {
		return "_"
	}
	if v.Name != "" {
		return "%" + v.Name
	}
	return "%" + strconv.Itoa(p.ids[v])
}

func (p *printer) refs(values []*Value) string {
	var parts []string
	for _, v := range values {
		parts = append(parts, p.ref(v))
	}
	return strings.Join(parts, ", ")
}

func (p *printer) op(op *Op) string {
	args := op.Args
	for len(args) > 0 && args[len(args)-1] == nil {
		args = args[:len(args)-1]
	}
	kernel := ""
	if op.Kernel != "" {
		kernel = "[" + op.Kernel + "]"
	}
	var types []string
	for _, r := range op.Results {
		types = append(types, r.Type.String()+r.Place.String())
	}
	return fmt.Sprintf("%s = %s%s%s%s : %s", p.refs(op.Results), op.Kind.Name, kernel, spaced(p.refs(args)), printAttrs(op.Attrs), strings.Join(types, ", "))
}

// String prints " $slot+offset/stride".
func (p *Place) String() string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf(" $%d+%d/%d", p.Slot, p.Offset, p.Stride)
}

func printAttrs(attrs []Attr) string {
	if len(attrs) == 0 {
		return ""
	}
	var parts []string
	for _, a := range attrs {
		parts = append(parts, a.Name+"="+printAttr(a.Val))
	}
	return " {" + strings.Join(parts, ", ") + "}"
}

func printAttr(val any) string {
	switch v := val.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(val)
}
