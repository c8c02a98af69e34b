package passes

import (
	"fmt"

	"llmc/ir"
)

// selectKernels writes down which kernel of the target runs each op: the cheapest that takes operands of these types, the
// first of equals. Views cost nothing and get none.
//
// Before:
//
//	weight %w : f32[8,4]
//	func @f(%x: f32[T,8]) -> (f32[T,8]) {
//	  %a = slice %x {start=4, len=4} : f32[T,4]
//	  %y = linear %a, %w : f32[T,8]
//	  return %y
//	}
//
// After:
//
//	weight %w : f32[8,4]
//	func @f(%x: f32[T,8]) -> (f32[T,8]) {
//	  %a = slice %x {start=4, len=4} : f32[T,4]
//	  %y = linear[linear] %a, %w : f32[T,8]
//	  return %y
//	}
func selectKernels(c *Context) error {
	for _, f := range c.Module.Funcs {
		for _, op := range f.Ops {
			if op.Kind.Has(ir.View) {
				continue
			}
			c.at(op.Result())
			kernels := c.Options.Target.Kernels(op)
			if len(kernels) == 0 {
				return fmt.Errorf("function @%s: target %s has no kernel for %s (%s)", f.Name, c.Options.Target.Name(), describe(op.Result()), signature(op))
			}
			best := kernels[0]
			for _, k := range kernels[1:] {
				if k.Cost < best.Cost {
					best = k
				}
			}
			op.Kernel = best.Name
			c.fired(best.Name)
		}
	}
	return nil
}

// signature prints an op with the texts among its attributes, by which kernels are told apart too, and the types of its operands, the optional
// ones with their names: any of them may be what no kernel takes.
func signature(op *ir.Op) string {
	s := op.Kind.Name
	for _, a := range op.Attrs {
		if text, ok := a.Val.(string); ok {
			s += " " + a.Name + "=" + text
		}
	}
	for i, a := range op.Args {
		switch info := op.Kind.Args[i]; {
		case a == nil:
		case info.Optional:
			s += " " + info.Name + ":" + a.Type.String()
		default:
			s += " " + a.Type.String()
		}
	}
	return s
}
