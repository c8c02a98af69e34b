package ir

import "fmt"

// latentOps are attention over rows that are keys and values of all heads at once (Liu et al. 2024, "DeepSeek-V2"). What a head would make of a row c of the
// cache by matrices of its own, keys K c and values V c, is never made: q.(K c) = (K^T q).c, and the sum of weighted V c is V times that of c.
//
//	q' = linear_heads q, K^T                       each head's queries, in the row's terms
//	latent.write c, k                              a row: c, and channels k that turn with the position
//	y' = attn.latent q', q_rope                    scores q'.c + q_rope.k, and the weighted sums of c
//	y  = linear_heads y', V
var latentOps = []*OpInfo{
	{
		Name: "linear_heads",
		Doc: "y[m, h*N+n] = sum over k of x[m, h*K+k]*w[h,n,k]: each head's columns times a matrix of its own. " +
			"x is first rounded as input says, which is what w's format is multiplied with: to bf16 or f16, or to the codes that quantize makes of a head's columns.",
		Args: []ArgInfo{argX, argStack},
		Attrs: []AttrInfo{
			{Name: "input", Kind: Text, Default: "f32", Enum: headInputs, Doc: "f32, bf16, f16, or a format of quantize"},
			{Name: "group", Kind: Int, Default: int64(0), Doc: "columns of a group of the format, as of quantize"},
		},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeLinearHeads,
	},
	{
		Name: "latent.write",
		Doc:  "Stores c[m] and behind it k[m], as one row that is rounded as kv.write rounds a head's, at the position of token m in its sequence.",
		Args: []ArgInfo{argCache, {Name: "c", Role: RoleFloat}, {Name: "k", Role: RoleFloat}}, Attrs: []AttrInfo{layerAttr},
		Results: []string{"cache"}, Flags: WritesCache, Shape: shapeLatentWrite,
	},
	{
		Name: "attn.latent",
		Doc: "Causal attention of token m over its sequence's rows r = (c, k): the scores of head h are scale * (q[m,h].c + q_rope[m,h].k), and y[m,h] is the sum of c weighted by " +
			"their softmax, over positions p <= positions[m].",
		Args: []ArgInfo{{Name: "q", Role: RoleFloat}, {Name: "q_rope", Role: RoleFloat}, argCache},
		Attrs: []AttrInfo{layerAttr, {Name: "heads", Kind: Int, Min: 1, Doc: "query heads"},
			{Name: "scale", Kind: Float, Doc: "multiplies the scores"}},
		Results: []string{"y"}, Shape: shapeLatentAttention,
	},
}

var headInputs = []string{"f32", "bf16", "f16", "q16t", "q16g", "q8t", "q8g"}

func shapeLinearHeads(_ *Module, op *Op) ([]Type, error) {
	x, w := op.Arg("x"), op.Arg("w")
	heads, k := first(w), lastDim(w)
	if heads > maxHeads {
		return nil, fmt.Errorf("%d heads, at most %d", heads, int64(maxHeads))
	}
	f, group := FindActivation(op.Text("input")), op.Int("group")
	switch scales := f != nil && f.Group == GroupScales; {
	case scales && group == 0:
		return nil, fmt.Errorf("input %s takes a group", op.Text("input"))
	case group != 0 && (f == nil || f.Group == NoGroups):
		return nil, fmt.Errorf("input %s has no groups", op.Text("input"))
	}
	return []Type{F32(x.Type.Rows(), heads*stackRows(w))}, wantCols(op, "x", heads*k)
}

// maxHeads is beyond the heads of any model.
const maxHeads = 1 << 12

// lastDim is the number of columns of a stack's matrices.
func lastDim(w *Value) int64 {
	n, _ := w.Type.Dims[len(w.Type.Dims)-1].IsConst()
	return n
}

func shapeLatentWrite(m *Module, op *Op) ([]Type, error) {
	cache, err := cacheOfKind(m, op, Latent)
	if err != nil {
		return nil, err
	}
	err = firstError(wantCols(op, "c", cache.Rank), wantCols(op, "k", cache.Dim-cache.Rank), sameRows(op.Arg("c"), op.Arg("k")))
	return []Type{Token(cache.Name)}, err
}

func shapeLatentAttention(m *Module, op *Op) ([]Type, error) {
	cache, err := cacheOfKind(m, op, Latent)
	if err != nil {
		return nil, err
	}
	q, heads := op.Arg("q"), op.Int("heads")
	err = firstError(wantCols(op, "q", heads*cache.Rank), wantCols(op, "q_rope", heads*(cache.Dim-cache.Rank)), sameRows(q, op.Arg("q_rope")))
	return []Type{F32(q.Type.Rows(), heads*cache.Rank)}, err
}

// LinearHeads multiplies each head's columns of x [M,H*K] with its matrix of w [H,N,K].
func (b *Builder) LinearHeads(x, w *Value) *Value { return b.op1("linear_heads", []*Value{x, w}) }

// LatentWrite stores rows (c, k) and returns the cache's next token.
func (b *Builder) LatentWrite(token, c, k *Value, layer int) *Value {
	return b.op1("latent.write", []*Value{token, c, k}, Attr{"layer", int64(layer)})
}

// LatentAttention lets queries read a latent cache as it is after token.
func (b *Builder) LatentAttention(q, qRope, token *Value, layer, heads int, scale float64) *Value {
	return b.op1("attn.latent", []*Value{q, qRope, token}, Attr{"layer", int64(layer)}, Attr{"heads", int64(heads)}, Attr{"scale", scale})
}
