package ir

import "slices"

// headAttrs are those of ops that see several heads.
var headAttrs = []AttrInfo{
	{Name: "heads", Kind: Int, Min: 1, Doc: "query heads"},
	{Name: "kv_heads", Kind: Int, Min: 1, Doc: "key and value heads; each serves heads/kv_heads query heads"},
	{Name: "dim", Kind: Int, Min: 1, Doc: "channels of a head"},
}

var layerAttr = AttrInfo{Name: "layer", Kind: Int, Doc: "layer of the cache"}

// dtypeAttr lets an op round its result, of a norm the normalised one, which saves a cast.
var dtypeAttr = AttrInfo{Name: "dtype", Kind: Text, Default: "f32", Enum: resultNames, Doc: "of the result (of norms: the normalised one), rounded to nearest, ties to even"}

var floatNames = []string{"f32", "bf16", "f16"}

// resultNames are types of numbers that ops round their results to: f32m is f32 with the largest magnitude of every eight columns.
var resultNames = append(floatNames[:len(floatNames):len(floatNames)], MaximaFormat)

// ropeAttrs describe a rotary embedding.
var ropeAttrs = []AttrInfo{
	{Name: "rotary_dim", Kind: Int, Default: int64(0), Doc: "channels of a head that turn, the first ones; 0: all"},
	{Name: "style", Kind: Text, Default: "half", Enum: []string{"half", "interleaved"}, Doc: "channels i and i+rotary_dim/2 turn together (half), or 2i and 2i+1 (interleaved)"},
	{Name: "factor", Kind: Float, Default: 1.0, Doc: "multiplies sine and cosine (attention factor of yarn and longrope)"},
	{Name: "mode", Kind: Text, Default: "static", Enum: []string{"static", "longrope", "dynamic"}, Doc: "how the frequencies depend on ropelen"},
	{Name: "original_max", Kind: Int, Default: int64(0), Doc: "longrope: row 1 of inv_freq where ropelen is larger, else row 0"},
	{Name: "max_positions", Kind: Int, Default: int64(0), Doc: "dynamic: frequencies are computed anew where ropelen is larger"},
	{Name: "base", Kind: Float, Default: 0.0, Doc: "dynamic: base of the frequencies"},
	{Name: "ntk_factor", Kind: Float, Default: 0.0, Doc: "dynamic: base' = base * (ntk_factor*ropelen/max_positions - (ntk_factor-1))^(rotary_dim/(rotary_dim-2))"},
}

