package passes

import (
	"fmt"
	"slices"

	"llmc/ir"
)

// shareRules say what a card computes of ops, by kind; one that answers false leaves its op to all cards alike.
var shareRules = map[string]func(s *sharing, op *ir.Op) bool{
	"gather":            (*sharing).shareTable,
	"gather_positions":  (*sharing).shareTable,
	"gather_types":      (*sharing).shareTable,
	"linear":            (*sharing).shareProduct,
	"linear_act":        (*sharing).shareProduct,
	"linear_swiglu":     (*sharing).shareGated,
	"linear_add":        (*sharing).shareSum,
	"linear_rope_kv":    (*sharing).shareTurned,
	"slice":             (*sharing).shareSlice,
	"rope":              (*sharing).shareRope,
	"rope_kv":           (*sharing).shareRopeKV,
	"kv.write":          (*sharing).shareWrite,
	"attn.paged":        (*sharing).shareAttention,
	"moe.linear":        (*sharing).shareExperts,
	"moe.linear_swiglu": (*sharing).shareGated,
}

// smallWeight is a matrix that is not worth an exchange, in bytes.
const smallWeight = 4 << 10

// attentionOps are what may read or write a cache of which each card has its own heads.
var attentionOps = []string{"linear_rope_kv", "rope_kv", "kv.write", "attn.paged"}

// shareCaches finds the caches whose heads cards share, and leaves them a card's.
func (s *sharing) shareCaches() error {
	for _, c := range s.Module.Caches {
		if c.Kind != ir.Paged && c.Kind != ir.Cross || !s.sharesCache(c) {
			continue
		}
		if c.KVHeads%s.cards != 0 {
			return fmt.Errorf("%d cards: cache %s has %d KV heads, which the cards share evenly; build for a number of cards (--tp) that divides it", s.cards, c.Name, c.KVHeads)
		}
		s.caches[c.Name] = true
	}
	for _, c := range s.Module.Caches {
		if s.caches[c.Name] {
			c.KVHeads /= s.cards
		}
	}
	return nil
}

// sharesCache tells whether all that a cache is used for works on single heads.
func (s *sharing) sharesCache(c *ir.Cache) bool {
	for _, f := range s.Module.Funcs {
		for _, op := range f.Ops {
			if op.Kind.Args == nil || !slices.ContainsFunc(op.Args, func(v *ir.Value) bool { return v != nil && v.Type.Cache == c.Name }) {
				continue
			}
			switch kind := op.Kind.Name; {
			case !slices.Contains(attentionOps, kind), kind == "attn.paged" && op.Arg("relative") != nil:
				return false
			case kind == "linear_rope_kv" && !s.divides(op.Arg("w").Weight, headBlocks(op)...):
				return false
			case kind == "rope_kv" && !s.takesHeads(f, op):
				return false
			}
		}
	}
	return true
}

// takesHeads tells whether a rope_kv can have its input by heads.
func (s *sharing) takesHeads(f *ir.Func, rope *ir.Op) bool {
	product := soleProductOf(f, rope.Arg("qkv"))
	return product != nil && !ir.NormsRows(rope) && s.divides(product.Arg("w").Weight, headBlocks(rope)...)
}

// soleProductOf returns the linear whose result is v, if v has one reader.
func soleProductOf(f *ir.Func, v *ir.Value) *ir.Op {
	if v.Def == nil || v.Def.Kind.Name != "linear" || readers(f, v) != 1 {
		return nil
	}
	return v.Def
}

// shares tells whether cards have heads of their own of an op's cache.
func (s *sharing) shares(op *ir.Op) bool { return s.caches[op.Arg("cache").Type.Cache] }

// headAttrs are an op's numbers of heads, as a card has them.
func (s *sharing) headAttrs(op *ir.Op, names ...string) (attrs []ir.Attr) {
	for _, name := range names {
		attrs = append(attrs, ir.Attr{Name: name, Val: op.Int(name) / s.cards})
	}
	return attrs
}

// headBlocks are the rows of a joint projection: queries, keys and values.
func headBlocks(op *ir.Op) []int64 {
	q, kv := op.Int("heads")*op.Int("dim"), op.Int("kv_heads")*op.Int("dim")
	return []int64{q, kv, kv}
}

