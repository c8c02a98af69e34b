package passes

import (
	"fmt"
	"slices"

	"llmc/ir"
)

// partition makes a module what each of Options.Cards GPUs runs that share it. All run the same ops, over parts of the weights and of the caches that are their own;
// where an op reads columns that others have computed, all exchange theirs before it.
//
// Products are shared by outputs, attention and its cache by heads, experts' matrices by outputs of each. No sum is ever shared, so every number is what one
// card computes, bit for bit. Ops between them that compute columns from the same columns follow what they read. Everything else is
// computed by all cards alike.
//
// Before (cards 2):
//
//	weight %up : f32[128,64]
//	weight %down : f32[64,128]
//	func @f(%x: f32[T,64]) -> (f32[T,64]) {
//	  %h = linear %x, %up : f32[T,128]
//	  %a = silu %h : f32[T,128]
//	  %d = linear %a, %down : f32[T,64]
//	  %y = add %d, %x : f32[T,64]
//	  return %y
//	}
//
// After:
//
//	cards 2
//	weight %up.part : f32[64,64] {of="up", blocks="128"}
//	weight %down.part : f32[32,128] {of="down", blocks="64"}
//	func @f(%x: f32[T,64]) -> (f32[T,64]) {
//	  %h = linear %x, %up.part : f32[T,64]
//	  %a = silu %h : f32[T,64]
//	  %3 = exchange %a {cards=2} : f32[T,128]
//	  %d = linear %3, %down.part : f32[T,32]
//	  %5 = own_columns %x {cards=2} : f32[T,32]
//	  %6 = add %d, %5 : f32[T,32]
//	  %y = exchange %6 {cards=2} : f32[T,64]
//	  return %y
//	}
func partition(c *Context) error {
	cards := int64(c.Options.Cards)
	if cards < 2 {
		return nil
	}
	s := &sharing{Context: c, cards: cards, parts: map[string]*ir.Value{}, caches: map[string]bool{}, reads: map[*ir.Weight]int{}}
	for w, ops := range c.Module.WeightUses() {
		s.reads[w] = len(ops)
	}
	if err := s.shareCaches(); err != nil {
		return err
	}
	c.Module.Cards = cards
	for _, f := range c.Module.Funcs {
		s.function(f)
		live := liveOps(f) // without what was made for kernels that there are none of
		f.Ops = slices.DeleteFunc(f.Ops, func(op *ir.Op) bool { return !live[op] })
	}
	uses := c.Module.WeightUses()
	c.Module.Weights = slices.DeleteFunc(c.Module.Weights, func(w *ir.Weight) bool { return len(uses[w]) == 0 })
	return nil
}

// sharing is what cards have of a module.
type sharing struct {
	*Context
	cards  int64
	parts  map[string]*ir.Value // of weights, by the name of the whole and the blocks
	caches map[string]bool      // of which each card has its own heads
	reads  map[*ir.Weight]int   // how many ops read a weight, as the module was

	f    *ir.Func
	uses map[*ir.Value][]ir.Use // of the function as it was
	ops  []*ir.Op               // of the function as it becomes
	own  map[*ir.Value]*ir.Value
	all  map[*ir.Value]*ir.Value // values of the function as it was, as each card has its columns of them, and all columns
}

// columnwise lists the operands whose columns an op's columns are computed from, column by column.
var columnwise = map[string][]string{
	"add": {"a", "b"}, "mul": {"a", "b"}, "swiglu": {"gate", "up"}, "scale": {"x"}, "cast": {"x"}, "softcap": {"x"}, "scale_rows": {"x"}, "scale_positions": {"x"},
	"silu": {"x"}, "gelu": {"x"}, "gelu_tanh": {"x"}, "quick_gelu": {"x"}, "relu": {"x"}, "relu2": {"x"}, "sigmoid": {"x"},
	"select_rows": {"x"}, "moe.combine": {"y"},
}

// function rewrites a function op by op.
func (s *sharing) function(f *ir.Func) {
	s.f, s.uses, s.ops, s.own, s.all = f, f.Uses(), nil, map[*ir.Value]*ir.Value{}, map[*ir.Value]*ir.Value{}
	for _, op := range f.Ops {
		s.at(op.Result())
		shared := false
		if args := columnwise[op.Kind.Name]; args != nil {
			shared = s.columns(op, args)
		} else if rule := shareRules[op.Kind.Name]; rule != nil {
			shared = rule(s, op)
		}
		if !shared {
			s.whole(op)
			continue
		}
		s.fired(op.Kind.Name)
	}
	results := s.wholes(f.Results...)
	for i, r := range f.Results {
		if part := s.own[r]; part != nil && results[i] != part && part.Def.Kind.Name != "own_columns" { // what the function gives has the name
			part.Name, results[i].Name = "", part.Name
		}
	}
	f.Ops, f.Results = s.ops, results
}

// whole has all cards compute all of an op.
func (s *sharing) whole(op *ir.Op) {
	op.Args = s.wholes(op.Args...)
	s.ops = append(s.ops, op)
	for _, r := range op.Results {
		s.all[r] = r
	}
}