func attrs(lists ...[]AttrInfo) []AttrInfo {
	var all []AttrInfo
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

var (
	argSoft      = ArgInfo{Name: "soft", Role: RoleFloat}
	argX         = ArgInfo{Name: "x", Role: RoleFloat}
	argInput     = ArgInfo{Name: "x", Role: RoleInput}
	argW         = ArgInfo{Name: "w", Role: RoleMatrix}
	argNorm      = ArgInfo{Name: "w", Role: RoleVector}
	argBias      = ArgInfo{Name: "bias", Role: RoleVector, Optional: true}
	argCache     = ArgInfo{Name: "cache", Role: RoleToken}
	argPositions = ArgInfo{Name: "positions", Role: RoleIndex}
	argRopeLen   = ArgInfo{Name: "ropelen", Role: RoleIndex}
	argInvFreq   = ArgInfo{Name: "inv_freq", Role: RoleMatrix}
	argSeqStart  = ArgInfo{Name: "seq_start", Role: RoleIndex}
	argSquares   = ArgInfo{Name: "squares", Role: RoleFloat, Optional: true}
	argRaw       = ArgInfo{Name: "raw", Role: RoleInput, Optional: true}
)

// squaresEps belongs to argSquares, with which a product finishes the norm of its input.
var squaresEps = AttrInfo{Name: "eps", Kind: Float, Default: 0.0, Doc: "where squares are given: added to the mean of the input's squares"}

// blockAttr is how gate and up alternate in the weight of both.
var blockAttr = AttrInfo{Name: "block", Kind: Int, Min: 1, Default: int64(32), Doc: "rows of a block"}

func optional(a ArgInfo) ArgInfo {
	a.Optional = true
	return a
}

// Ops is the op table.
var Ops = slices.Concat(coreOps, activationOps(), expertOps, latentOps, stateOps, cardOps)

// coreOps are those that every model has. The first group is what models are imported as; fused and lowered ops follow.
var coreOps = []*OpInfo{
	{
		Name: "gather", Doc: "y[m] = table[ids[m]], as f32.",
		Args:    []ArgInfo{{Name: "table", Role: RoleMatrix}, {Name: "ids", Role: RoleIndex}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeGather,
	},
	{
		Name: "gather_positions", Doc: "y[m] = table[positions[m]], as f32: learned embeddings of positions.",
		Args:    []ArgInfo{{Name: "table", Role: RoleMatrix}, argPositions},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeGather,
	},
	{
		Name: "gather_types", Doc: "y[m] = table[types[m]], as f32: learned embeddings of what a token belongs to, such as the first or the second text of a pair.",
		Args:    []ArgInfo{{Name: "table", Role: RoleMatrix}, {Name: "types", Role: RoleIndex}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeGather,
	},
	{
		Name: "pool", Doc: "y[b] = one row for sequence b, whose rows of x are those from seq_start[b] to seq_start[b+1]-1: their mean, the first or the last.",
		Args:    []ArgInfo{argX, argSeqStart},
		Attrs:   []AttrInfo{{Name: "mode", Kind: Text, Enum: []string{"mean", "first", "last"}, Doc: "mean, first or last"}},
		Results: []string{"y"}, Shape: shapePool,
	},
	{
		Name: "soft", Doc: "y = soft, the rows that a step brings instead of tokens, such as patches of an image.",
		Args: []ArgInfo{argSoft}, Results: []string{"y"}, Flags: RowWise, Shape: shapeSoft,
	},
	{
		Name: "insert", Doc: "y[m] = soft[m] where types[m] is 1, else x[m]: rows that a step brings in place of those of tokens, such as what an encoder made of an image.",
		Args:    []ArgInfo{argX, argSoft, {Name: "types", Role: RoleIndex}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeInsert,
	},
	{
		Name: "rmsnorm", Doc: "y = x / sqrt(mean(x^2) + eps) * w, over each row or each group of columns.",
		Args: []ArgInfo{argX, argNorm},
		Attrs: []AttrInfo{
			{Name: "eps", Kind: Float, Doc: "added to the mean"},
			{Name: "group", Kind: Int, Default: int64(0), Doc: "columns normalised together; w has as many elements; 0: the row"},
			dtypeAttr,
		},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeRMSNorm,
	},
	{
		Name: "layernorm", Doc: "y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * w, + bias, over each row.",
		Args:    []ArgInfo{argX, argNorm, argBias},
		Attrs:   []AttrInfo{{Name: "eps", Kind: Float, Doc: "added to the variance"}, dtypeAttr},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeLayerNorm,
	},
	{
		Name: "linear",
		Doc: "y[m,n] = sum over k of x[m,k]*w[n,k], + bias[n]. Quantized operands stand for code*scale. " +
			"With squares, the squared of linear_add, the sum is first divided by sqrt(mean + eps), the mean of the squares of the row that x is a multiple of. " +
			"raw is what x was quantized from: a kernel may take it instead, to the same effect.",
		Args:    []ArgInfo{argInput, argW, argBias, argSquares, argRaw},
		Attrs:   []AttrInfo{squaresEps},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeLinear,
	},
	{
		Name: "rope", Doc: "Rotary embedding: pairs (a, b) of each head become (a*cos - b*sin, b*cos + a*sin) of positions[m]*inv_freq[i].",
		Args: []ArgInfo{argX, argPositions, argRopeLen, argInvFreq},
		Attrs: attrs([]AttrInfo{
			{Name: "heads", Kind: Int, Min: 1, Doc: "heads in a row of x"},
			{Name: "dim", Kind: Int, Min: 1, Doc: "channels of a head"},
		}, ropeAttrs),
		Results: []string{"y"}, Flags: RowWise, Shape: shapeRope,
	},
	{
		Name: "scale", Doc: "y = x * by.", Args: []ArgInfo{argX},
		Attrs:   []AttrInfo{{Name: "by", Kind: Float, Doc: "factor"}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeLike,
	},
	{
		Name: "mul", Doc: "y = a * b.", Args: []ArgInfo{{Name: "a", Role: RoleFloat}, {Name: "b", Role: RoleFloat}},
		Results: []string{"y"}, Flags: Commutative | RowWise, Shape: shapeLike,
	},
	{
		Name: "scale_rows", Doc: "y[m] = x[m] * by[m].", Args: []ArgInfo{argX, {Name: "by", Role: RoleFloat}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeScaleRows,
	},
	{
		Name: "scale_positions", Doc: "y[m] = x[m] * (1 + by*log(1 + floor((positions[m]+1) / every))): queries that grow with the length of what they look through.",
		Args:    []ArgInfo{argX, argPositions},
		Attrs:   []AttrInfo{{Name: "by", Kind: Float, Doc: "what a logarithm adds"}, {Name: "every", Kind: Int, Min: 1, Doc: "positions for which the factor stays the same"}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeScalePositions,
	},
	{
		Name: "add", Doc: "y = a + b.", Args: []ArgInfo{{Name: "a", Role: RoleFloat}, {Name: "b", Role: RoleFloat}},
		Results: []string{"y"}, Flags: Commutative | RowWise, Shape: shapeLike,
	},
	{
		Name: "slice", Doc: "y = x[:, start:start+len].", Args: []ArgInfo{argX},
		Attrs:   []AttrInfo{{Name: "start", Kind: Int, Doc: "first column"}, {Name: "len", Kind: Int, Min: 1, Doc: "columns"}},
		Results: []string{"y"}, Flags: RowWise | View, Shape: shapeSlice,
	},
	{
		Name: "select_rows", Doc: "y[r] = x[rows[r]].", Args: []ArgInfo{argX, {Name: "rows", Role: RoleIndex}},
		Results: []string{"y"}, Shape: shapeSelectRows,
	},
	{
		Name: "kv.write", Doc: "Stores k[m] and v[m], rounded to the cache's dtype, at the position of token m in its sequence. " +
			"In a cache of f8e4m3 or i8, each head's row is codes (e4m3, or integers of -127..127) times a scale: amax/448 or amax/127 of the row, rounded to f16.",
		Args:    []ArgInfo{argCache, {Name: "k", Role: RoleFloat}, {Name: "v", Role: RoleFloat}},
		Attrs:   []AttrInfo{layerAttr},
		Results: []string{"cache"}, Flags: WritesCache, Shape: shapeKVWrite,
	},
	{
		Name: "attn.paged",
		Doc: "Causal attention of token m over its sequence's cache: y = softmax(scale * q.K) V over positions p <= positions[m]+ahead (and > positions[m]-window; and of the same chunk: p/chunk = positions[m]/chunk, rounded down). " +
			"With ahead, all tokens of a sequence come in one step, so that a token sees those that follow it. " +
			"Of a cache of kind cross, a token sees all that its sequence has. " +
			"With a mode other than static, K is stored as it was before the rotary embedding and is turned by ropelen[m] when read; q comes turned. " +
			"alibi[h] times p - positions[m] is added to the scores of head h, and relative[b, h] for the bucket b that p - positions[m] is in: " +
			"the nearest distances have one each, the others to reach share wider and wider ones. sinks[h] is one more score, of no value: it joins the sum of the softmax alone.",
		Args: []ArgInfo{{Name: "q", Role: RoleFloat}, argCache, optional(argPositions), optional(argRopeLen), optional(argInvFreq),
			{Name: "alibi", Role: RoleVector, Optional: true}, {Name: "sinks", Role: RoleVector, Optional: true},
			{Name: "relative", Role: RoleMatrix, Optional: true}},
		Attrs: attrs([]AttrInfo{layerAttr}, headAttrs, []AttrInfo{
			{Name: "scale", Kind: Float, Doc: "multiplies the scores"},
			{Name: "window", Kind: Int, Default: int64(0), Doc: "positions seen, the token's own included; 0: all"},
			{Name: "ahead", Kind: Int, Default: int64(0), Doc: "positions seen behind the token's own, of those that the sequence has"},
			{Name: "chunk", Kind: Int, Default: int64(0), Doc: "positions of a chunk, of which tokens see only their own; 0: all are one"},
			{Name: "softcap", Kind: Float, Default: 0.0, Doc: "scores become softcap*tanh(score/softcap); 0: off"},
			{Name: "reach", Kind: Int, Default: int64(0), Doc: "of relative: the distance from which on all are in one bucket"},
			{Name: "both", Kind: Int, Default: int64(0), Doc: "of relative: 1: positions ahead have the second half of the buckets; 0: they are in that of distance 0"},
			dtypeAttr,
		}, ropeAttrs),
		Results: []string{"y"}, Shape: shapeAttention,
	},

	{
		Name: "add_rmsnorm", Doc: "sum = x + delta; normed = rmsnorm(sum, w).",
		Args:    []ArgInfo{argX, {Name: "delta", Role: RoleFloat}, argNorm},
		Attrs:   []AttrInfo{{Name: "eps", Kind: Float, Doc: "added to the mean"}, dtypeAttr},
		Results: []string{"sum", "normed"}, Flags: RowWise, Shape: shapeAddNorm,
	},
	{
		Name: "add_layernorm", Doc: "sum = x + delta; normed = layernorm(sum, w, bias).",
		Args:    []ArgInfo{argX, {Name: "delta", Role: RoleFloat}, argNorm, argBias},
		Attrs:   []AttrInfo{{Name: "eps", Kind: Float, Doc: "added to the variance"}, dtypeAttr},
		Results: []string{"sum", "normed"}, Flags: RowWise, Shape: shapeAddNorm,
	},
	{
		Name: "swiglu", Doc: "y = act(gate) * (up + shift), gate and up bounded by limit.", Args: []ArgInfo{{Name: "gate", Role: RoleFloat}, {Name: "up", Role: RoleFloat}},
		Attrs:   gateAttrs,
		Results: []string{"y"}, Flags: RowWise, Shape: shapeLike,
	},
	{
		Name: "linear_swiglu",
		Doc: "swiglu of the two halves of linear(x, w, bias, squares). Blocks of rows of w (and elements of bias) belong to gate and up in turn; " +
			"the last blocks are padded with zeros.",
		Args:    []ArgInfo{argInput, argW, argBias, argSquares, argRaw},
		Attrs:   attrs([]AttrInfo{{Name: "features", Kind: Int, Min: 1, Doc: "columns of the result"}, blockAttr}, gateAttrs, []AttrInfo{dtypeAttr, squaresEps}),
		Results: []string{"y"}, Flags: RowWise, Shape: shapeLinearSwiGLU,
	},
	{
		Name: "linear_act", Doc: "y = act(linear(x, w, bias, squares)).",
		Args:    []ArgInfo{argInput, argW, argBias, argSquares, argRaw},
		Attrs:   []AttrInfo{{Name: "act", Kind: Text, Enum: activationNames(), Doc: "function of each sum"}, dtypeAttr, squaresEps},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeLinearAct,
	},
	{
		Name: "rope_kv",
		Doc: "Splits qkv into q, k and v; normalises q and k where norms are given: each head by norms of dim elements, or all of a row's heads as one by norms of as many elements; turns q, and k too when mode is static; " +
			"stores k and v as kv.write does; y = q.",
		Args: []ArgInfo{
			{Name: "qkv", Role: RoleFloat}, argPositions, argRopeLen, argInvFreq, argCache,
			{Name: "q_norm", Role: RoleVector, Optional: true}, {Name: "k_norm", Role: RoleVector, Optional: true},
		},
		Attrs:   attrs([]AttrInfo{layerAttr}, headAttrs, []AttrInfo{{Name: "eps", Kind: Float, Default: 0.0, Doc: "of the norms"}}, ropeAttrs),
		Results: []string{"y", "cache"}, Flags: WritesCache, Shape: shapeRopeKV,
	},

	{
		Name: "linear_add",
		Doc: "sum = residual + linear(x, w, bias); scaled = sum * norm; squared[m,i] = sum of sum[m,n]^2 over the 16 columns from 16*i on. " +
			"A product of scaled, with squared as its squares, is one of rmsnorm(sum, norm).",
		Args:    []ArgInfo{argInput, argW, {Name: "residual", Role: RoleFloat}, {Name: "norm", Role: RoleVector}, argBias, argRaw},
		Attrs:   []AttrInfo{{Name: "dtype", Kind: Text, Default: "f32", Enum: resultNames, Doc: "of scaled, rounded to nearest, ties to even"}},
		Results: []string{"sum", "scaled", "squared"}, Flags: RowWise, Shape: shapeLinearAdd,
	},
	{
		Name: "rope_turns", Doc: "y[m,2i] = factor * cos(positions[m]*inv_freq[0,i]), y[m,2i+1] = factor * sin of the same.",
		Args:    []ArgInfo{argPositions, argInvFreq},
		Attrs:   []AttrInfo{{Name: "factor", Kind: Float, Default: 1.0, Doc: "multiplies sine and cosine"}},
		Results: []string{"y"}, Shape: shapeRopeTurns,
	},
	{
		Name: "linear_rope_kv",
		Doc: "rope_kv of linear(x, w, bias, squares) with the angles of rope_turns, style half. Of the channels of queries and keys that turn, w (and bias) have " +
			"blocks of 8 rows of a head's first and second half in turn, so that the two of a pair are 8 rows apart.",
		Args: []ArgInfo{argInput, argW, {Name: "turns", Role: RoleFloat}, argCache, argBias, argSquares, argRaw},
		Attrs: attrs([]AttrInfo{layerAttr}, headAttrs, []AttrInfo{
			{Name: "rotary_dim", Kind: Int, Default: int64(0), Doc: "channels of a head that turn, the first ones, a multiple of 16; 0: all"}, dtypeAttr, squaresEps,
		}),
		Results: []string{"y", "cache"}, Flags: WritesCache, Shape: shapeLinearRopeKV,
	},

	{
		Name: "hadamard", Doc: "y = each block of columns of x times the Hadamard matrix of its size, divided by the square root of that: H[i,j] = (-1)^popcount(i&j).",
		Args:    []ArgInfo{argX},
		Attrs:   []AttrInfo{{Name: "block", Kind: Int, Min: 2, Doc: "columns of a block, a power of two that divides those of x"}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeHadamard,
	},
	{
		Name: "columns", Doc: "y[m,j] = x[m,order[j]]: the inputs of a product in the order of its weight's columns, which a checkpoint has sorted.",
		Args:    []ArgInfo{argX, {Name: "order", Role: RoleVector}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeColumns,
	},
	{
		Name: "cast", Doc: "y = x rounded to dtype, to nearest, ties to even.", Args: []ArgInfo{argX},
		Attrs:   []AttrInfo{{Name: "dtype", Kind: Text, Enum: floatNames, Doc: "of the result"}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeCast,
	},
	{
		Name: "quantize",
		Doc: "q16t, q16g: y = two digits in [-127, 127], the second in steps of 1/256 of the first's scale, which is amax/127 of each row (q16t, q8t; group is the length of the parts whose codes are summed) " +
			"or for each group of columns (q16g). " +
			"q8t, q8g: the first digit alone. s8t: that of q8t without sums. " +
			"e4m3t: one number of e4m3, x times 448/amax of the row rounded to nearest, ties to even, and a scale of amax/448; e4m3g: the same for each group of columns.",
		Args: []ArgInfo{{Name: "x", Role: RoleNumbers}},
		Attrs: []AttrInfo{
			{Name: "format", Kind: Text, Enum: []string{"q16t", "q16g", "q8t", "q8g", "s8t", "e4m3t", "e4m3g"}, Doc: "q16t, q16g, q8t, q8g, s8t, e4m3t or e4m3g"},
			{Name: "group", Kind: Int, Default: int64(0), Doc: "columns of a group; 0 (not q16g, q8g, e4m3g): the row"},
		},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeQuantize,
	},
}