// divides tells whether cards share blocks of rows of a matrix evenly, in whole panels, and whether that is worth it.
func (s *sharing) divides(w *ir.Weight, blocks ...int64) bool {
	for _, n := range blocks {
		if !s.even(n) {
			return false
		}
	}
	n, _ := w.Type.Elements()
	return n*int64(w.Type.DType.Bits())/8 > smallWeight
}

// arguments are an op's operands, of which those named are a card's, and those of others with all columns.
func (s *sharing) arguments(op *ir.Op, own map[string]*ir.Value) []*ir.Value {
	var names []string
	for name := range own {
		names = append(names, name)
	}
	args := s.wholes(rest(op, names)...)
	for i, info := range op.Kind.Args {
		if v, ok := own[info.Name]; ok {
			args[i] = v
		}
	}
	return args
}

// shareProduct shares a linear by outputs.
func (s *sharing) shareProduct(op *ir.Op) bool {
	w := op.Arg("w").Weight
	blocks, ok := s.blocksOf(op)
	if !ok || !s.divides(w, blocks...) || s.routes(op.Result()) {
		return false
	}
	return s.give(op, s.arguments(op, map[string]*ir.Value{"w": s.part(op.Arg("w"), blocks), "bias": s.part(op.Arg("bias"), blocks)}))
}

const (
	tableColumns = 64      // a card's columns of a table are whole fragments of panels
	smallTable   = 1 << 20 // bytes of a table that every card rather has than waits for the others' columns of it
)

// shareTable shares a table of numbers by columns: cards look up their columns of each row, the residual's own. Where products read the table by rows too, that takes less than the
// whole from three cards on.
func (s *sharing) shareTable(op *ir.Op) bool {
	w := op.Arg("table").Weight
	columns, _ := w.Type.Cols()
	bytes, _ := w.Type.Elements()
	bytes *= int64(w.Type.DType.Size())
	if w.Type.Quant != "" || columns%(s.cards*tableColumns) != 0 || bytes < smallTable || s.reads[w] > 1 && s.cards < 3 {
		return false
	}
	table := s.partOf(w, ir.Part{Of: w.Name, Blocks: []int64{columns}, Columns: true}, 1)
	return s.give(op, s.arguments(op, map[string]*ir.Value{"table": table}))
}

// routes tells whether a value chooses experts, which all cards must know at once.
func (s *sharing) routes(v *ir.Value) bool {
	return slices.ContainsFunc(s.uses[v], func(u ir.Use) bool { return u.Op != nil && u.Op.Kind.Name == "moe.route" })
}

// blocksOf are the blocks of a product's outputs of which each card has a share: one, or those that its readers take apart.
func (s *sharing) blocksOf(op *ir.Op) (blocks []int64, ok bool) {
	y := op.Result()
	width, _ := y.Type.Cols()
	taken := false
	for _, u := range s.uses[y] {
		switch {
		case u.Op == nil:
		case u.Op.Kind.Name == "rope_kv" && s.shares(u.Op):
			return headBlocks(u.Op), len(s.uses[y]) == 1
		case u.Op.Kind.Name == "slice":
			taken = true
		}
	}
	if !taken {
		return []int64{width}, true
	}
	return s.slicedBlocks(y, width)
}

// slicedBlocks are those of a value that nobody reads but in slices, which are all of it.
func (s *sharing) slicedBlocks(y *ir.Value, width int64) (blocks []int64, ok bool) {
	ends := map[int64]int64{}
	for _, u := range s.uses[y] {
		if u.Op == nil || u.Op.Kind.Name != "slice" {
			return nil, false
		}
		start, n := u.Op.Int("start"), u.Op.Int("len")
		if ends[start] != 0 && ends[start] != start+n {
			return nil, false
		}
		ends[start] = start + n
	}
	for at := int64(0); at < width; at = ends[at] {
		if ends[at] == 0 {
			return nil, false
		}
		blocks = append(blocks, ends[at]-at)
	}
	return blocks, true
}

// shareSlice takes a card's share of a block out of its share of all blocks.
func (s *sharing) shareSlice(op *ir.Op) bool {
	x := op.Arg("x")
	if s.own[x] == nil || s.all[x] != nil {
		return false
	}
	return s.give(op, []*ir.Value{s.own[x]}, ir.Attr{Name: "start", Val: op.Int("start") / s.cards}, ir.Attr{Name: "len", Val: op.Int("len") / s.cards})
}

