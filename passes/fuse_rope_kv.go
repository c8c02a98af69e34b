package passes

import (
	"slices"

	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
)

// fuseRopeKV does what lies between the joint projection and attention in one op: it cuts q, k and v out of the row,
// normalises heads, turns them and writes the cache. In modes of rope that cache K as it is before turning, only q turns. Norms may also be of all heads of
// a row as one, where the target has a kernel for that.
//
// Before:
//
//	cache @kv {kind="paged", layers=2, kv_heads=1, dim=4, dtype="bf16"}
//	weight %freq : f32[1,2] = const(1, 0.1)
//	weight %qn : f32[4]
//	weight %kn : f32[4]
//	func @f(%qkv: f32[T,16], %positions: i32[T], %ropelen: i32[T], %kv0: kv[kv]) -> (f32[T,8], kv[kv]) {
//	  %qs = slice %qkv {start=0, len=8} : f32[T,8]
//	  %ks = slice %qkv {start=8, len=4} : f32[T,4]
//	  %v = slice %qkv {start=12, len=4} : f32[T,4]
//	  %qh = rmsnorm %qs, %qn {eps=1e-06, group=4} : f32[T,8]
//	  %kh = rmsnorm %ks, %kn {eps=1e-06, group=4} : f32[T,4]
//	  %q = rope %qh, %positions, %ropelen, %freq {heads=2, dim=4} : f32[T,8]
//	  %k = rope %kh, %positions, %ropelen, %freq {heads=1, dim=4} : f32[T,4]
//	  %kv1 = kv.write %kv0, %k, %v {layer=1} : kv[kv]
//	  %y = attn.paged %q, %kv1 {layer=1, heads=2, kv_heads=1, dim=4, scale=0.5} : f32[T,8]
//	  return %y, %kv1
//	}
//
// After:
//
//	cache @kv {kind="paged", layers=2, kv_heads=1, dim=4, dtype="bf16"}
//	weight %freq : f32[1,2] = const(1, 0.1)
//	weight %qn : f32[4]
//	weight %kn : f32[4]
//	func @f(%qkv: f32[T,16], %positions: i32[T], %ropelen: i32[T], %kv0: kv[kv]) -> (f32[T,8], kv[kv]) {
//	  %q, %kv1 = rope_kv %qkv, %positions, %ropelen, %freq, %kv0, %qn, %kn {layer=1, heads=2, kv_heads=1, dim=4, eps=1e-06} : f32[T,8], kv[kv]
//	  %y = attn.paged %q, %kv1 {layer=1, heads=2, kv_heads=1, dim=4, scale=0.5} : f32[T,8]
//	  return %y, %kv1
//	}
func fuseRopeKV(c *Context) error {
	for _, f := range c.Module.Funcs {
		for _, write := range slices.Clone(f.Ops) {
			if write.Kind.Name != "kv.write" {
				continue
			}
			c.at(write.Result())
			if read := soleAttention(f, write); read != nil {
				c.turnByNothing(f, write, read)
				c.joinRopeKV(f, write, read)
			}
		}
	}
	return nil
}

// turnByNothing gives queries and keys that do not turn (models with ALiBi or learned positions, layers without a rotary embedding) a rotation by angles
// of zero, which changes no number, where the target joins these with the write of the cache.
func (c *Context) turnByNothing(f *ir.Func, write, read *ir.Op) {
	reader, operand := queries(f, read)
	q, okQ := traceBranch(f, reader.Arg(operand))
	k, okK := traceBranch(f, write.Arg("k"))
	positions, lengths := param(f, "positions"), param(f, "ropelen")
	if !okQ || !okK || q.rope != nil || k.rope != nil || q.slice.Arg("x") != k.slice.Arg("x") || read.Arg("inv_freq") != nil || positions == nil || lengths == nil ||
		c.Options.Target == nil || !c.Options.Target.JoinsCaches() {
		return
	}
	for _, side := range []struct {
		op    *ir.Op
		arg   string
		heads int64
	}{{reader, operand, read.Int("heads")}, {write, "k", read.Int("kv_heads")}} {
		x := side.op.Arg(side.arg)
		turn := c.newOp("rope", []*ir.Value{x, positions, lengths, c.noAngles()},
			ir.Attr{Name: "heads", Val: side.heads}, ir.Attr{Name: "dim", Val: read.Int("dim")}, ir.Attr{Name: "rotary_dim", Val: int64(2)})
		side.op.Args[slices.Index(side.op.Args, x)] = turn.Result()
		f.Ops = slices.Insert(f.Ops, slices.Index(f.Ops, x.Def)+1, turn)
	}
}

// noAngles is the table of one frequency of zero.
func (c *Context) noAngles() *ir.Value {
	const name = "rope.none"
	if i := slices.IndexFunc(c.Module.Weights, func(w *ir.Weight) bool { return w.Name == name }); i >= 0 {
		return &c.Module.Weights[i].Value
	}
	w := &ir.Weight{Recipe: ir.Constant([]float32{0})}
	w.Name, w.Type = name, ir.Tensor(dtype.F32, sym.Const(1), sym.Const(1))
	w.Value.Weight = w
	c.Module.Weights = append(c.Module.Weights, w)
	return &w.Value
}

// param returns the parameter of that name, nil if there is none.
func param(f *ir.Func, name string) *ir.Value {
	if i := slices.IndexFunc(f.Params, func(v *ir.Value) bool { return v.Name == name }); i >= 0 {
		return f.Params[i]
	}
	return nil
}

