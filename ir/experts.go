package ir

import (
	"fmt"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

var (
	argStack   = ArgInfo{Name: "w", Role: RoleStack}
	argOffsets = ArgInfo{Name: "offsets", Role: RoleIndex}
	argPlaced  = ArgInfo{Name: "rows", Role: RoleIndex, Optional: true}
)

// expertOps are the parts of a mixture of experts. Each row of activations is sent to k experts; a row at an expert has a place of its own,
// M*k in all, sorted by expert and then by row:
//
//	experts, weights = moe.route logits                        the experts of each row, the best one first
//	rows, places, offsets = moe.dispatch experts               where each row goes, and where each expert's rows begin
//	h = moe.linear_swiglu x, offsets, w, rows                  every expert's product of its rows
//	y = moe.linear h, offsets, w
//	z = moe.combine y, places, weights                         each row's results, weighted, in the order of its experts
var expertOps = []*OpInfo{
	{
		Name: "moe.route",
		Doc: "The top_k experts of each row by score + bias, the best one first, of equals the lower one; weights are their scores (without bias), divided by their sum where normalize is 1, times scale. " +
			"With groups, experts are cut into so many equal ones, and only those of the top_groups best groups are chosen from; a group counts as its largest score + bias (max) or the sum of its two largest (top2).",
		Args: []ArgInfo{{Name: "logits", Role: RoleFloat}, argBias},
		Attrs: []AttrInfo{
			{Name: "top_k", Kind: Int, Min: 1, Doc: "experts of a row"},
			{Name: "score", Kind: Text, Default: "softmax", Enum: []string{"softmax", "sigmoid"}, Doc: "of a logit: softmax over the row, or sigmoid"},
			{Name: "normalize", Kind: Int, Default: int64(0), Doc: "1: a row's weights are divided by their sum"},
			{Name: "groups", Kind: Int, Default: int64(1), Min: 1, Doc: "groups of experts"},
			{Name: "top_groups", Kind: Int, Default: int64(1), Min: 1, Doc: "groups that a row chooses from"},
			{Name: "group_score", Kind: Text, Default: "max", Enum: []string{"max", "top2"}, Doc: "what groups are chosen by"},
			{Name: "scale", Kind: Float, Default: 1.0, Doc: "multiplies the weights"},
		},
		Results: []string{"experts", "weights"}, Shape: shapeRoute,
	},
	{
		Name: "moe.dispatch",
		Doc: "Sorts the rows sent to experts: row m's j-th expert has it at places[m,j]; rows[places[m,j]] = m; those of expert e are at offsets[e] to offsets[e+1]-1, " +
			"in the order of rows.",
		Args:    []ArgInfo{{Name: "experts", Role: RoleRoutes}},
		Attrs:   []AttrInfo{{Name: "count", Kind: Int, Min: 1, Doc: "number of experts"}},
		Results: []string{"rows", "places", "offsets"}, Shape: shapeDispatch,
	},
	{
		Name: "moe.linear", Doc: "y[p] = linear(x[rows[p]], w[e], bias[e*N..]) for the expert e that place p belongs to; without rows of x[p].",
		Args:    []ArgInfo{argInput, argOffsets, argStack, argPlaced, argBias},
		Results: []string{"y"}, Shape: shapeStackLinear,
	},
	{
		Name:    "moe.linear_swiglu",
		Doc:     "swiglu of the two halves of moe.linear, whose blocks of outputs belong to gate and up in turn as those of linear_swiglu do.",
		Args:    []ArgInfo{argInput, argOffsets, argStack, argPlaced, argBias},
		Attrs:   attrs([]AttrInfo{{Name: "features", Kind: Int, Min: 1, Doc: "columns of the result"}, blockAttr}, gateAttrs, []AttrInfo{dtypeAttr}),
		Results: []string{"y"}, Shape: shapeStackSwiGLU,
	},
	{
		Name:    "moe.combine",
		Doc:     "z[m] = sum over j, in order, of weights[m,j] * y[places[m,j]]; without weights each counts once.",
		Args:    []ArgInfo{{Name: "y", Role: RoleFloat}, {Name: "places", Role: RoleRoutes}, {Name: "weights", Role: RoleFloat, Optional: true}},
		Results: []string{"z"}, Shape: shapeCombine,
	},
}

// Bounds of a mixture of experts, beyond those of any model.
const (
	maxExperts = 1024
	maxTopK    = 32
)

func shapeRoute(_ *Module, op *Op) ([]Type, error) {
	logits, k := op.Arg("logits"), op.Int("top_k")
	n, groups, top := cols(logits), op.Int("groups"), op.Int("top_groups")
	switch {
	case n > maxExperts || k > maxTopK:
		return nil, fmt.Errorf("top %d of %d experts, at most %d of %d", k, n, maxTopK, maxExperts)
	case n%groups != 0 || top > groups || groups > maxTopK:
		return nil, fmt.Errorf("top %d of %d groups of %d experts; groups are at most %d and divide the experts", top, groups, n, maxTopK)
	case op.Text("group_score") == "top2" && n/groups < 2:
		return nil, fmt.Errorf("groups of %d have no two largest scores", n/groups)
	case k > n/groups*top:
		return nil, fmt.Errorf("top %d of %d experts", k, n/groups*top)
	case op.Int("normalize") > 1:
		return nil, fmt.Errorf("normalize is %d, not 0 or 1", op.Int("normalize"))
	}
	rows := logits.Type.Rows()
	return []Type{Tensor(dtype.I32, rows, sym.Const(k)), F32(rows, k)}, wantLength(op, "bias", n)
}

func shapeDispatch(_ *Module, op *Op) ([]Type, error) {
	experts, count := op.Arg("experts").Type, op.Int("count")
	k, _ := experts.Cols()
	if count > maxExperts || k > maxTopK {
		return nil, fmt.Errorf("%d of %d experts, at most %d of %d", k, count, maxTopK, maxExperts)
	}
	return []Type{I32(experts.Rows().Scale(k)), experts, I32(sym.Const(count + 1))}, nil
}

// checkStack verifies a product of rows at their places with the experts' matrices, and returns the number of places.
func checkStack(op *Op, outputs int64) (places sym.Dim, err error) {
	x, w := op.Arg("x"), op.Arg("w")
	places = x.Type.Rows()
	if rows := op.Arg("rows"); rows != nil {
		if places = rows.Type.Rows(); !isMultiple(places, x.Type.Rows()) {
			return places, fmt.Errorf("%v places of %v rows", places, x.Type.Rows())
		}
	}
	experts, n := first(w), stackRows(w)
	if edges, ok := op.Arg("offsets").Type.Rows().IsConst(); !ok || edges != experts+1 {
		return places, fmt.Errorf("offsets of %v for %d experts", op.Arg("offsets").Type, experts)
	}
	if n != outputs && outputs != 0 {
		return places, fmt.Errorf("w has %d rows for each expert instead of %d", n, outputs)
	}
	return places, firstError(wantLength(op, "bias", experts*n), checkProduct(x, w))
}

// isMultiple tells whether a is b times a number.
func isMultiple(a, b sym.Dim) bool {
	for k := int64(1); k <= maxTopK; k++ {
		if b.Scale(k) == a {
			return true
		}
	}
	return false
}

// stackRows is the number of rows of each matrix of a stack.
func stackRows(w *Value) int64 {
	n, _ := w.Type.Dims[1].IsConst()
	return n
}

func shapeStackLinear(_ *Module, op *Op) ([]Type, error) {
	places, err := checkStack(op, 0)
	return []Type{F32(places, stackRows(op.Arg("w")))}, err
}

func shapeStackSwiGLU(_ *Module, op *Op) ([]Type, error) {
	f := op.Int("features")
	places, err := checkStack(op, 2*roundUp(f, op.Int("block")))
	if err != nil {
		return nil, err
	}
	return floatResult(op, places, f)
}

func shapeCombine(_ *Module, op *Op) ([]Type, error) {
	y, places, weights := op.Arg("y"), op.Arg("places"), op.Arg("weights")
	k, _ := places.Type.Cols()
	rows := places.Type.Rows()
	if y.Type.Rows() != rows.Scale(k) {
		return nil, fmt.Errorf("rows at places %v are %v", places.Type, y.Type)
	}
	if weights != nil && !weights.Type.Equal(F32(rows, k)) {
		return nil, fmt.Errorf("weights of %v for places %v", weights.Type, places.Type)
	}
	return []Type{F32(rows, cols(y))}, nil
}

func shapeScalePositions(_ *Module, op *Op) ([]Type, error) {
	x := op.Arg("x")
	return []Type{x.Type}, sameRows(x, op.Arg("positions"))
}

func shapeScaleRows(_ *Module, op *Op) ([]Type, error) {
	x := op.Arg("x")
	return []Type{x.Type}, firstError(sameRows(x, op.Arg("by")), wantCols(op, "by", 1))
}
