package passes

import (
	"fmt"
	"slices"
	"strings"

	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/internal/rotation"
	"llmc/ir"
)

// Rotation is how much of a model is turned.
type Rotation string

// RotateAuto rotates for the formats that want it, inputs only where the target has a kernel.
const (
	RotateAuto    Rotation = ""
	RotateNone    Rotation = "none"
	RotateWeights Rotation = "weights" // what costs nothing when the model runs
	RotateInputs  Rotation = "inputs"  // also inputs of products that no other product makes
)

// Rotations are the values that an option may have.
var Rotations = []Rotation{RotateNone, RotateWeights, RotateInputs}

// Names under which rotate counts its rewrites.
const (
	ruleRotateStream = "rotate-stream"
	ruleRotateHeads  = "rotate-heads"
	ruleRotateGates  = "rotate-gates"
)

// rotate makes a model that computes the same and whose activations have no outliers, so that codes of 8 bits lose little of them (QuaRot, Ashkboos et al.
// 2024; SpinQuant, Liu et al. 2024). An orthogonal matrix between two products goes into the weights of both, the one's outputs and the other's
// inputs, when the model is built.
//
// The residual stream is turned as a whole: embeddings and the products that are added to it give turned rows, and the products behind a norm take them. The
// norm of a row stays when it is turned, but for its weights, which go into the products first. An embedding that is the head too becomes
// two weights. Experts read and add to it as other products do, each matrix of a stack turned by itself. Values are turned head by head, which attention's
// sums leave as they are. The input of an MLP's last product is made by an activation function: it is turned when the model runs, if the target can, experts'
// inputs too.
//
// Before (policy int8-w8a8):
//
//	weight %e : f32[8,8]
//	weight %n : f32[8]
//	weight %up : f32[16,8] {axis="col"}
//	weight %down : f32[8,16] {axis="row"}
//	weight %head : f32[8,8]
//	func @f(%ids: i32[T]) -> (f32[T,8]) {
//	  %x = gather %e, %ids : f32[T,8]
//	  %y = rmsnorm %x, %n {eps=1e-05} : f32[T,8]
//	  %u = linear %y, %up : f32[T,16]
//	  %a = silu %u : f32[T,16]
//	  %h = mul %a, %u : f32[T,16]
//	  %d = linear %h, %down : f32[T,8]
//	  %z = add %x, %d : f32[T,8]
//	  %l = linear %z, %head : f32[T,8]
//	  return %l
//	}
//
// After:
//
//	weight %e : f32[8,8] = rotated(0:8, "r8", "", tensor("e", 0:8))
//	weight %ones : f32[8] = const(1, 1, 1, 1, 1, 1, 1, 1)
//	weight %up : f32[16,8] {axis="col"} = rotated(0:16, "r8", "", tensor("up", 0:16), tensor("n", 0:8))
//	weight %down : f32[8,16] {axis="row"} = rotated(0:8, "h16", "r8", tensor("down", 0:8))
//	weight %head : f32[8,8] = rotated(0:8, "r8", "", tensor("head", 0:8))
//	func @f(%ids: i32[T]) -> (f32[T,8]) {
//	  %x = gather %e, %ids : f32[T,8]
//	  %y = rmsnorm %x, %ones {eps=1e-05} : f32[T,8]
//	  %u = linear %y, %up : f32[T,16]
//	  %a = silu %u : f32[T,16]
//	  %h = mul %a, %u : f32[T,16]
//	  %h.turned = hadamard %h {block=16} : f32[T,16]
//	  %d = linear %h.turned, %down : f32[T,8]
//	  %z = add %x, %d : f32[T,8]
//	  %l = linear %z, %head : f32[T,8]
//	  return %l
//	}
func rotate(c *Context) error {
	level := c.rotation()
	switch {
	case level == RotateNone:
		return nil
	case len(c.Module.Funcs) > 1 && c.Options.Rotation == RotateAuto: // whose streams share weights
		return nil
	case len(c.Module.Funcs) > 1:
		return fmt.Errorf("a model of %d functions is not turned; build it with --rotate none", len(c.Module.Funcs))
	}
	for _, f := range c.Module.Funcs {
		if !c.disabled(ruleRotateStream) {
			c.rotateStream(f)
		}
		if !c.disabled(ruleRotateHeads) {
			c.rotateHeads(f)
		}
		if level == RotateInputs && !c.disabled(ruleRotateGates) {
			c.rotateGates(f)
		}
	}
	if len(c.report.Rules) > 0 {
		c.widen()
	}
	return nil
}

// widen lets all numbers be f32, in which those of the checkpoint are exact and turned ones nearly: rounding them is for their format to say, and weights of
// one type can be fused.
func (c *Context) widen() {
	for _, w := range c.Module.Weights {
		if w.Type.DType.IsFloat() && w.Type.Quant == "" {
			w.Type.DType = dtype.F32
		}
	}
}

// rotation returns how much to turn: what is asked for, or what the format of the linears wants.
func (c *Context) rotation() Rotation {
	if level := c.Options.Rotation; level != RotateAuto {
		return level
	}
	f, err := quant.Find(c.Options.Policy.Linear)
	switch {
	case err != nil || !f.Rotate: // where there is no such format, quantize says so
		return RotateNone
	case c.Options.Target == nil:
		return RotateWeights
	}
	return RotateInputs
}