// shareGated shares a gated product by features: blocks of gate and up lie in turn.
func (s *sharing) shareGated(op *ir.Op) bool {
	w, features := op.Arg("w").Weight, op.Int("features")
	if features%(s.cards*op.Int("block")) != 0 || !s.divides(w, 2*features) {
		return false
	}
	blocks := []int64{2 * features}
	own := map[string]*ir.Value{"w": s.part(op.Arg("w"), blocks), "bias": s.part(op.Arg("bias"), s.stacked(w, blocks))}
	return s.give(op, s.arguments(op, own), ir.Attr{Name: "features", Val: features / s.cards})
}

// stacked repeats blocks for each matrix of a stack, whose vectors lie one behind the other.
func (s *sharing) stacked(w *ir.Weight, blocks []int64) []int64 {
	if w.Type.Rank() < 3 {
		return blocks
	}
	n, _ := w.Type.Rows().IsConst()
	return slices.Repeat(blocks, int(n))
}

// shareExperts shares every expert's matrix by outputs: each card computes some columns of all rows, however these were sent.
func (s *sharing) shareExperts(op *ir.Op) bool {
	w := op.Arg("w").Weight
	n := w.Type.Dims[1].K
	if !s.divides(w, n) {
		return false
	}
	blocks := []int64{n}
	return s.give(op, s.arguments(op, map[string]*ir.Value{"w": s.part(op.Arg("w"), blocks), "bias": s.part(op.Arg("bias"), s.stacked(w, blocks))}))
}

// shareSum shares a product that adds the residual: of that, and of its own sum, a card only ever needs its own columns.
func (s *sharing) shareSum(op *ir.Op) bool {
	w := op.Arg("w").Weight
	n, _ := w.Type.Rows().IsConst()
	if !s.divides(w, n) {
		return false
	}
	blocks := []int64{n}
	return s.give(op, s.arguments(op, map[string]*ir.Value{"w": s.part(op.Arg("w"), blocks), "bias": s.part(op.Arg("bias"), blocks),
		"norm": s.part(op.Arg("norm"), blocks), "residual": s.ownOf(op.Arg("residual"))}))
}

// shareTurned shares the product of queries, keys and values, which writes the cache, by heads.
func (s *sharing) shareTurned(op *ir.Op) bool {
	if !s.shares(op) {
		return false
	}
	blocks := headBlocks(op)
	args := s.arguments(op, map[string]*ir.Value{"w": s.part(op.Arg("w"), blocks), "bias": s.part(op.Arg("bias"), blocks)})
	return s.must(op, s.give(op, args, s.headAttrs(op, "heads", "kv_heads")...))
}

// must is for ops whose caches are shared: there is no way back.
func (s *sharing) must(op *ir.Op, shared bool) bool {
	if !shared {
		panic(fmt.Sprintf("%s can not be shared by heads", op.Kind.Name))
	}
	return true
}

// shareRopeKV follows a joint projection that was shared by heads.
func (s *sharing) shareRopeKV(op *ir.Op) bool {
	if !s.shares(op) {
		return false
	}
	return s.must(op, s.give(op, s.arguments(op, map[string]*ir.Value{"qkv": s.own[op.Arg("qkv")]}), s.headAttrs(op, "heads", "kv_heads")...))
}

func (s *sharing) shareWrite(op *ir.Op) bool {
	if !s.shares(op) {
		return false
	}
	return s.must(op, s.give(op, s.arguments(op, map[string]*ir.Value{"k": s.ownOf(op.Arg("k")), "v": s.ownOf(op.Arg("v"))})))
}

func (s *sharing) shareAttention(op *ir.Op) bool {
	if !s.shares(op) {
		return false
	}
	heads := []int64{op.Int("heads")}
	args := s.arguments(op, map[string]*ir.Value{"q": s.ownOf(op.Arg("q")), "alibi": s.part(op.Arg("alibi"), heads), "sinks": s.part(op.Arg("sinks"), heads)})
	return s.must(op, s.give(op, args, s.headAttrs(op, "heads", "kv_heads")...))
}

// shareRope turns the heads that a card has.
func (s *sharing) shareRope(op *ir.Op) bool {
	x := op.Arg("x")
	if s.own[x] == nil || s.all[x] != nil || op.Int("heads")%s.cards != 0 {
		return false
	}
	return s.give(op, s.arguments(op, map[string]*ir.Value{"x": s.own[x]}), s.headAttrs(op, "heads")...)
}
