package passes

import (
	"slices"
	"strings"

	"llmc/ir"
)

// fuseQKV multiplies with the weights of q, k and v at once. Which linears these are is read off the graph: k and v reach one
// cache write, q the attention that reads it, each through head norms and rotary embeddings at most. The joint weight's rows
// are those of q, then k, then v, so it streams from the checkpoint as its parts would.
//
// Before:
//
//	cache @kv {kind="paged", layers=1, kv_heads=1, dim=4, dtype="f32"}
//	weight %l.q.weight : bf16[8,16] {axis="col"}
//	weight %l.k.weight : bf16[4,16] {axis="col"}
//	weight %l.v.weight : bf16[4,16] {axis="col"}
//	func @f(%x: f32[T,16], %kv0: kv[kv]) -> (f32[T,8], kv[kv]) {
//	  %q = linear %x, %l.q.weight : f32[T,8]
//	  %k = linear %x, %l.k.weight : f32[T,4]
//	  %v = linear %x, %l.v.weight : f32[T,4]
//	  %kv1 = kv.write %kv0, %k, %v {layer=0} : kv[kv]
//	  %y = attn.paged %q, %kv1 {layer=0, heads=2, kv_heads=1, dim=4, scale=0.5} : f32[T,8]
//	  return %y, %kv1
//	}
//
// After:
//
//	cache @kv {kind="paged", layers=1, kv_heads=1, dim=4, dtype="f32"}
//	weight %l.qkv.weight : bf16[16,16] {axis="col"} = concat(tensor("l.q.weight", 0:8), tensor("l.k.weight", 0:4), tensor("l.v.weight", 0:4))
//	func @f(%x: f32[T,16], %kv0: kv[kv]) -> (f32[T,8], kv[kv]) {
//	  %qkv = linear %x, %l.qkv.weight : f32[T,16]
//	  %q = slice %qkv {start=0, len=8} : f32[T,8]
//	  %k = slice %qkv {start=8, len=4} : f32[T,4]
//	  %v = slice %qkv {start=12, len=4} : f32[T,4]
//	  %kv1 = kv.write %kv0, %k, %v {layer=0} : kv[kv]
//	  %y = attn.paged %q, %kv1 {layer=0, heads=2, kv_heads=1, dim=4, scale=0.5} : f32[T,8]
//	  return %y, %kv1
//	}
func fuseQKV(c *Context) error {
	for _, f := range c.Module.Funcs {
		for _, write := range slices.Clone(f.Ops) {
			if write.Kind.Name != "kv.write" {
				continue
			}
			c.at(write.Result())
			if read := soleAttention(f, write); read != nil {
				c.joinProjections(f, projection(read.Arg("q")), projection(write.Arg("k")), projection(write.Arg("v")))
			}
		}
	}
	return nil
}

// soleAttention returns the attention that reads the cache after write in the same layer, nil when there is not exactly one.
func soleAttention(f *ir.Func, write *ir.Op) *ir.Op {
	var found *ir.Op
	for _, op := range f.Ops {
		if op.Kind.Name != "attn.paged" || op.Arg("cache") != write.Result() || op.Int("layer") != write.Int("layer") {
			continue
		}
		if found != nil {
			return nil
		}
		found = op
	}
	return found
}

// projection follows head norms, rotary embeddings and factors of positions back to a linear; nil if something else comes first.
func projection(v *ir.Value) *ir.Op {
	for v.Def != nil {
		switch op := v.Def; op.Kind.Name {
		case "linear":
			return op
		case "rope", "rmsnorm", "scale_positions":
			v = op.Arg("x")
		default:
			return nil
		}
	}
	return nil
}

// joinProjections replaces three linears of one input by one and slices of its result.
func (c *Context) joinProjections(f *ir.Func, q, k, v *ir.Op) {
	linears := []*ir.Op{q, k, v}
	var weights, biases []*ir.Weight
	for _, op := range linears {
		if op == nil || op.Arg("x") != linears[0].Arg("x") {
			return
		}
		weights = append(weights, op.Arg("w").Weight)
		if b := op.Arg("bias"); b != nil {
			biases = append(biases, b.Weight)
		}
	}
	if !joinable(c.Module, weights...) || len(biases) > 0 && !joinable(c.Module, biases...) {
		return
	}
	w := c.concat("qkv", weights)
	args := []*ir.Value{linears[0].Arg("x"), w}
	if len(biases) > 0 {
		args = append(args, c.concatBiases(w, linears, biases[0]))
	}
	joint := c.newOp("linear", args)
	if first, last := linears[0].Result().Name, linears[2].Result().Name; first != "" && last != "" {
		joint.Result().Name = c.fresh(jointName("qkv", first, last))
	}
	added, start := []*ir.Op{joint}, int64(0)
	at := len(f.Ops)
	for _, op := range linears {
		part := c.newOp("slice", []*ir.Value{joint.Result()}, ir.Attr{Name: "start", Val: start}, ir.Attr{Name: "len", Val: columns(op.Result())})
		part.Result().Name = op.Result().Name
		f.Replace(op.Result(), part.Result())
		start += columns(op.Result())
		added = append(added, part)
		at = min(at, slices.Index(f.Ops, op))
	}
	f.Ops = slices.Insert(f.Ops, at, added...)
	f.Ops = slices.DeleteFunc(f.Ops, func(op *ir.Op) bool { return slices.Contains(linears, op) })
	c.dropWeights(append(weights, biases...))
	c.fired("fuse-qkv")
}

// concat derives the weight that has the rows of all, in order.
func (c *Context) concat(joint string, weights []*ir.Weight) *ir.Value {
	var parts []*ir.Recipe
	for _, w := range weights {
		parts = append(parts, w.Recipe)
	}
	return c.derive(jointName(joint, weights[0].Name, weights[len(weights)-1].Name), ir.ConcatRows(parts...), weights[0])
}

// concatBiases joins the biases of linears that became one with the weight joint; linears without one get zeros.
func (c *Context) concatBiases(joint *ir.Value, linears []*ir.Op, like *ir.Weight) *ir.Value {
	var parts []*ir.Recipe
	for _, op := range linears {
		if b := op.Arg("bias"); b != nil {
			parts = append(parts, b.Weight.Recipe)
		} else {
			parts = append(parts, ir.Zeros(columns(op.Result())))
		}
	}
	return c.derive(strings.TrimSuffix(joint.Name, ".weight")+".bias", ir.ConcatRows(parts...), like)
}

// dropWeights removes weights that were joined into others.
func (c *Context) dropWeights(weights []*ir.Weight) {
	c.Module.Weights = slices.DeleteFunc(c.Module.Weights, func(w *ir.Weight) bool { return slices.Contains(weights, w) })
}
