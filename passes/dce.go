package passes

import (
	"slices"

	"llmc/ir"
)

// dce removes ops whose results reach no result of their function, and weights that no op reads. Writing a cache is
// never dead: its token is returned.
//
// Before:
//
//	weight %w : f32[4,8]
//	func @f(%x: f32[T,8]) -> (f32[T,8]) {
//	  %a = linear %x, %w : f32[T,4]
//	  %b = silu %a : f32[T,4]
//	  %y = silu %x : f32[T,8]
//	  return %y
//	}
//
// After:
//
//	func @f(%x: f32[T,8]) -> (f32[T,8]) {
//	  %y = silu %x : f32[T,8]
//	  return %y
//	}
func dce(c *Context) error {
	for _, f := range c.Module.Funcs {
		live := liveOps(f)
		f.Ops = slices.DeleteFunc(f.Ops, func(op *ir.Op) bool {
			if !live[op] {
				c.fired("dce")
			}
			return !live[op]
		})
	}
	uses := c.Module.WeightUses()
	c.Module.Weights = slices.DeleteFunc(c.Module.Weights, func(w *ir.Weight) bool { return len(uses[w]) == 0 })
	return nil
}

// liveOps returns the ops on which the function's results depend.
func liveOps(f *ir.Func) map[*ir.Op]bool {
	live := map[*ir.Op]bool{}
	for _, r := range f.Results {
		live[r.Def] = true
	}
	for _, op := range slices.Backward(f.Ops) {
		if !live[op] {
			continue
		}
		for _, a := range op.Args {
			if a != nil && a.Def != nil {
				live[a.Def] = true
			}
		}
	}
	return live
}
