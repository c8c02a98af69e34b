package passes

import (
	"fmt"
	"slices"

	"llmc/internal/dtype"
	"llmc/ir"
)

// ruleOwnCast is the name under which casts that the op before does itself are counted.
const ruleOwnCast = "cast-in-producer"

// quantize gives weights the formats that the policy names and linears the inputs that these are multiplied with: bf16
// rows, or codes with a scale per token (int8, fp8) or per token and group (int4), as the target's kernels want. Readers of one value share one
// quantized form of it. A product applies the activation that alone reads it where the target can (see fuse_act.go). A norm that is only read as
// bf16 rounds its result itself, other ops where the target can. All other weights become f32.
// A weight that the checkpoint has in codes keeps them, or what they stand for where the target has no kernels for them (see stored.go).
//
// Before (policy int8):
//
//	weight %q : bf16[8,64] {axis="col"}
//	weight %down : bf16[64,1024] {axis="row"}
//	weight %norm : bf16[64]
//	func @f(%x: f32[T,64], %h: f32[T,1024]) -> (f32[T,8], f32[T,64]) {
//	  %n = rmsnorm %x, %norm {eps=1e-05} : f32[T,64]
//	  %a = linear %n, %q : f32[T,8]
//	  %b = linear %h, %down : f32[T,64]
//	  return %a, %b
//	}
//
// After:
//
//	weight %q : u8[8,64]:int8 {axis="col"}
//	weight %down : u8[64,1024]:int8 {axis="row"}
//	weight %norm : f32[64]
//	func @f(%x: f32[T,64], %h: f32[T,1024]) -> (f32[T,8], f32[T,64]) {
//	  %n = rmsnorm %x, %norm {eps=1e-05} : f32[T,64]
//	  %n.q16t = quantize %n {format="q16t"} : i8[T,64]:q16t
//	  %a = linear %n.q16t, %q : f32[T,8]
//	  %h.q16t = quantize %h {format="q16t"} : i8[T,1024]:q16t
//	  %b = linear %h.q16t, %down : f32[T,64]
//	  return %a, %b
//	}
func quantize(c *Context) error {
	roles, forms := weightRoles(c.Module), map[*ir.Weight]form{}
	for _, w := range c.Module.Weights {
		c.at(&w.Value)
		r, isProduct := roles[w]
		if !isProduct {
			if w.Type.DType.IsFloat() {
				w.Type.DType = dtype.F32
			}
			continue
		}
		if err := c.setFormat(w, r); err != nil {
			return err
		}
		var err error
		if forms[w], err = c.inputForm(w); err != nil {
			return fmt.Errorf("weight %%%s: %w", w.Name, err)
		}
	}
	for _, f := range c.Module.Funcs {
		if err := c.convertInputs(f, forms); err != nil {
			return fmt.Errorf("function @%s: %w", f.Name, err)
		}
		c.activateInProducers(f)
		c.castInProducers(f)
		c.rawInputs(f)
	}
	return nil
}

// weightRoles tells for each matrix that is multiplied or looked up what it is used for.
func weightRoles(m *ir.Module) map[*ir.Weight]role {
	roles := map[*ir.Weight]role{}
	for _, f := range m.Funcs {
		ends := outputs(f)
		for _, op := range f.Ops {
			w := matrixOf(op)
			if w == nil {
				continue
			}
			r := roleLinear
			switch old, known := roles[w]; {
			case isRouter(f, op), isRowGate(f, op):
				r = rolePlain
			case op.Kind.Name == "gather_positions", op.Kind.Name == "gather_types":
				r = rolePlain
			case slices.Contains(ends, op) || known && old == roleOutput:
				r = roleOutput
			case looksUp(op) && (!known || old == roleEmbed):
				r = roleEmbed
			}
			roles[w] = r
		}
	}
	return roles
}

// isRouter tells whether the result of a product is read to choose experts.
func isRouter(f *ir.Func, op *ir.Op) bool {
	return slices.ContainsFunc(f.Ops, func(reader *ir.Op) bool {
		return reader.Kind.Name == "moe.route" && reader.Arg("logits") == op.Result()
	})
}

// isRowGate tells whether the result of a product is one number for a row, which lets through what an expert of all rows gives.
func isRowGate(f *ir.Func, op *ir.Op) bool {
	return slices.ContainsFunc(f.Ops, func(reader *ir.Op) bool {
		if reader.Kind.Name != "scale_rows" {
			return false
		}
		by := reader.Arg("by").Def
		return by == op || by != nil && by.Kind.Name == "sigmoid" && by.Arg("x").Def == op
	})
}

