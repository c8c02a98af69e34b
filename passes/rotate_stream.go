package passes

import (
	"slices"

	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
)

// stream is what a model's layers read and add to: all values that have to be turned together, and the ops around them.
type stream struct {
	values    []*ir.Value
	tables    []*ir.Op                  // look-ups that it begins with
	producers []*ir.Op                  // linears that add to it, experts' too
	norms     []*ir.Op                  // that read it
	scales    map[*ir.Weight]*ir.Weight // by weight that reads it: the norm before it, nil for none
	readers   []*ir.Op                  // these linears
}

// rotateStream turns the residual stream, if all that reads and makes it can be turned.
func (c *Context) rotateStream(f *ir.Func) {
	s := &stream{scales: map[*ir.Weight]*ir.Weight{}}
	if !s.find(f) {
		return
	}
	matrix, ok := turnable(columns(s.values[0]))
	if !ok || !c.turnsWhole(s) {
		return
	}
	ones := c.onesLike(s)
	for _, op := range s.producers {
		c.turnOutputs(op, matrix)
	}
	c.splitHeads(s)
	for _, op := range s.readers {
		if w := op.Arg("w").Weight; !s.done(op) {
			c.apply(w, turned{in: matrix, scale: s.scales[w]})
		}
	}
	for i, op := range s.tables {
		if !slices.ContainsFunc(s.tables[:i], func(other *ir.Op) bool { return other.Arg("table") == op.Arg("table") }) {
			c.apply(op.Arg("table").Weight, turned{in: matrix})
		}
	}
	var old []*ir.Weight
	for _, op := range s.norms {
		old = append(old, op.Arg("w").Weight)
		op.Args[slices.Index(op.Args, op.Arg("w"))] = ones
	}
	c.dropUnread(old)
	c.fired(ruleRotateStream)
}

// done tells whether an earlier reader has the same weight.
func (s *stream) done(op *ir.Op) bool {
	i := slices.Index(s.readers, op)
	return slices.ContainsFunc(s.readers[:i], func(other *ir.Op) bool { return other.Arg("w") == op.Arg("w") })
}

// find collects the stream from the look-ups on. It is false where something else reads or makes it.
func (s *stream) find(f *ir.Func) bool {
	uses := f.Uses()
	for _, op := range f.Ops {
		if op.Kind.Name == "gather" {
			s.add(op.Result())
		}
	}
	for i := 0; i < len(s.values); i++ {
		v := s.values[i]
		if v.Def == nil || columns(v) != columns(s.values[0]) || !s.made(f, v.Def) {
			return false
		}
		for _, use := range uses[v] {
			if use.Op == nil || !s.read(uses, use, nil) {
				return false
			}
		}
	}
	return len(s.values) > 0
}

func (s *stream) add(values ...*ir.Value) {
	for _, v := range values {
		if !slices.Contains(s.values, v) {
			s.values = append(s.values, v)
		}
	}
}

// made takes in the op that gives a value of the stream.
func (s *stream) made(f *ir.Func, op *ir.Op) bool {
	switch op.Kind.Name {
	case "gather":
		s.tables = append(s.tables, op)
	case "linear":
		s.producers = append(s.producers, op)
	case "moe.combine": // sums of rows that experts give
		product := op.Arg("y").Def
		if product == nil || product.Kind.Name != "moe.linear" || readers(f, op.Arg("y")) != 1 {
			return false
		}
		s.producers = append(s.producers, product)
	case "add":
		s.add(op.Args...)
	case "scale", "select_rows", "scale_rows":
		s.add(op.Arg("x"))
	default:
		return false
	}
	return true
}

// read takes in an op that reads a value of the stream, or with scale what a norm of these weights makes of it.
func (s *stream) read(uses map[*ir.Value][]ir.Use, use ir.Use, scale *ir.Weight) bool {
	op := use.Op
	switch op.Kind.Name {
	case "linear", "moe.linear":
		w := op.Arg("w").Weight
		if old, ok := s.scales[w]; ok && old != scale || op.Args[use.Index] != op.Arg("x") {
			return false
		}
		s.scales[w] = scale
		s.readers = append(s.readers, op)
		return true
	case "add", "scale", "select_rows", "scale_rows":
		switch {
		case op.Kind.Name == "scale_rows" && op.Args[use.Index] != op.Arg("x"):
			return false
		case scale == nil:
			s.add(op.Result())
			return true
		case op.Kind.Name == "select_rows", op.Kind.Name == "scale_rows":
			return s.readAll(uses, op.Result(), scale)
		}
		return false
	case "rmsnorm":
		if op.Int("group") != 0 || scale != nil || op.Text("dtype") != "f32" {
			return false
		}
		s.norms = append(s.norms, op)
		return s.readAll(uses, op.Result(), op.Arg("w").Weight)
	}
	return false
}

func (s *stream) readAll(uses map[*ir.Value][]ir.Use, v *ir.Value, scale *ir.Weight) bool {
	for _, use := range uses[v] {
		if use.Op == nil || !s.read(uses, use, scale) {
			return false
		}
	}
	return true
}

// turnsWhole tells whether the weights around the stream are read by its ops alone and hold numbers.
func (c *Context) turnsWhole(s *stream) bool {
	count := map[*ir.Weight]int{}
	for _, op := range s.tables {
		count[op.Arg("table").Weight]++
	}
	for _, op := range s.readers {
		count[op.Arg("w").Weight]++
	}
	for w, n := range count {
		if weightReaders(c.Module, w) != n || w.Type.Quant != "" || w.Type.Rank() < 2 {
			return false
		}
	}
	for _, op := range s.producers {
		if !c.ownOutputs(op) {
			return false
		}
	}
	return true
}

// splitHeads gives products of a table that is looked up too a weight of their own.
func (c *Context) splitHeads(s *stream) {
	for _, look := range s.tables {
		table := look.Arg("table")
		own := (*ir.Value)(nil)
		for _, op := range s.readers {
			if op.Arg("w") != table {
				continue
			}
			if own == nil {
				own = c.derive(outputName(table.Name), table.Weight.Recipe, table.Weight)
				s.scales[own.Weight] = s.scales[table.Weight]
			}
			op.Args[slices.Index(op.Args, table)] = own
		}
	}
}

// onesLike declares the weights of the norms once these are in the products.
func (c *Context) onesLike(s *stream) *ir.Value {
	if len(s.norms) == 0 {
		return nil
	}
	n := columns(s.values[0])
	values := make([]float32, n)
	for i := range values {
		values[i] = 1
	}
	w := &ir.Weight{Recipe: ir.Constant(values)}
	w.Name, w.Type = c.fresh("ones"), ir.Tensor(dtype.F32, sym.Const(n))
	w.Value.Weight = w
	c.Module.Weights = slices.Insert(c.Module.Weights, slices.Index(c.Module.Weights, s.norms[0].Arg("w").Weight), w)
	return &w.Value
}

// dropUnread removes those of the weights that no op reads any more.
func (c *Context) dropUnread(weights []*ir.Weight) {
	c.dropWeights(slices.DeleteFunc(weights, func(w *ir.Weight) bool { return weightReaders(c.Module, w) > 0 }))
}
