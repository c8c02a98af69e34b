package passes

import (
	"slices"

	"llmc/ir"
)

// schedule orders the launches and marks those before which all workers wait. An op runs in the first epoch in which all
// that it reads is written; ops of one epoch run side by side, in their old order. A cache is written only after its
// older state has been read.
//
// Before:
//
//	func @f(%x: f32[T,8], %y: f32[T,8]) -> (f32[T,8], f32[T,8]) {
//	  %a = silu[silu] %x : f32[T,8]
//	  %b = silu[silu] %a : f32[T,8]
//	  %c = scale[scale] %y {by=2} : f32[T,8]
//	  %d = add[add] %b, %c : f32[T,8]
//	  return %d, %a
//	}
//
// After:
//
//	func @f(%x: f32[T,8], %y: f32[T,8]) -> (f32[T,8], f32[T,8]) {
//	  %a = silu[silu] %x : f32[T,8]
//	  %c = scale[scale] %y {by=2} : f32[T,8]
//	  sync
//	  %b = silu[silu] %a : f32[T,8]
//	  sync
//	  %d = add[add] %b, %c : f32[T,8]
//	  return %d, %a
//	}
func schedule(c *Context) error {
	for _, f := range c.Module.Funcs {
		level := levels(f)
		slices.SortStableFunc(f.Ops, func(a, b *ir.Op) int { return level[a] - level[b] })
		now := 0
		for _, op := range f.Ops {
			op.Sync = false
			if !op.Kind.Has(ir.View) && level[op] > now {
				op.Sync, now = true, level[op]
				c.fired("sync")
			}
		}
	}
	return nil
}

// levels returns the epoch of each op: 0 where it reads only parameters and weights. A view is as early as what it shows.
func levels(f *ir.Func) map[*ir.Op]int {
	level := map[*ir.Op]int{}
	lastRead := map[*ir.Value]int{} // of cache tokens
	for _, op := range f.Ops {
		at := 0
		for _, a := range op.Args {
			if a == nil {
				continue
			}
			if def := base(a).Def; def != nil {
				at = max(at, level[def]+1)
			}
			if read, ok := lastRead[a]; ok && op.Kind.Has(ir.WritesCache) {
				at = max(at, read+1)
			}
		}
		if op.Kind.Has(ir.View) {
			at = 0
			if def := base(op.Result()).Def; def != nil {
				at = level[def]
			}
		}
		for _, a := range op.Args {
			if a != nil && a.Type.IsToken() && !op.Kind.Has(ir.WritesCache) {
				lastRead[a] = max(lastRead[a], at)
			}
		}
		level[op] = at
	}
	return level
}

// epochs counts for each op of a scheduled function how many waits come before it.
func epochs(f *ir.Func) map[*ir.Op]int {
	epoch, now := map[*ir.Op]int{}, 0
	for _, op := range f.Ops {
		if op.Sync {
			now++
		}
		epoch[op] = now
	}
	return epoch
}