func (c *Context) setFormat(w *ir.Weight, r role) error {
	if w.Stored != "" {
		return c.keepStored(w, r)
	}
	name, err := c.Options.Policy.format(w, r)
	if err != nil {
		return err
	}
	if name != "" {
		f, err := FormatFor(c.Options.Target, name)
		if err != nil {
			return fmt.Errorf("weight %%%s: %w", w.Name, err)
		}
		if f.Imported() {
			return fmt.Errorf("weight %%%s: nothing is rounded to %s; take another format", w.Name, f.Name)
		}
		w.Type.DType, w.Type.Quant = f.DType, f.Type
	}
	w.Segment = segment(w)
	return nil
}

// convertInputs puts a cast or quantize before each linear whose input has not the form that its weight needs.
func (c *Context) convertInputs(f *ir.Func, forms map[*ir.Weight]form) error {
	type request struct {
		x *ir.Value
		form
	}
	made := map[request]*ir.Value{}
	var ops []*ir.Op
	for _, op := range f.Ops {
		w := matrixOf(op)
		if w != nil && op.Kind.Name == "linear_heads" {
			op = c.headInput(f, op, forms[w])
		}
		if w == nil || looksUp(op) || op.Kind.Name == "linear_heads" || forms[w].fits(op.Arg("x").Type) {
			ops = append(ops, op)
			continue
		}
		c.at(op.Result())
		key := request{op.Arg("x"), forms[w]}
		if key.x.Type.DType != dtype.F32 {
			return fmt.Errorf("%s: its input is already %v, a weight %v takes %v", describe(op.Result()), key.x.Type, w.Type, key.form)
		}
		if made[key] == nil {
			convert := c.conversion(key.x, key.form)
			ops = append(ops, convert)
			made[key] = convert.Result()
			c.fired(convert.Kind.Name)
		}
		op.Args[0] = made[key]
		ops = append(ops, op)
	}
	f.Ops = ops
	return nil
}

// headInput tells an op that rounds its input itself which form its weight needs: of codes that it can not make, numbers.
func (c *Context) headInput(f *ir.Func, op *ir.Op, to form) *ir.Op {
	name := to.format
	if name != "" && !slices.ContainsFunc(op.Kind.Attrs, func(a ir.AttrInfo) bool { return a.Name == "input" && slices.Contains(a.Enum, name) }) {
		to, name = plainForm, ""
	}
	if name == "" {
		name = to.dtype.String()
	}
	rounding := c.newOp(op.Kind.Name, op.Args, ir.Attr{Name: "input", Val: name}, ir.Attr{Name: "group", Val: to.group})
	c.takeOver(f, rounding.Result(), op.Result())
	return rounding
}

// conversion makes the op that brings x into the form to.
func (c *Context) conversion(x *ir.Value, to form) *ir.Op {
	kind, suffix := "cast", to.dtype.String()
	attrs := []ir.Attr{{Name: "dtype", Val: suffix}}
	if to.format != "" {
		kind, suffix = "quantize", to.format
		attrs = []ir.Attr{{Name: "format", Val: to.format}, {Name: "group", Val: to.group}}
	}
	op := c.newOp(kind, []*ir.Value{x}, attrs...)
	if x.Name != "" {
		op.Result().Name = c.fresh(x.Name + "." + suffix)
	}
	return op
}

// castInProducers lets an op round its own result where a cast is its only reader: a norm always, others where the target has a kernel for
// it.
func (c *Context) castInProducers(f *ir.Func) {
	if c.disabled(ruleOwnCast) {
		return
	}
	for _, cast := range slices.Clone(f.Ops) {
		if cast.Kind.Name != "cast" {
			continue
		}
		x := cast.Arg("x")
		producer := x.Def
		if producer == nil || readers(f, x) != 1 || !rounds(producer) || x.Index != len(producer.Results)-1 {
			continue
		}
		c.at(x)
		rounded := c.newOp(producer.Kind.Name, producer.Args, append(slices.Clone(producer.Attrs), cast.Attrs...)...)
		if !isNorm(producer) && (c.Options.Target == nil || len(c.Options.Target.Kernels(rounded)) == 0) {
			continue
		}
		for i, r := range producer.Results {
			c.takeOver(f, rounded.Results[i], r)
		}
		f.Replace(cast.Result(), rounded.Results[x.Index])
		f.Ops[slices.Index(f.Ops, producer)] = rounded
		f.Ops = slices.DeleteFunc(f.Ops, func(op *ir.Op) bool { return op == cast })
		c.fired(ruleOwnCast)
	}
}

func isNorm(op *ir.Op) bool { return slices.Contains(norms, op.Kind.Name) }

var norms = []string{"rmsnorm", "add_rmsnorm", "layernorm", "add_layernorm"}

// rounds tells whether an op can round its result, and does not yet.
func rounds(op *ir.Op) bool {
	known := slices.ContainsFunc(op.Kind.Attrs, func(a ir.AttrInfo) bool { return a.Name == "dtype" })
	return known && op.Kind.Name != "cast" && op.Text("dtype") == "f32"
}
