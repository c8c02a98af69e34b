package passes

import (
	"slices"

	"llmc/internal/quant"
	"llmc/ir"
)

// Names under which fuseLinear counts its rewrites.
const (
	ruleAddInProduct  = "add-in-product"
	ruleTurnInProduct = "turn-in-product"
)

// fuseLinear lets products do what lies around them, where the target has such kernels: a layer of a decoder becomes five launches.
//
// A product adds the residual to its own result, multiplies that with the weights of the norm that follows, and adds up squares. The norm's
// one factor for a row is then left to the products that read it: it comes out of their sums.
//
// The product of q, k and v turns queries and keys and writes the cache, unless that has scales, which take a whole head to know. The two channels of a pair must meet, so the rows of its weight
// are put in another order. Sines and cosines are computed once for all layers.
//
// Before:
//
//	weight %w : f32[16,8]
//	weight %norm : f32[16]
//	weight %up : f32[8,16]
//	func @f(%x: f32[T,16], %h: f32[T,8]) -> (f32[T,16], f32[T,8]) {
//	  %d = linear %h, %w : f32[T,16]
//	  %sum, %n = add_rmsnorm %x, %d, %norm {eps=1e-05} : f32[T,16], f32[T,16]
//	  %y = linear %n, %up : f32[T,8]
//	  return %sum, %y
//	}
//
// After:
//
//	weight %w : f32[16,8]
//	weight %norm : f32[16]
//	weight %up : f32[8,16]
//	func @f(%x: f32[T,16], %h: f32[T,8]) -> (f32[T,16], f32[T,8]) {
//	  %sum, %n.scaled, %n.squared = linear_add %h, %w, %x, %norm : f32[T,16], f32[T,16], f32[T,1]
//	  %y = linear %n.scaled, %up, _, %n.squared {eps=1e-05} : f32[T,8]
//	  return %sum, %y
//	}
func fuseLinear(c *Context) error {
	for _, f := range c.Module.Funcs {
		turns := map[string]*ir.Value{}
		for _, op := range slices.Clone(f.Ops) {
			if op.Kind.Name == "rope_kv" && !c.disabled(ruleTurnInProduct) {
				c.at(op.Result())
				c.turnInProduct(f, op, turns)
			}
		}
		for _, op := range slices.Clone(f.Ops) {
			if op.Kind.Name == "add_rmsnorm" && !c.disabled(ruleAddInProduct) {
				c.at(op.Result())
				c.addInProduct(f, op)
			}
		}
	}
	return nil
}

// soleProduct returns the linear whose result is v, if v has one reader and the linear finishes no norm.
func soleProduct(f *ir.Func, v *ir.Value) *ir.Op {
	if v.Def == nil || v.Def.Kind.Name != "linear" || v.Def.Arg("squares") != nil || readers(f, v) != 1 {
		return nil
	}
	return v.Def
}

// addInProduct replaces a linear and an add_rmsnorm behind it, and gives the squares to the products that read the norm.
func (c *Context) addInProduct(f *ir.Func, norm *ir.Op) {
	residual, product := norm.Arg("x"), soleProduct(f, norm.Arg("delta"))
	if product == nil {
		residual, product = norm.Arg("delta"), soleProduct(f, norm.Arg("x"))
	}
	if product == nil {
		return
	}
	sum, normed := norm.Results[0], norm.Results[1]
	args := []*ir.Value{product.Arg("x"), product.Arg("w"), residual, norm.Arg("w"), product.Arg("bias"), product.Arg("raw")}
	joint := c.newOp("linear_add", args, ir.Attr{Name: "dtype", Val: norm.Text("dtype")})
	eps := ir.Attr{Name: "eps", Val: norm.Float("eps")}
	finished, ok := c.withOperand(f, productsOf(f, normed), "squares", joint.Results[2], eps)
	if !ok || len(c.Options.Target.Kernels(joint)) == 0 {
		return
	}
	if normed.Name != "" {
		joint.Results[1].Name, joint.Results[2].Name = c.fresh(normed.Name+".scaled"), c.fresh(normed.Name+".squared")
	}
	f.Ops[slices.Index(f.Ops, norm)] = joint
	c.replaceOps(f, finished)
	c.takeOver(f, joint.Results[0], sum)
	f.Replace(normed, joint.Results[1]) // of the same type
	f.Ops = slices.DeleteFunc(f.Ops, func(op *ir.Op) bool { return op == product })
	c.fired(ruleAddInProduct)
}

