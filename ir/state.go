package ir

import (
	"fmt"

	"llmc/internal/dtype"
)

// StateLanes divides the channels of a state: kernels move so many of them on at a time.
const StateLanes = 16

// stateOps are the parts of a state space (Gu and Dao 2023, "Mamba") that remember. The first rank rows of a sequence's state are the inputs of state.conv
// that came last, the others are the states of state.scan. Both take a sequence's tokens in the order of their positions, and position 0 finds zeros.
//
//	y = state.conv x, w           a convolution of each channel over its last rank+1 inputs
//	y = state.scan y, dt, b, c    n states of each channel, which forget and take in what dt and b say; c says what is seen of them
var stateOps = []*OpInfo{
	{
		Name: "state.conv",
		Doc: "y[m,d] = silu(bias[d] + sum over k of w[k,d]*x[m-rank+k,d]), where x[m-i] is the input i tokens before m in its sequence, and k goes to rank. " +
			"The sequence's state keeps its last rank inputs.",
		Args: []ArgInfo{argX, argCache, argW, argBias}, Attrs: []AttrInfo{layerAttr},
		Results: []string{"y", "cache"}, Flags: WritesCache, Shape: shapeStateConv,
	},
	{
		Name: "state.scan",
		Doc: "With t = log(1 + exp(dt[m,d])): state[n,d] = exp(t*a[n,d])*state[n,d] + t*x[m,d]*b[m,n], of the state that the token before m in its sequence left; " +
			"y[m,d] = skip[d]*x[m,d] + sum over n of state[n,d]*c[m,n].",
		Args: []ArgInfo{argX, {Name: "dt", Role: RoleFloat}, {Name: "b", Role: RoleFloat}, {Name: "c", Role: RoleFloat}, argCache,
			{Name: "a", Role: RoleMatrix}, {Name: "skip", Role: RoleVector}},
		Attrs:   []AttrInfo{layerAttr},
		Results: []string{"y", "cache"}, Flags: WritesCache, Shape: shapeStateScan,
	},
}

func shapeStateConv(m *Module, op *Op) ([]Type, error) {
	cache, err := cacheOfKind(m, op, State)
	if err != nil {
		return nil, err
	}
	x, w := op.Arg("x"), op.Arg("w")
	err = firstError(wantCols(op, "x", cache.Dim), wantCols(op, "w", cache.Dim), wantLength(op, "bias", cache.Dim))
	if err == nil && first(w) != cache.Rank+1 {
		err = fmt.Errorf("operand %q has %d rows instead of %d, one more than the inputs that cache %q keeps", "w", first(w), cache.Rank+1, cache.Name)
	}
	return []Type{F32(x.Type.Rows(), cache.Dim), Token(cache.Name)}, err
}

func shapeStateScan(m *Module, op *Op) ([]Type, error) {
	cache, err := cacheOfKind(m, op, State)
	if err != nil {
		return nil, err
	}
	x, states := op.Arg("x"), cache.KVHeads-cache.Rank
	err = firstError(wantCols(op, "x", cache.Dim), wantCols(op, "dt", cache.Dim), wantCols(op, "b", states), wantCols(op, "c", states),
		wantCols(op, "a", cache.Dim), wantLength(op, "a", states), wantLength(op, "skip", cache.Dim),
		sameRows(x, op.Arg("dt"), op.Arg("b"), op.Arg("c")))
	return []Type{F32(x.Type.Rows(), cache.Dim), Token(cache.Name)}, err
}

// StateConv convolves each channel of x with a column of w over the tokens of its sequence; bias may be nil. It returns the cache's next token too.
func (b *Builder) StateConv(x, token, w, bias *Value, layer int) (y, next *Value) {
	r := b.Op("state.conv", []*Value{x, token, w, bias}, Attr{"layer", int64(layer)})
	return r[0], r[1]
}

// Scan are the operands of a selective scan.
type Scan struct{ X, DT, B, C, A, Skip *Value }

// StateScan moves the states of each channel on by the tokens of its sequence. It returns the cache's next token too.
func (b *Builder) StateScan(s Scan, token *Value, layer int) (y, next *Value) {
	r := b.Op("state.scan", []*Value{s.X, s.DT, s.B, s.C, token, s.A, s.Skip}, Attr{"layer", int64(layer)})
	return r[0], r[1]
}

// StateCache declares a cache of states of channels: the last inputs of a convolution, and what a scan has come to.
func (b *Builder) StateCache(name string, layers, inputs, states, channels int) *Cache {
	c := &Cache{Name: name, Kind: State, Layers: int64(layers), KVHeads: int64(inputs + states), Dim: int64(channels), Rank: int64(inputs), DType: dtype.F32}
	b.Fail(c.check())
	b.m.Caches = append(b.m.Caches, c)
	return c
}