// turned is what becomes of a weight. Weights keep their recipes until all of a function is known to allow it.
type turned struct {
	in, out string
	scale   *ir.Weight // the norm whose weights go into it
}

// apply turns a weight.
func (c *Context) apply(w *ir.Weight, t turned) {
	_, cols, _ := w.Type.Matrix()
	var scale *ir.Recipe
	if t.scale != nil {
		scale = t.scale.Recipe
	}
	if r := w.Recipe; r.Kind == ir.Rotated && r.Start == 0 && r.Count == r.Parts[0].Rows(cols) && (r.In == "" || t.in == "") && (r.Out == "" || t.out == "") && scale == nil {
		both := *r
		both.In, both.Out = r.In+t.in, r.Out+t.out
		w.Recipe = &both
	} else {
		w.Recipe = ir.Rotate(w.Recipe, scale, t.in, t.out, cols)
	}
}

// turnOutputs turns what a product gives, its bias too.
func (c *Context) turnOutputs(product *ir.Op, matrix string) {
	c.apply(product.Arg("w").Weight, turned{out: matrix})
	if b := product.Arg("bias"); b != nil {
		c.apply(b.Weight, turned{out: matrix})
	}
}

// ownOutputs tells whether no other op reads the weights that a linear's outputs depend on, so that they can be turned.
func (c *Context) ownOutputs(product *ir.Op) bool {
	if !ownNumbers(c.Module, product) || product.Kind.Name != "linear" && product.Kind.Name != "moe.linear" {
		return false
	}
	b := product.Arg("bias")
	return b == nil || weightReaders(c.Module, b.Weight) == 1
}

// plainWeight tells whether a linear alone reads its weight, which holds numbers.
func plainWeight(m *ir.Module, product *ir.Op) bool {
	return ownNumbers(m, product) && product.Kind.Name == "linear"
}

// ownNumbers tells whether a product alone reads its weight, a matrix or a stack of them, which holds numbers.
func ownNumbers(m *ir.Module, product *ir.Op) bool {
	if product == nil {
		return false
	}
	w := product.Arg("w").Weight
	return weightReaders(m, w) == 1 && w.Type.Quant == "" && w.Type.Rank() >= 2
}

// turnable names the matrix that turns numbers in blocks of n; ok is false where there is none.
func turnable(n int64) (name string, ok bool) {
	name = rotation.Signed(n)
	_, err := rotation.Find(name)
	return name, err == nil
}

// rotateHeads turns the values of each head, where nothing but attention's sum comes between the products that make and that read them.
func (c *Context) rotateHeads(f *ir.Func) {
	for _, write := range f.Ops {
		if write.Kind.Name != "kv.write" {
			continue
		}
		c.at(write.Result())
		read, make := soleAttention(f, write), write.Arg("v").Def
		if read == nil || make == nil || make.Kind.Name != "linear" || !c.ownOutputs(make) || readers(f, make.Result()) != 1 {
			continue
		}
		take := soleReader(f, read.Result())
		matrix, ok := turnable(read.Int("dim"))
		if !ok || !plainWeight(c.Module, take) || take == make {
			continue
		}
		c.turnOutputs(make, matrix)
		c.apply(take.Arg("w").Weight, turned{in: matrix})
		c.fired(ruleRotateHeads)
	}
}

// soleReader returns the product, of a matrix or of experts, that alone reads v as its input, nil if there is none.
func soleReader(f *ir.Func, v *ir.Value) *ir.Op {
	if readers(f, v) != 1 {
		return nil
	}
	i := slices.IndexFunc(f.Ops, func(op *ir.Op) bool {
		return (op.Kind.Name == "linear" || op.Kind.Name == "moe.linear") && op.Arg("x") == v
	})
	if i < 0 {
		return nil
	}
	return f.Ops[i]
}

// leastGate is the smallest block of inputs worth turning.
const leastGate = 16

// rotateGates turns inputs that are products of a gate and what it lets through.
func (c *Context) rotateGates(f *ir.Func) {
	for _, gate := range slices.Clone(f.Ops) {
		if gate.Kind.Name != "mul" && gate.Kind.Name != "swiglu" {
			continue
		}
		c.at(gate.Result())
		product := soleReader(f, gate.Result())
		block := rotation.PowerOfTwo(columns(gate.Result()))
		if !ownNumbers(c.Module, product) || block < leastGate {
			continue
		}
		turn := c.newOp("hadamard", []*ir.Value{gate.Result()}, ir.Attr{Name: "block", Val: block})
		if c.Options.Rotation == RotateAuto && len(c.Options.Target.Kernels(turn)) == 0 {
			continue
		}
		if name := gate.Result().Name; name != "" {
			turn.Result().Name = c.fresh(name + ".turned")
		}
		f.Ops = slices.Insert(f.Ops, slices.Index(f.Ops, gate)+1, turn)
		product.Args[0] = turn.Result()
		c.apply(product.Arg("w").Weight, turned{in: rotation.Plain(block)})
		c.fired(ruleRotateGates)
	}
}

// outputName names the head that was the embedding too.
func outputName(table string) string { return strings.TrimSuffix(table, ".weight") + ".output.weight" }