// queries returns the op that reads what queries are once they have turned, and its operand: attention, or what scales them by their position, which they may
// be before or after they turn.
func queries(f *ir.Func, read *ir.Op) (reader *ir.Op, operand string) {
	if q := read.Arg("q"); q.Def != nil && q.Def.Kind.Name == "scale_positions" && readers(f, q) == 1 {
		return q.Def, "x"
	}
	return read, "q"
}

// branch is how q, k or v comes from the joint projection: slice, then perhaps a norm, then perhaps rope.
type branch struct {
	slice, norm, rope *ir.Op
}

// traceBranch follows v back to a slice; ok is false when other ops, or other readers, are in between.
func traceBranch(f *ir.Func, v *ir.Value) (b branch, ok bool) {
	for v.Def != nil && readers(f, v) == 1 {
		switch op := v.Def; {
		case op.Kind.Name == "slice":
			b.slice = op
			return b, true
		case op.Kind.Name == "rope" && b.rope == nil && b.norm == nil:
			b.rope = op
		case op.Kind.Name == "rmsnorm" && b.norm == nil:
			b.norm = op
		default:
			return b, false
		}
		v = v.Def.Arg("x")
	}
	return b, false
}

// ropeRegion is a whole stretch from the joint projection to the cache.
type ropeRegion struct{ q, k, v branch }

func traceRegion(f *ir.Func, write, read *ir.Op) (r ropeRegion, ok bool) {
	var okQ, okK, okV bool
	reader, operand := queries(f, read)
	r.q, okQ = traceBranch(f, reader.Arg(operand))
	r.k, okK = traceBranch(f, write.Arg("k"))
	r.v, okV = traceBranch(f, write.Arg("v"))
	return r, okQ && okK && okV && r.v.rope == nil && r.v.norm == nil && r.q.rope != nil
}

// contiguous tells whether q, k and v are all of the joint row, in this order.
func (r ropeRegion) contiguous() bool {
	x, at := r.q.slice.Arg("x"), int64(0)
	for _, b := range []branch{r.q, r.k, r.v} {
		if b.slice.Arg("x") != x || b.slice.Int("start") != at {
			return false
		}
		at += b.slice.Int("len")
	}
	return at == columns(x)
}

// sameRope tells whether k turns as q does, or not at all where the mode wants it stored as it is.
func (r ropeRegion) sameRope() bool {
	q, k := r.q.rope, r.k.rope
	if q.Text("mode") != "static" {
		return k == nil
	}
	if k == nil || !slices.Equal(q.Args[1:], k.Args[1:]) {
		return false
	}
	without := func(op *ir.Op) []ir.Attr {
		return slices.DeleteFunc(slices.Clone(op.Attrs), func(a ir.Attr) bool { return a.Name == "heads" })
	}
	return slices.Equal(without(q), without(k))
}

// sameNorm tells whether q and k are both normalised with one eps, each head or all heads of a row as one, or neither is.
func (r ropeRegion) sameNorm(dim int64) bool {
	q, k := r.q.norm, r.k.norm
	if q == nil || k == nil {
		return q == k
	}
	rows := func(norm *ir.Op) bool { return norm.Int("group") == 0 && columns(norm.Result()) != dim }
	heads := func(norm *ir.Op) bool {
		return norm.Int("group") == dim || norm.Int("group") == 0 && columns(norm.Result()) == dim
	}
	return q.Float("eps") == k.Float("eps") && (heads(q) && heads(k) || rows(q) && (rows(k) || columns(k.Result()) == dim && heads(k)))
}

func (c *Context) joinRopeKV(f *ir.Func, write, read *ir.Op) {
	r, ok := traceRegion(f, write, read)
	dim := read.Int("dim")
	if !ok || !r.contiguous() || !r.sameRope() || !r.sameNorm(dim) || r.q.rope.Int("dim") != dim {
		return
	}
	rope := r.q.rope
	args := slices.Concat([]*ir.Value{r.q.slice.Arg("x")}, rope.Args[1:], []*ir.Value{write.Arg("cache")})
	attrs := []ir.Attr{{Name: "layer", Val: write.Int("layer")}, {Name: "kv_heads", Val: read.Int("kv_heads")}}
	if r.q.norm != nil {
		args = append(args, r.q.norm.Arg("w"), r.k.norm.Arg("w"))
		attrs = append(attrs, ir.Attr{Name: "eps", Val: r.q.norm.Float("eps")})
	}
	joint := c.newOp("rope_kv", args, append(attrs, rope.Attrs...)...)
	if ir.NormsRows(joint) && c.Options.Target != nil && len(c.Options.Target.Kernels(joint)) == 0 {
		return
	}
	for i, old := range []*ir.Value{rope.Result(), write.Result()} {
		joint.Results[i].Name, old.Name = old.Name, ""
		f.Replace(old, joint.Results[i])
	}
	f.Ops[slices.Index(f.Ops, write)] = joint
	if reader, _ := queries(f, read); reader != read { // the cache may be written behind it
		f.Ops = slices.DeleteFunc(f.Ops, func(op *ir.Op) bool { return op == reader })
		f.Ops = slices.Insert(f.Ops, slices.Index(f.Ops, joint)+1, reader)
	}
	gone := []*ir.Op{r.q.rope, r.q.norm, r.q.slice, r.k.rope, r.k.norm, r.k.slice, r.v.slice}
	f.Ops = slices.DeleteFunc(f.Ops, func(op *ir.Op) bool { return slices.Contains(gone, op) })
	c.fired("fuse-rope-kv")
}
