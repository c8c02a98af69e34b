package codegen

import (
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/ir"
)

// A Coder gives a launch its code, and the attributes that the IR does not know, on targets whose kernels are part of the plan. op has the
// operands' types; p their buffers.
type Coder interface {
	Code(op *ir.Op, l *engine.Launch, p *engine.Program) ([]engine.Code, error)
	// Finish adds what comes behind the logits, when all other launches are there.
	Finish(p *engine.Program) error
	// Auxiliary gives the entries that serve the program beside its launches, when all are there.
	Auxiliary(p *engine.Program) []engine.Auxiliary
}

// Emit turns a scheduled and planned function into the program of a target. It decides nothing: kernels, order,
// barriers and places are those that the passes chose. coder is nil for targets that own their kernels.
func Emit(m *ir.Module, f *ir.Func, target string, coder Coder) (*engine.Program, error) {
	e := emitter{
		module: m, coder: coder,
		program: &engine.Program{Func: f.Name, Target: target, Cards: int(m.Cards), Slots: f.Slots},
		buffers: map[*ir.Value]int{}, weights: map[string]int{},
	}
	for _, c := range m.Caches {
		e.program.Caches = append(e.program.Caches, engine.Cache{
			Name: c.Name, Kind: c.Kind, Layers: int(c.Layers), KVHeads: int(c.KVHeads), Dim: int(c.Dim), Rank: int(c.Rank), DType: c.DType,
		})
	}
	f.Number()
	for _, op := range f.Ops {
		if op.Kernel == "" {
			if !op.Kind.Has(ir.View) {
				return nil, fmt.Errorf("func %s: op %s has no kernel", f.Name, op.Kind.Name)
			}
			continue
		}
		if err := e.launch(op); err != nil {
			return nil, fmt.Errorf("func %s: op %s (%s): %w", f.Name, op.Kind.Name, label(op), err)
		}
	}
	err := e.results(f)
	if err == nil && coder != nil {
		if err = coder.Finish(e.program); err == nil {
			e.program.Auxiliary = coder.Auxiliary(e.program)
		}
	}
	return e.program, err
}

// results notes where the function's results are: the logits of a step, or all by their names.
func (e *emitter) results(f *ir.Func) error {
	if len(f.Results) == 0 || f.Results[0].Place == nil {
		return fmt.Errorf("func %s: the first result is not a planned buffer", f.Name)
	}
	if f.Name == engine.StepFunc {
		var err error
		e.program.Logits, err = e.buffer(f.Results[0])
		return err
	}
	for _, v := range f.Results {
		if v.Type.IsToken() {
			continue
		}
		i, err := e.buffer(v)
		if err != nil {
			return err
		}
		e.program.Results = append(e.program.Results, engine.Result{Name: v.Name, Buffer: i})
	}
	return nil
}

type emitter struct {
	module  *ir.Module
	coder   Coder
	program *engine.Program
	buffers map[*ir.Value]int
	weights map[string]int
}

// launch fills the roles of the kernel's row with the op's operands and results of the same names.
func (e *emitter) launch(op *ir.Op) error {
	kernel := engine.FindKernel(op.Kernel)
	if kernel == nil {
		return fmt.Errorf("unknown kernel %q", op.Kernel)
	}
	l := engine.Launch{Kernel: op.Kernel, Label: label(op), Sync: op.Sync, Attrs: attrs(op, kernel)}
	for _, role := range kernel.Roles {
		operand := engine.InputOperand(role.Name)
		if v := Named(op, role.Name); role.Kind != engine.OperandInput || role.Optional && v == nil {
			var err error
			if operand, err = e.operand(v); err != nil {
				return fmt.Errorf("%s: %w", role.Name, err)
			}
		}
		l.Operands = append(l.Operands, operand)
	}
	if name := untaken(op, kernel); name != "" {
		return fmt.Errorf("kernel %s takes no operand %q", kernel.Name, name)
	}
	if e.coder != nil {
		var err error
		if l.Code, err = e.coder.Code(op, &l, e.program); err != nil {
			return err
		}
	}
	e.program.Launches = append(e.program.Launches, l)
	return nil
}

// untaken names an operand of the op that the kernel has no role for, "" if there is none.
func untaken(op *ir.Op, kernel *engine.Kernel) string {
	for i, a := range op.Kind.Args {
		if op.Args[i] != nil && !slices.ContainsFunc(kernel.Roles, func(r engine.Role) bool { return r.Name == a.Name }) {
			return a.Name
		}
	}
	return ""
}

// Named returns the op's operand or result with that name in the op table, nil when it is absent.
func Named(op *ir.Op, name string) *ir.Value {
	for i, a := range op.Kind.Args {
		if a.Name == name {
			return op.Args[i]
		}
	}
	for i, r := range op.Kind.Results {
		if r == name {
			return op.Results[i]
		}
	}
	return nil
}