// wholes returns values with all of their columns. Those of which cards have only their own are exchanged, two at a time.
func (s *sharing) wholes(values ...*ir.Value) []*ir.Value {
	var missing []*ir.Value
	for _, v := range values {
		if v != nil && s.all[v] == nil && s.own[v] != nil && !slices.Contains(missing, v) {
			missing = append(missing, v)
		}
	}
	for len(missing) > 0 {
		n, kind, args := min(2, len(missing)), "exchange", []*ir.Value{s.own[missing[0]]}
		if n == 2 && missing[0].Type.Rows() == missing[1].Type.Rows() {
			kind, args = "exchange_pair", append(args, s.own[missing[1]])
		}
		op := s.newOp(kind, args, s.attr())
		s.ops = append(s.ops, op)
		s.fired(kind)
		for i, r := range op.Results {
			s.all[missing[i]] = r
		}
		missing = missing[len(args):]
	}
	out := make([]*ir.Value, len(values))
	for i, v := range values {
		if out[i] = v; v != nil && s.all[v] != nil {
			out[i] = s.all[v]
		}
	}
	return out
}

func (s *sharing) attr() ir.Attr { return ir.Attr{Name: "cards", Val: s.cards} }

// ownOf returns the card's columns of a value, of which all are there if it has not computed them alone.
func (s *sharing) ownOf(v *ir.Value) *ir.Value {
	if s.own[v] == nil {
		op := s.newOp("own_columns", s.wholes(v), s.attr())
		s.ops = append(s.ops, op)
		s.own[v] = op.Result()
	}
	return s.own[v]
}

// part returns the card's part of a weight; nil of none.
func (s *sharing) part(v *ir.Value, blocks []int64) *ir.Value {
	if v == nil {
		return nil
	}
	return s.partOf(v.Weight, ir.Part{Of: v.Weight.Name, Blocks: blocks}, max(0, v.Type.Rank()-2))
}

// partOf returns a part of a weight, of which one dimension is shared.
func (s *sharing) partOf(w *ir.Weight, of ir.Part, dim int) *ir.Value {
	key := fmt.Sprintf("%s %v %v", w.Name, &of, of.Columns)
	if s.parts[key] == nil {
		part := &ir.Weight{Axis: w.Axis, Segment: w.Segment, Stored: w.Stored, Recipe: w.Recipe, Part: &of}
		part.Value = ir.Value{Name: s.fresh(w.Name + ".part"), Type: w.Type, Weight: part}
		part.Type.Dims = slices.Clone(w.Type.Dims)
		part.Type.Dims[dim].K /= s.cards
		s.Module.Weights, s.parts[key] = append(s.Module.Weights, part), &part.Value
	}
	return s.parts[key]
}

// give puts what a card computes of an op in the op's place: new operands and attributes, the names of the old results.
func (s *sharing) give(op *ir.Op, args []*ir.Value, changed ...ir.Attr) bool {
	attrs := slices.DeleteFunc(slices.Clone(op.Attrs), func(a ir.Attr) bool {
		return slices.ContainsFunc(changed, func(b ir.Attr) bool { return a.Name == b.Name })
	})
	twin := s.newOp(op.Kind.Name, args, append(attrs, changed...)...)
	if s.Options.Target != nil && !op.Kind.Has(ir.View) && len(s.Options.Target.Kernels(twin)) == 0 {
		return false
	}
	s.ops = append(s.ops, twin)
	for i, r := range op.Results {
		twin.Results[i].Name = r.Name
		if r.Type.IsToken() {
			s.all[r] = twin.Results[i]
		} else {
			s.own[r] = twin.Results[i]
		}
	}
	return true
}

// columns has each card compute its columns of an op whose operands' columns it has.
func (s *sharing) columns(op *ir.Op, names []string) bool {
	whole := true
	for _, name := range names {
		v := op.Arg(name)
		whole = whole && (s.own[v] == nil || s.all[v] != nil)
	}
	width, _ := op.Result().Type.Cols()
	if whole || !s.even(width) {
		return false
	}
	args := slices.Clone(op.Args)
	for i, info := range op.Kind.Args {
		if args[i] != nil && slices.Contains(names, info.Name) {
			args[i] = s.ownOf(args[i])
		}
	}
	for i, v := range s.wholes(rest(op, names)...) {
		if v != nil {
			args[i] = v
		}
	}
	return s.give(op, args)
}

// rest are the operands of an op but those of some names, in their places.
func rest(op *ir.Op, names []string) []*ir.Value {
	args := slices.Clone(op.Args)
	for i, info := range op.Kind.Args {
		if slices.Contains(names, info.Name) {
			args[i] = nil
		}
	}
	return args
}

// even tells whether cards have as many columns of so many, in whole blocks of those whose squares are added up.
func (s *sharing) even(columns int64) bool { return columns%(s.cards*ir.SquareColumns) == 0 }
