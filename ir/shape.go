package ir

import (
	"fmt"
	"slices"

	"llmc/internal/dtype"
	"llmc/internal/relative"
	"llmc/internal/sym"
)

// cols returns the width of a rank 2 operand.
func cols(v *Value) int64 {
	n, _ := v.Type.Cols()
	return n
}

// first returns the length of a weight's first dim.
func first(v *Value) int64 {
	n, _ := v.Type.Rows().IsConst()
	return n
}

func sameRows(values ...*Value) error {
	for _, v := range values {
		if v != nil && v.Type.Rows() != values[0].Type.Rows() {
			return fmt.Errorf("operands have %v and %v rows", values[0].Type.Rows(), v.Type.Rows())
		}
	}
	return nil
}

func wantCols(op *Op, name string, want int64) error {
	if v := op.Arg(name); v != nil && cols(v) != want {
		return fmt.Errorf("operand %q has %d columns instead of %d", name, cols(v), want)
	}
	return nil
}

func wantLength(op *Op, name string, want int64) error {
	if v := op.Arg(name); v != nil && first(v) != want {
		return fmt.Errorf("operand %q has %d elements instead of %d", name, first(v), want)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// shapeLike gives a result like the first operand; all activations must have its type.
func shapeLike(_ *Module, op *Op) ([]Type, error) {
	x := op.Args[0]
	for i, a := range op.Args {
		if a != nil && op.Kind.Args[i].Role == RoleFloat && !a.Type.Equal(x.Type) {
			return nil, fmt.Errorf("operands are %v and %v", x.Type, a.Type)
		}
	}
	return []Type{F32(x.Type.Rows(), cols(x))}, nil
}

func shapeHadamard(m *Module, op *Op) ([]Type, error) {
	if n, block := cols(op.Arg("x")), op.Int("block"); block&(block-1) != 0 || n%block != 0 {
		return nil, fmt.Errorf("block %d must be a power of two that divides %d columns", block, n)
	}
	return shapeLike(m, op)
}

func shapeColumns(_ *Module, op *Op) ([]Type, error) {
	n, _ := op.Arg("order").Type.Rows().IsConst()
	return []Type{F32(op.Arg("x").Type.Rows(), n)}, nil
}

func shapeGather(_ *Module, op *Op) ([]Type, error) {
	return []Type{F32(op.Args[1].Type.Rows(), cols(op.Arg("table")))}, nil
}

func shapePool(_ *Module, op *Op) ([]Type, error) {
	starts := op.Arg("seq_start").Type.Rows()
	if starts.K < 1 {
		return nil, fmt.Errorf("seq_start of %v rows; it has one more than there are sequences", starts)
	}
	return []Type{F32(starts.Add(sym.Const(-1)), cols(op.Arg("x")))}, nil
}

func shapeSoft(_ *Module, op *Op) ([]Type, error) {
	soft := op.Arg("soft")
	if soft.Def != nil || soft.Weight != nil {
		return nil, fmt.Errorf("%%%s is no parameter; only those are what a step brings", soft.Name)
	}
	return []Type{soft.Type}, nil
}

func shapeInsert(m *Module, op *Op) ([]Type, error) {
	brought, err := shapeSoft(m, op)
	if err == nil && !brought[0].Equal(op.Arg("x").Type) {
		err = fmt.Errorf("rows of %v among rows of %v", brought[0], op.Arg("x").Type)
	}
	return brought, err
}

func shapeSelectRows(_ *Module, op *Op) ([]Type, error) {
	return []Type{F32(op.Arg("rows").Type.Rows(), cols(op.Arg("x")))}, nil
}

func shapeSlice(_ *Module, op *Op) ([]Type, error) {
	x, start, n := op.Arg("x"), op.Int("start"), op.Int("len")
	if start+n > cols(x) {
		return nil, fmt.Errorf("columns %d to %d of %v", start, start+n, x.Type)
	}
	return []Type{F32(x.Type.Rows(), n)}, nil
}

func shapeRMSNorm(_ *Module, op *Op) ([]Type, error) {
	n, group := cols(op.Arg("x")), op.Int("group")
	if group == 0 {
		group = n
	}
	if n%group != 0 {
		return nil, fmt.Errorf("groups of %d do not divide %d columns", group, n)
	}
	if err := wantLength(op, "w", group); err != nil {
		return nil, err
	}
	t, err := floatLike(op, op.Arg("x"))
	return []Type{t}, err
}

// floatLike returns the type of v with the op's dtype.
func floatLike(op *Op, v *Value) (Type, error) { return rounded(op, v.Type.Dims...) }

// floatResult is a matrix of the op's dtype.
func floatResult(op *Op, rows sym.Dim, cols int64) ([]Type, error) {
	t, err := rounded(op, rows, sym.Const(cols))
	return []Type{t}, err
}

// rounded is a tensor of the op's dtype.
func rounded(op *Op, dims ...sym.Dim) (Type, error) {
	name := op.Text("dtype")
	if name == MaximaFormat {
		t := Tensor(dtype.F32, dims...)
		t.Quant = name
		return t, nil
	}
	dt, err := dtype.Parse(name)
	return Tensor(dt, dims...), err
}

func shapeLayerNorm(_ *Module, op *Op) ([]Type, error) {
	if err := checkNormWeights(op); err != nil {
		return nil, err
	}
	t, err := floatLike(op, op.Arg("x"))
	return []Type{t}, err
}

// checkNormWeights wants an element of each vector for every column.
func checkNormWeights(op *Op) error {
	width := cols(op.Arg("x"))
	for i, a := range op.Kind.Args {
		if a.Role == RoleVector && op.Args[i] != nil {
			if err := wantLength(op, a.Name, width); err != nil {
				return err
			}
		}
	}
	return nil
}

func shapeAddNorm(m *Module, op *Op) ([]Type, error) {
	types, err := shapeLike(m, op)
	if err := firstError(err, checkNormWeights(op)); err != nil {
		return nil, err
	}
	normed, err := floatLike(op, op.Arg("x"))
	return append(types, normed), err
}

// checkProduct verifies that x [M,K] times w [N,K] is defined: integer products need the formats that belong together.
func checkProduct(x, w *Value) error {
	if _, k, _ := w.Type.Matrix(); cols(x) != k {
		return fmt.Errorf("x has %d columns, w %d", cols(x), k)
	}
	if x.Type.Quant == "" {
		return nil
	}
	xBase, xGroup := SplitQuant(x.Type.Quant)
	wBase, wGroup := SplitQuant(w.Type.Quant)
	for _, f := range ActivationFormats {
		want := [...]int64{NoGroups: 0, GroupSums: w.Weight.Segment, GroupScales: wGroup}[f.Group]
		if f.Base == xBase && slices.Contains(f.Weights, wBase) && xGroup == want {
			return nil
		}
	}
	return fmt.Errorf("no product of %s activations and a weight of format %q with segment %d is defined", x.Type.Quant, w.Type.Quant, w.Weight.Segment)
}

func shapeCast(_ *Module, op *Op) ([]Type, error) {
	t, err := floatLike(op, op.Arg("x"))
	return []Type{t}, err
}

func shapeQuantize(_ *Module, op *Op) ([]Type, error) {
	name, group := op.Text("format"), op.Int("group")
	f := FindActivation(name)
	switch {
	case f.Group == GroupScales && group == 0:
		return nil, fmt.Errorf("format %s takes a group", name)
	case f.Group == NoGroups && group != 0:
		return nil, fmt.Errorf("format %s has no groups", name)
	}
	t := Tensor(f.Code, op.Arg("x").Type.Dims...)
	t.Quant = QuantName(name, group)
	return []Type{t}, nil
}

// checkRope verifies rotary attributes for heads of dim channels. Rope operands are present when rotates is set.
func checkRope(op *Op, dim int64, rotates bool) error {
	names := []string{"positions", "ropelen", "inv_freq"}
	for _, name := range names {
		if (op.Arg(name) != nil) != rotates {
			return fmt.Errorf("operands %q must be all given or all absent, given exactly when mode is not %q", names, "static")
		}
	}
	if !rotates {
		return nil
	}
	rotary := RotaryDim(op, dim)
	if rotary > dim || rotary%2 != 0 {
		return fmt.Errorf("rotary_dim %d must be even and at most dim %d", rotary, dim)
	}
	variants := int64(1)
	mode := op.Text("mode")
	if mode == "longrope" {
		variants = 2
	}
	freq := op.Arg("inv_freq")
	if first(freq) != variants || cols(freq) != rotary/2 {
		return fmt.Errorf("inv_freq is %v instead of [%d,%d] for mode %s", freq.Type, variants, rotary/2, mode)
	}
	if mode == "longrope" && op.Int("original_max") < 1 {
		return fmt.Errorf("mode longrope takes original_max")
	}
	if mode == "dynamic" && (op.Int("max_positions") < 1 || op.Float("base") <= 0 || op.Float("ntk_factor") <= 0 || rotary < 4) {
		return fmt.Errorf("mode dynamic takes max_positions, base and ntk_factor, and rotary_dim of at least 4")
	}
	return nil
}

// RotaryDim returns how many channels of a head of dim channels the op rotates.
func RotaryDim(op *Op, dim int64) int64 {
	if r := op.Int("rotary_dim"); r != 0 {
		return r
	}
	return dim
}

func shapeRope(_ *Module, op *Op) ([]Type, error) {
	x, heads, dim := op.Arg("x"), op.Int("heads"), op.Int("dim")
	err := firstError(wantCols(op, "x", heads*dim), sameRows(x, op.Arg("positions"), op.Arg("ropelen")), checkRope(op, dim, true))
	return []Type{F32(x.Type.Rows(), heads*dim)}, err
}

// cacheOf returns the cache of keys and values behind the op's token, of a sequence or of a text, after checking the layer.
func cacheOf(m *Module, op *Op) (*Cache, error) { return cacheOfKind(m, op, Paged, Cross) }

func cacheOfKind(m *Module, op *Op, kinds ...string) (*Cache, error) {
	c := m.Cache(op.Arg("cache").Type.Cache)
	if c == nil {
		return nil, fmt.Errorf("no cache %q in the module", op.Arg("cache").Type.Cache)
	}
	if !slices.Contains(kinds, c.Kind) {
		return nil, fmt.Errorf("cache %q is of kind %q, not %q", c.Name, c.Kind, kinds[0])
	}
	if layer := op.Int("layer"); layer >= c.Layers {
		return nil, fmt.Errorf("layer %d of cache %q, which has %d", layer, c.Name, c.Layers)
	}
	return c, nil
}

func shapeKVWrite(m *Module, op *Op) ([]Type, error) {
	c, err := cacheOf(m, op)
	if err != nil {
		return nil, err
	}
	width := c.KVHeads * c.Dim
	err = firstError(wantCols(op, "k", width), wantCols(op, "v", width), sameRows(op.Arg("k"), op.Arg("v")))
	return []Type{Token(c.Name)}, err
}

// checkHeads verifies the head counts of an attention op against the cache.
func checkHeads(op *Op, c *Cache) error {
	heads, kv, dim := op.Int("heads"), op.Int("kv_heads"), op.Int("dim")
	if kv != c.KVHeads || dim != c.Dim {
		return fmt.Errorf("%d heads of %d, but cache %q has %d of %d", kv, dim, c.Name, c.KVHeads, c.Dim)
	}
	if heads%kv != 0 {
		return fmt.Errorf("%d heads do not share %d kv_heads evenly", heads, kv)
	}
	return nil
}

func shapeAttention(m *Module, op *Op) ([]Type, error) {
	c, err := cacheOf(m, op)
	if err != nil {
		return nil, err
	}
	if c.Kind == Cross && (op.Int("ahead") < EveryPosition || op.Int("window") != 0 || op.Text("mode") != "static") {
		return nil, fmt.Errorf("a token sees all of cache %q: ahead is %d and there is no window", c.Name, int64(EveryPosition))
	}
	q, width := op.Arg("q"), op.Int("heads")*op.Int("dim")
	if op.Int("ahead") > 0 && (op.Text("mode") != "static" || op.Arg("alibi") != nil) {
		return nil, fmt.Errorf("attribute ahead goes neither with keys that are turned when they are read nor with alibi")
	}
	err = firstError(checkHeads(op, c), wantCols(op, "q", width), checkRope(op, c.Dim, op.Text("mode") != "static"),
		sameRows(q, op.Arg("positions"), op.Arg("ropelen")), wantLength(op, "alibi", op.Int("heads")), wantLength(op, "sinks", op.Int("heads")),
		checkRelative(op))
	if err != nil {
		return nil, err
	}
	return floatResult(op, q.Type.Rows(), width)
}

// checkRelative wants a column for each head, and buckets that distances can be put into.
func checkRelative(op *Op) error {
	if op.Arg("relative") == nil {
		return nil
	}
	return firstError(wantCols(op, "relative", op.Int("heads")), RelativeBuckets(op).Check())
}

// RelativeBuckets are the buckets of the op's operand relative.
func RelativeBuckets(op *Op) relative.Buckets {
	return relative.Buckets{Count: int(first(op.Arg("relative"))), Reach: int(op.Int("reach")), Both: op.Int("both") != 0}
}

func shapeRopeKV(m *Module, op *Op) ([]Type, error) {
	c, err := cacheOf(m, op)
	if err != nil {
		return nil, err
	}
	x, heads, dim := op.Arg("qkv"), op.Int("heads"), op.Int("dim")
	if (op.Arg("q_norm") == nil) != (op.Arg("k_norm") == nil) {
		return nil, fmt.Errorf("operands %q and %q go together", "q_norm", "k_norm")
	}
	err = firstError(checkHeads(op, c), wantCols(op, "qkv", (heads+2*c.KVHeads)*dim), checkRope(op, dim, true),
		wantHeadNorms(op), sameRows(x, op.Arg("positions"), op.Arg("ropelen")))
	return []Type{F32(x.Type.Rows(), heads*dim), Token(c.Name)}, err
}

// wantHeadNorms wants norms of rope_kv to be of heads, or of all of a row's queries and all of its keys.
func wantHeadNorms(op *Op) error {
	q, k := op.Int("dim"), op.Int("dim")
	if NormsRows(op) {
		q, k = q*op.Int("heads"), k*op.Int("kv_heads")
	}
	return firstError(wantLength(op, "q_norm", q), wantLength(op, "k_norm", k))
}

// NormsRows tells whether a rope_kv normalises all of a row's queries as one, and all of its keys, rather than each head.
func NormsRows(op *Op) bool {
	q := op.Arg("q_norm")
	return q != nil && first(q) != op.Int("dim")
}
