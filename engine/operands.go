package engine

import (
	"fmt"
	"slices"
	"strings"

	"llmc/engine/layout"
	"llmc/internal/sym"
)

// bindOperand checks one operand against its role. The binder of its kind does the rest.
func (b *Bound) bindOperand(role *Role, o Operand) error {
	if o.Kind == OperandNone && role.Optional {
		if o.Index != 0 {
			return fmt.Errorf("index %d of an absent operand", o.Index)
		}
		return nil
	}
	if o.Kind != role.Kind {
		return fmt.Errorf("it is a %v, not a %v", o.Kind, role.Kind)
	}
	table := operandTables[o.Kind]
	if n := table.len(b.scope.program); o.Index < 0 || o.Index >= n {
		return fmt.Errorf("index %d of %d", o.Index, n)
	}
	return table.bind(b, role, o.Index)
}

// operandTables is indexed by OperandKind.
var operandTables = []struct {
	len  func(*Program) int
	bind func(*Bound, *Role, int) error
}{
	OperandNone:   {},
	OperandBuffer: {func(p *Program) int { return len(p.Buffers) }, (*Bound).bindBuffer},
	OperandWeight: {func(p *Program) int { return len(p.Weights) }, (*Bound).bindWeight},
	OperandCache:  {func(p *Program) int { return len(p.Caches) }, (*Bound).bindCache},
	OperandInput:  {func(*Program) int { return len(Inputs) }, (*Bound).bindInput},
}

func (b *Bound) bindBuffer(role *Role, i int) error {
	buffer := &b.scope.program.Buffers[i]
	if name := buffer.TypeName(); !slices.Contains(role.Types, name) {
		return fmt.Errorf("buffer of %s; the kernel takes %s", name, strings.Join(role.Types, ", "))
	}
	if err := b.bindRows(role.Dims[0], buffer.Rows); err != nil {
		return err
	}
	return b.bindSize(role.Dims[1], buffer.Cols)
}

func (b *Bound) bindWeight(role *Role, i int) error {
	w := b.scope.parts[i]
	if len(w.Shape) != len(role.Dims) {
		return fmt.Errorf("weight %s has shape %v; the kernel takes one of %d dimensions", w.Name, w.Shape, len(role.Dims))
	}
	if !role.accepts(w) {
		return fmt.Errorf("weight %s is %s; the kernel takes %s", w.Name, w.Layout+w.DType, strings.Join(role.Types, ", "))
	}
	for d, expr := range role.Dims {
		if err := b.bindSize(expr, w.Shape[d]); err != nil {
			return fmt.Errorf("weight %s: %w", w.Name, err)
		}
	}
	return nil
}

// accepts compares a weight's layout with the role's: a matrix of a packed role must be packed, any other row-major.
func (r *Role) accepts(w *WeightEntry) bool {
	name := w.Layout
	if !r.packed {
		if w.Layout != "" {
			return false
		}
		name = w.DType
	}
	return slices.ContainsFunc(r.Types, func(t string) bool {
		family, wild := strings.CutSuffix(t, "*")
		return t == name || wild && strings.HasPrefix(name, family)
	})
}

func (b *Bound) bindCache(role *Role, i int) error {
	c := &b.scope.program.Caches[i]
	kind := c.Kind
	if kind == Cross { // positions of a text lie as those of a sequence do
		kind = Paged
	}
	if kind != role.kind {
		return fmt.Errorf("cache of kind %q; the kernel takes %q", c.Kind, role.kind)
	}
	if !slices.Contains(role.Types, c.DType.String()) {
		return fmt.Errorf("cache of %v; the kernel takes %s", c.DType, strings.Join(role.Types, ", "))
	}
	for _, size := range []struct {
		name  string
		value int
	}{{"layers", c.Layers}, {"kv_heads", c.KVHeads}, {"dim", c.Dim}, {"rank", c.Rank}} {
		if err := b.bindSize(size.name, int64(size.value)); err != nil {
			return err
		}
	}
	return nil
}

// inputRows tells how long the inputs are that have no value per token.
var inputRows = map[string]sym.Dim{"rows": sym.Of(sym.R), "context": sym.Of(sym.B), "sampling": sym.Of(sym.R), "drafts": sym.Of(sym.R), "source_length": sym.Of(sym.B),
	"seq_start": sym.Of(sym.B).Add(sym.Const(1))}

func (b *Bound) bindInput(role *Role, i int) error {
	if Inputs[i] != role.Name {
		return fmt.Errorf("input %s", Inputs[i])
	}
	if len(role.Dims) == 0 { // of a length that no form gives: pages, items
		return nil
	}
	rows, ok := inputRows[Inputs[i]]
	if !ok {
		rows = sym.Of(sym.T)
	}
	return b.bindRows(role.Dims[0], rows)
}

// linear returns the packed layout of a matrix.
func (w *WeightEntry) linear() (layout.Linear, error) {
	return layout.New(w.Layout, int(w.N()), int(w.K()), int(w.Segment))
}
