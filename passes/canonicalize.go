package passes

import (
	"fmt"
	"slices"
	"strings"

	"llmc/internal/dtype"
	"llmc/ir"
)

// Names under which canonicalize counts its rewrites.
const (
	ruleShare       = "share"
	ruleOrder       = "operand-order"
	ruleSelectEarly = "select-early"
)

// canonicalize gives equal computations one form and one place: operands of commutative ops in order of definition, one
// op for what is computed twice, and rows selected before ops that work on each row alone, so that the end of the
// last layer runs for the sampled tokens only.
//
// Before:
//
//	weight %w : f32[8]
//	weight %head : f32[16,8]
//	func @f(%x: f32[T,8], %rows: i32[R]) -> (f32[R,16]) {
//	  %a = silu %x : f32[T,8]
//	  %b = silu %x : f32[T,8]
//	  %c = mul %b, %a : f32[T,8]
//	  %d = add %c, %x : f32[T,8]
//	  %n = rmsnorm %d, %w {eps=1e-05} : f32[T,8]
//	  %s = select_rows %n, %rows : f32[R,8]
//	  %y = linear %s, %head : f32[R,16]
//	  return %y
//	}
//
// After:
//
//	weight %w : f32[8]
//	weight %head : f32[16,8]
//	func @f(%x: f32[T,8], %rows: i32[R]) -> (f32[R,16]) {
//	  %2 = select_rows %x, %rows : f32[R,8]
//	  %a = silu %2 : f32[R,8]
//	  %c = mul %a, %a : f32[R,8]
//	  %d = add %2, %c : f32[R,8]
//	  %s = rmsnorm %d, %w {eps=1e-05} : f32[R,8]
//	  %y = linear %s, %head : f32[R,16]
//	  return %y
//	}
func canonicalize(c *Context) error {
	for _, f := range c.Module.Funcs {
		for {
			changed := c.sortOperands(f)
			changed = c.share(f) || changed
			if !c.selectEarly(f) && !changed {
				break
			}
		}
	}
	return nil
}

// sortOperands puts the operand that is defined first to the left.
func (c *Context) sortOperands(f *ir.Func) bool {
	if c.disabled(ruleOrder) {
		return false
	}
	f.Number()
	changed := false
	for _, op := range f.Ops {
		if op.Kind.Has(ir.Commutative) && op.Args[0].ID > op.Args[1].ID {
			op.Args[0], op.Args[1] = op.Args[1], op.Args[0]
			c.fired(ruleOrder)
			changed = true
		}
	}
	return changed
}

// identity is equal for ops that compute the same.
func identity(op *ir.Op) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v", op.Kind.Name, op.Attrs)
	for _, a := range op.Args {
		fmt.Fprintf(&b, " %p", a)
	}
	return b.String()
}

// share computes once what is computed twice.
func (c *Context) share(f *ir.Func) bool {
	if c.disabled(ruleShare) {
		return false
	}
	first := map[string]*ir.Op{}
	before := len(f.Ops)
	f.Ops = slices.DeleteFunc(f.Ops, func(op *ir.Op) bool {
		c.at(op.Result())
		key := identity(op)
		twin, again := first[key]
		if !again {
			first[key] = op
			return false
		}
		for i, r := range op.Results {
			f.Replace(r, twin.Results[i])
		}
		c.fired(ruleShare)
		return true
	})
	return len(f.Ops) < before
}

// selectEarly moves one select_rows above the op that it reads. The rows of the op's activations are selected instead.
func (c *Context) selectEarly(f *ir.Func) bool {
	if c.disabled(ruleSelectEarly) {
		return false
	}
	for i, sel := range f.Ops {
		if sel.Kind.Name != "select_rows" {
			continue
		}
		c.at(sel.Result())
		op := sel.Arg("x").Def
		if op == nil || !rowWise(op) || readers(f, op.Results...) > 1 {
			continue
		}
		rows := sel.Arg("rows")
		var added []*ir.Op
		args := slices.Clone(op.Args)
		for k, a := range args {
			if a != nil && a.Weight == nil {
				early := c.newOp("select_rows", []*ir.Value{a, rows})
				added = append(added, early)
				args[k] = early.Result()
			}
		}
		late := c.newOp(op.Kind.Name, args, op.Attrs...)
		added = append(added, late)
		late.Result().Name, op.Result().Name = op.Result().Name, ""
		if name := sel.Result().Name; name != "" {
			late.Result().Name, sel.Result().Name = name, ""
		}
		f.Replace(sel.Result(), late.Result())
		f.Ops = slices.Concat(f.Ops[:i], added, f.Ops[i+1:])
		removeDead(f, op)
		c.fired(ruleSelectEarly)
		return true
	}
	return false
}

// rowWise tells whether op computes each row from the same row of its activations, all of which rows can be selected from.
func rowWise(op *ir.Op) bool {
	if !op.Kind.Has(ir.RowWise) || len(op.Results) != 1 {
		return false
	}
	for _, a := range op.Args {
		if a != nil && a.Weight == nil && !a.Type.Equal(ir.F32(a.Type.Rows(), columns(a))) {
			return false
		}
	}
	return op.Result().Type.DType == dtype.F32
}
