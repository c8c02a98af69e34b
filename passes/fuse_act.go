package passes

import (
	"slices"

	"llmc/ir"
)

// ruleOwnActivation is the name under which activations that the product before does itself are counted.
const ruleOwnActivation = "activation-in-producer"

// activateInProducers lets a product apply the activation that is its only reader, where the target has a kernel for it: (gelu (linear x w))
// becomes (linear_act x w {act="gelu"}), which may then round its result too. Inputs have their form, so the target can be asked.
func (c *Context) activateInProducers(f *ir.Func) {
	if c.disabled(ruleOwnActivation) || c.Options.Target == nil {
		return
	}
	for _, act := range slices.Clone(f.Ops) {
		if !isActivation(act) {
			continue
		}
		y := act.Arg("x")
		product := y.Def
		if product == nil || product.Kind.Name != "linear" || readers(f, y) != 1 {
			continue
		}
		c.at(y)
		joint := c.newOp("linear_act", product.Args, ir.Attr{Name: "act", Val: act.Kind.Name})
		if len(c.Options.Target.Kernels(joint)) == 0 {
			continue
		}
		c.takeOver(f, joint.Result(), act.Result())
		f.Ops[slices.Index(f.Ops, product)] = joint
		f.Ops = slices.DeleteFunc(f.Ops, func(op *ir.Op) bool { return op == act })
		c.fired(ruleOwnActivation)
	}
}

func isActivation(op *ir.Op) bool {
	return slices.ContainsFunc(ir.Activations, func(a ir.Activation) bool { return a.Name == op.Kind.Name })
}