// turnInProduct replaces the joint projection and the rope_kv behind it. turns are the angles of the function so far, by what they are of.
func (c *Context) turnInProduct(f *ir.Func, rope *ir.Op, turns map[string]*ir.Value) {
	product, dim := soleProduct(f, rope.Arg("qkv")), rope.Int("dim")
	rotary := ir.RotaryDim(rope, dim)
	cache, err := quant.KVOf(c.Module.Cache(rope.Arg("cache").Type.Cache).DType)
	if err != nil || cache.Scaled() || product == nil || rope.Arg("q_norm") != nil || rope.Text("mode") != "static" || rope.Text("style") != "half" || rotary%(2*ir.TurnBlock) != 0 {
		return
	}
	order := headOrder{dim: dim, rotary: rotary, turning: rope.Int("heads") + rope.Int("kv_heads")}
	recipes := map[*ir.Weight]*ir.Recipe{}
	for _, v := range []*ir.Value{product.Arg("w"), product.Arg("bias")} {
		if v == nil {
			continue
		}
		recipe, ok := order.permute(v.Weight)
		if !ok || weightReaders(c.Module, v.Weight) != 1 {
			return
		}
		recipes[v.Weight] = recipe
	}
	angles, made := c.angles(rope, turns)
	args := []*ir.Value{product.Arg("x"), product.Arg("w"), angles.Result(), rope.Arg("cache"), product.Arg("bias"), nil, product.Arg("raw")}
	joint := c.newOp("linear_rope_kv", args, keep(rope.Attrs, "layer", "heads", "kv_heads", "dim", "rotary_dim")...)
	if len(c.Options.Target.Kernels(joint)) == 0 || len(c.Options.Target.Kernels(angles)) == 0 {
		return
	}
	for w, recipe := range recipes {
		w.Recipe = recipe
	}
	for i, old := range rope.Results {
		c.takeOver(f, joint.Results[i], old)
	}
	f.Ops[slices.Index(f.Ops, rope)] = joint
	at := slices.Index(f.Ops, product)
	f.Ops = slices.Delete(f.Ops, at, at+1)
	if made {
		f.Ops = slices.Insert(f.Ops, 0, angles)
		turns[identity(angles)] = angles.Result()
	}
	c.fired(ruleTurnInProduct)
}

// angles returns the op that computes sines and cosines for rope: one that is there, or a new one.
func (c *Context) angles(rope *ir.Op, turns map[string]*ir.Value) (op *ir.Op, made bool) {
	op = c.newOp("rope_turns", []*ir.Value{rope.Arg("positions"), rope.Arg("inv_freq")}, keep(rope.Attrs, "factor")...)
	if old := turns[identity(op)]; old != nil {
		return old.Def, false
	}
	return op, true
}

// keep returns the attributes of those names.
func keep(attrs []ir.Attr, names ...string) []ir.Attr {
	return slices.DeleteFunc(slices.Clone(attrs), func(a ir.Attr) bool { return !slices.Contains(names, a.Name) })
}

// headOrder is how the rows of a joint projection are ordered for linear_rope_kv: heads that turn, the first rotary of their dim channels, then
// others.
type headOrder struct{ dim, rotary, turning int64 }

// permute puts the rows of w in that order; ok is false for recipes whose rows can not be taken apart.
func (o headOrder) permute(w *ir.Weight) (permuted *ir.Recipe, ok bool) {
	rows, cols, _ := w.Type.Matrix()
	var parts []*ir.Recipe
	take := func(start, count int64) *ir.Recipe {
		part, can := ir.SliceRows(w.Recipe, cols, start, count)
		ok = ok && can
		return part
	}
	ok = true
	for head := range o.turning {
		at, half := head*o.dim, o.rotary/2
		parts = append(parts, ir.InterleaveRows(ir.TurnBlock, take(at, half), take(at+half, half)))
		if o.rotary < o.dim {
			parts = append(parts, take(at+o.rotary, o.dim-o.rotary))
		}
	}
	parts = append(parts, take(o.turning*o.dim, rows-o.turning*o.dim))
	if !ok {
		return nil, false
	}
	return ir.ConcatRows(parts...), true
}
