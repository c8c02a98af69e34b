package passes

import (
	"slices"

	"llmc/ir"
)

// ruleRawInput is the name under which giveRaw is counted.
const ruleRawInput = "raw-input"

// rawInputs gives products their inputs as they were before they were quantized too, with largest magnitudes from the ops that make them, where the
// target has such kernels: they quantize the inputs of few tokens themselves, which saves a launch.
func (c *Context) rawInputs(f *ir.Func) {
	if c.disabled(ruleRawInput) || c.Options.Target == nil {
		return
	}
	for _, op := range slices.Clone(f.Ops) {
		if op.Kind.Name == "quantize" {
			c.at(op.Result())
			c.giveRaw(f, op)
		}
	}
}

// giveRaw lets x of quantize have largest magnitudes, so that nobody need look at a whole row for its scale.
func (c *Context) giveRaw(f *ir.Func, quantize *ir.Op) {
	x := quantize.Arg("x")
	producer := x.Def
	if f := ir.FindActivation(quantize.Text("format")); f.Group != ir.NoGroups {
		return // more than the row's scale
	}
	if producer == nil || readers(f, x) != 1 || !rounds(producer) || x.Index != len(producer.Results)-1 {
		return
	}
	maxima := ir.Attr{Name: "dtype", Val: ir.MaximaFormat}
	rounded := c.newOp(producer.Kind.Name, producer.Args, append(slices.Clone(producer.Attrs), maxima)...)
	raw := rounded.Results[x.Index]
	codes := c.newOp("quantize", []*ir.Value{raw}, quantize.Attrs...)
	products, ok := c.withOperand(f, productsOf(f, quantize.Result()), "raw", raw)
	if !ok || len(c.Options.Target.Kernels(rounded)) == 0 || len(c.Options.Target.Kernels(codes)) == 0 {
		return
	}
	products[producer], products[quantize] = rounded, codes
	c.replaceOps(f, products)
	c.fired(ruleRawInput)
}

// productsOf returns the ops that read v, and those that read what v is quantized to; nil if v is a result of the function.
func productsOf(f *ir.Func, v *ir.Value) []*ir.Op {
	if slices.Contains(f.Results, v) {
		return nil
	}
	var found []*ir.Op
	for _, op := range f.Ops {
		if !slices.Contains(op.Args, v) {
			continue
		}
		next := []*ir.Op{op}
		if op.Kind.Name == "quantize" {
			next = productsOf(f, op.Result())
		}
		for _, product := range next {
			if !slices.Contains(found, product) {
				found = append(found, product)
			}
		}
	}
	return found
}

// withOperand makes each of ops anew with an optional operand, and perhaps attributes, that it lacks. ok is false where the op has no such operand, has
// it already, or the target has no kernel for it then.
func (c *Context) withOperand(f *ir.Func, ops []*ir.Op, name string, v *ir.Value, attrs ...ir.Attr) (anew map[*ir.Op]*ir.Op, ok bool) {
	anew = map[*ir.Op]*ir.Op{}
	for _, op := range ops {
		at := slices.IndexFunc(op.Kind.Args, func(a ir.ArgInfo) bool { return a.Name == name })
		if at < 0 || op.Args[at] != nil {
			return nil, false
		}
		args := slices.Clone(op.Args)
		args[at] = v
		next := c.newOp(op.Kind.Name, args, append(slices.Clone(op.Attrs), attrs...)...)
		if len(c.Options.Target.Kernels(next)) == 0 {
			return nil, false
		}
		anew[op] = next
	}
	return anew, len(ops) > 0
}

// replaceOps puts ops in place of others, whose results they take over.
func (c *Context) replaceOps(f *ir.Func, anew map[*ir.Op]*ir.Op) {
	for old, op := range anew {
		f.Ops[slices.Index(f.Ops, old)] = op
	}
	for old, op := range anew {
		for i, r := range old.Results {
			c.takeOver(f, op.Results[i], r)
		}
	}
}

// takeOver puts a value in place of another, of which it takes the name.
func (c *Context) takeOver(f *ir.Func, v, old *ir.Value) {
	v.Name, old.Name = old.Name, ""
	f.Replace(old, v)
}
