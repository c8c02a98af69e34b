package passes

import (
	"fmt"

	"llmc/ir"
)

// Names under which smooth counts its rewrites.
const (
	ruleSmoothNorm = "smooth-norm"
	ruleSmoothHead = "smooth-heads"
	ruleSmoothGate = "smooth-gates"
)

// Smoothing is an input whose columns can be divided by factors when a model is built: what makes it is divided, and the products that read it are multiplied.
type Smoothing struct {
	Weights []*ir.Weight // [rows, Columns], of the products that read it
	Columns int64
	// Tied is the factor of each column, where columns share factors: heads of attention that read the same values. nil: each column has its own.
	Tied    []int
	Factors int // how many factors there are
}

// Factor is the place of a column's factor.
func (s *Smoothing) Factor(column int) int {
	if s.Tied == nil {
		return column
	}
	return s.Tied[column]
}

// smooth moves factors of columns from activations into the weights that they meet, so that codes of the one or the other lose less, and the model computes the same (SmoothQuant, Xiao et al. 2023,
// arXiv:2211.10438; AWQ, Lin et al. 2023, arXiv:2306.00978). An input is divided where it is made: in the weights of a norm, in the rows that give an MLP's values, in those that
// give the values of attention. Which factors is for a calibration to say (Options.Smooth); without one nothing happens. Turned weights are left alone: they have no columns that stand out.
//
// Before (policy int8, factors 2 for even columns and 0.5 for odd ones):
//
//	weight %n : f32[4]
//	weight %gate : f32[8,4] {axis="col"}
//	weight %up : f32[8,4] {axis="col"}
//	func @f(%x: f32[T,4]) -> (f32[T,8]) {
//	  %y = rmsnorm %x, %n {eps=1e-05} : f32[T,4]
//	  %g = linear %y, %gate : f32[T,8]
//	  %u = linear %y, %up : f32[T,8]
//	  %h = mul %g, %u : f32[T,8]
//	  return %h
//	}
//
// After:
//
//	weight %n : f32[4] = scaled(0:4, tensor("n", 0:4), const(0.5, 2, 0.5, 2))
//	weight %gate : f32[8,4] {axis="col"} = rotated(0:8, "", "", tensor("gate", 0:8), const(2, 0.5, 2, 0.5))
//	weight %up : f32[8,4] {axis="col"} = rotated(0:8, "", "", tensor("up", 0:8), const(2, 0.5, 2, 0.5))
//	func @f(%x: f32[T,4]) -> (f32[T,8]) {
//	  %y.smooth = rmsnorm %x, %n {eps=1e-05} : f32[T,4]
//	  %g = linear %y.smooth, %gate : f32[T,8]
//	  %u = linear %y.smooth, %up : f32[T,8]
//	  %h = mul %g, %u : f32[T,8]
//	  return %h
//	}
func smooth(c *Context) error {
	if c.Options.Smooth == nil {
		return nil
	}
	for _, f := range c.Module.Funcs {
		for _, op := range f.Ops {
			for _, rule := range smoothRules {
				if c.disabled(rule.name) {
					continue
				}
				if s := rule.find(c.Module, f, op); s != nil {
					if err := c.smooth(rule.name, s); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// smoothable is a Smoothing and where its input is made.
type smoothable struct {
	Smoothing
	makers []*ir.Weight // matrices whose rows, vectors whose elements are divided
	values []*ir.Value  // that are other numbers afterwards
}

var smoothRules = []struct {
	name string
	find func(m *ir.Module, f *ir.Func, op *ir.Op) *smoothable
}{
	{ruleSmoothNorm, smoothNorm},
	{ruleSmoothHead, smoothHeads},
	{ruleSmoothGate, smoothGate},
}

// smooth asks for the factors and moves them.
func (c *Context) smooth(rule string, s *smoothable) error {
	c.at(s.values[0])
	factors, err := c.Options.Smooth(&s.Smoothing)
	if err != nil || factors == nil {
		return err
	}
	if len(factors) != s.Factors {
		return fmt.Errorf("%s: %d factors for %d columns", describe(s.values[0]), len(factors), s.Factors)
	}
	inverse, columns := make([]float32, s.Factors), make([]float32, s.Columns)
	for i, x := range factors {
		inverse[i] = 1 / x
	}
	for i := range columns {
		columns[i] = factors[s.Factor(i)]
	}
	for _, w := range s.makers {
		_, cols, _ := w.Type.Matrix()
		w.Recipe = ir.ScaleRows(w.Recipe, inverse, cols)
	}
	for _, w := range s.Weights {
		w.Recipe = ir.ScaleColumns(w.Recipe, columns, s.Columns)
	}
	for _, v := range s.values {
		if v.Name != "" { // what is called by the same name has the same numbers
			v.Name = c.fresh(v.Name + ".smooth")
		}
	}
	c.fired(rule)
	return nil
}

// read makes a Smoothing of a value that products alone read, each with a weight of its own; nil where something else does.
func (s *smoothable) read(m *ir.Module, f *ir.Func, v *ir.Value) *smoothable {
	s.Columns = columns(v)
	if s.Factors == 0 {
		s.Factors = int(s.Columns)
	}
	s.values = append(s.values, v)
	for _, use := range f.Uses()[v] {
		if use.Op == nil || use.Op.Kind.Name != "linear" || use.Op.Args[use.Index] != use.Op.Arg("x") || !plainWeight(m, use.Op) || use.Op.Arg("w").Weight.Recipe.Turned() {
			return nil
		}
		s.Weights = append(s.Weights, use.Op.Arg("w").Weight)
	}
	if len(s.Weights) == 0 {
		return nil
	}
	return s
}

// smoothNorm divides what a norm gives by its weights.
func smoothNorm(m *ir.Module, f *ir.Func, op *ir.Op) *smoothable {
	if op.Kind.Name != "rmsnorm" && op.Kind.Name != "layernorm" || op.Text("dtype") != "f32" || op.Kind.Name == "rmsnorm" && op.Int("group") != 0 {
		return nil
	}
	s := &smoothable{makers: []*ir.Weight{op.Arg("w").Weight}}
	if op.Kind.Name == "layernorm" && op.Arg("bias") != nil {
		s.makers = append(s.makers, op.Arg("bias").Weight)
	}
	for _, w := range s.makers {
		if weightReaders(m, w) != 1 {
			return nil
		}
	}
	return s.read(m, f, op.Result())
}

// smoothGate divides what a product gives that is multiplied with an activation.
func smoothGate(m *ir.Module, f *ir.Func, op *ir.Op) *smoothable {
	if op.Kind.Name != "mul" {
		return nil
	}
	for _, arg := range op.Args {
		if s := dividable(m, f, arg); s != nil && op.Args[0] != op.Args[1] {
			return s.read(m, f, op.Result())
		}
	}
	return nil
}

// dividable begins with a value that a product gives and one op reads; nil where it is another.
func dividable(m *ir.Module, f *ir.Func, v *ir.Value) *smoothable {
	make := v.Def
	if make == nil || make.Kind.Name != "linear" || readers(f, v) != 1 || !plainWeight(m, make) || make.Arg("w").Weight.Recipe.Turned() {
		return nil
	}
	s := &smoothable{makers: []*ir.Weight{make.Arg("w").Weight}, values: []*ir.Value{v}}
	if b := make.Arg("bias"); b != nil {
		if weightReaders(m, b.Weight) != 1 {
			return nil
		}
		s.makers = append(s.makers, b.Weight)
	}
	return s
}

// smoothHeads divides the values of attention, of which each result is a sum. Heads that share values share factors.
func smoothHeads(m *ir.Module, f *ir.Func, op *ir.Op) *smoothable {
	if op.Kind.Name != "kv.write" {
		return nil
	}
	read := soleAttention(f, op)
	if read == nil {
		return nil
	}
	s := dividable(m, f, op.Arg("v"))
	if s == nil {
		return nil
	}
	dim, heads, kv := int(read.Int("dim")), int(read.Int("heads")), int(read.Int("kv_heads"))
	if s.Factors = int(columns(op.Arg("v"))); kv < 1 || s.Factors != kv*dim || heads%kv != 0 || columns(read.Result()) != int64(heads*dim) {
		return nil
	}
	for i := range heads * dim {
		s.Tied = append(s.Tied, i/dim/(heads/kv)*dim+i%dim)
	}
	return s.read(m, f, read.Result())
}
