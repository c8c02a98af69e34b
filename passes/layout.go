package passes

import "fmt"

// layout asks the target in which order of bytes its kernels read each weight.
//
// Before:
//
//	weight %w : f32[8,4]
//	weight %b : f32[8]
//	func @f(%x: f32[T,4]) -> (f32[T,8]) {
//	  %y = linear[linear] %x, %w, %b : f32[T,8]
//	  return %y
//	}
//
// After:
//
//	weight %w : f32[8,4]@rows
//	weight %b : f32[8]
//	func @f(%x: f32[T,4]) -> (f32[T,8]) {
//	  %y = linear[linear] %x, %w, %b : f32[T,8]
//	  return %y
//	}
func layout(c *Context) error {
	readers := c.Module.WeightUses()
	for _, w := range c.Module.Weights {
		c.at(&w.Value)
		name, err := c.Options.Target.Layout(w, readers[w])
		if err != nil {
			return fmt.Errorf("weight %%%s of %v: %w", w.Name, w.Type, err)
		}
		w.Type.Layout = name
		if name != "" {
			c.fired(name)
		}
	}
	return nil
}