func (e *emitter) operand(v *ir.Value) (engine.Operand, error) {
	switch {
	case v == nil:
		return engine.Operand{}, nil
	case v.Weight != nil:
		i, ok := e.weights[v.Name]
		if !ok {
			i = len(e.program.Weights)
			e.weights[v.Name] = i
			e.addWeight(v.Weight)
		}
		return engine.Operand{Kind: engine.OperandWeight, Index: i}, nil
	case v.Type.IsToken():
		i := slices.IndexFunc(e.module.Caches, func(c *ir.Cache) bool { return c.Name == v.Type.Cache })
		return engine.Operand{Kind: engine.OperandCache, Index: i}, nil
	case v.Def == nil:
		operand := engine.InputOperand(v.Name)
		if operand.Index < 0 {
			return engine.Operand{}, fmt.Errorf("a step has no input called %q", v.Name)
		}
		return operand, nil
	}
	i, err := e.buffer(v)
	return engine.Operand{Kind: engine.OperandBuffer, Index: i}, err
}

// addWeight lists a weight, or the whole one that it is a part of and the part's blocks.
func (e *emitter) addWeight(w *ir.Weight) {
	p, name, share := e.program, w.Name, engine.Share{}
	if w.Part != nil {
		name, share = w.Part.Of, engine.Share{Blocks: w.Part.Blocks, Columns: w.Part.Columns}
	}
	p.Weights = append(p.Weights, name)
	if p.Cards > 0 {
		p.Shares = append(p.Shares, share)
	}
}

func (e *emitter) buffer(v *ir.Value) (int, error) {
	if i, ok := e.buffers[v]; ok {
		return i, nil
	}
	cols, ok := v.Type.Cols()
	if v.Place == nil || !ok {
		return 0, fmt.Errorf("value %s has no place", name(v))
	}
	b := engine.Buffer{
		Name: name(v), Slot: v.Place.Slot, Rows: v.Type.Rows(), Cols: cols, Offset: v.Place.Offset, Stride: v.Place.Stride, DType: v.Type.DType,
	}
	if a, err := Activation(v.Type); v.Type.DType == dtype.I32 {
		// Indices lie as they are.
	} else if err != nil {
		return 0, err
	} else if v.Type.Quant != "" {
		b.Format, b.Group = a.Name, int64(a.Group)
		if !a.Maxima {
			b.DType = dtype.Invalid
		}
	}
	i := len(e.program.Buffers)
	e.buffers[v] = i
	e.program.Buffers = append(e.program.Buffers, b)
	return i, nil
}

// Activation returns the activation format in which values of type t are stored.
func Activation(t ir.Type) (layout.Activation, error) {
	k, _ := t.Cols()
	if t.Quant == "" {
		switch t.DType {
		case dtype.F32, dtype.BF16, dtype.F16:
			return layout.NewActivation(t.DType.String(), int(k), 0)
		}
		return layout.Activation{}, fmt.Errorf("activations of %v are not supported", t)
	}
	format, group := ir.SplitQuant(t.Quant)
	if group == 0 {
		group = (k + layout.Align - 1) / layout.Align * layout.Align
	}
	return layout.NewActivation(format, int(k), int(group))
}

// attrs gives the attributes that the kernel's row knows, defaults written out. Optional ones that say nothing are left out.
func attrs(op *ir.Op, kernel *engine.Kernel) []engine.Attr {
	var list []engine.Attr
	for _, row := range kernel.Attrs {
		if !slices.ContainsFunc(op.Kind.Attrs, func(a ir.AttrInfo) bool { return a.Name == row.Name }) {
			continue // a coder's choice
		}
		attr := engine.Attr{Name: row.Name}
		switch row.Kind {
		case engine.AttrInt:
			attr.Int = op.Int(row.Name)
			if row.Name == "rotary_dim" && attr.Int == 0 {
				attr.Int = op.Int("dim")
			}
		case engine.AttrFloat:
			attr.Float = op.Float(row.Name)
		case engine.AttrText:
			attr.Text = op.Text(row.Name)
		}
		if absent := (engine.Attr{Name: row.Name}); !row.Optional || attr != absent {
			list = append(list, attr)
		}
	}
	return list
}

// name is what reports call a value: its name in the IR, or its number.
func name(v *ir.Value) string {
	if v.Name != "" {
		return v.Name
	}
	return fmt.Sprint(v.ID)
}

// label is what profiles call a launch: the name of its first result.
func label(op *ir.Op) string {
	for _, r := range op.Results {
		if !r.Type.IsToken() {
			return name(r)
		}
	}
	return op.Kind.Name
}

// Packed tells whether some reader takes w as a packed matrix.
func Packed(w *ir.Weight, readers []*ir.Op) bool {
	for _, op := range readers {
		k := engine.FindKernel(op.Kernel)
		if k == nil {
			continue
		}
		for _, role := range k.Roles {
			if v := Named(op, role.Name); v != nil && v.Weight == w && role.Packed() {
				return true
			}
		}
	}
	return false
}
