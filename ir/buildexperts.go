package ir

import "llmc/internal/dtype"

// Routing describes how rows choose experts; see the attributes of op moe.route. Zero fields are the defaults of the table.
type Routing struct {
	TopK              int
	Score             string // "softmax" (also ""), "sigmoid"
	Bias              *Value // of the choice, by expert; nil: none
	Normalize         bool
	Groups, TopGroups int
	GroupScore        string // "max" (also ""), "top2"
	Scale             float64
}

func (r Routing) attrs() []Attr {
	all := []Attr{
		{"top_k", int64(r.TopK)}, {"score", r.Score}, {"groups", int64(r.Groups)}, {"top_groups", int64(r.TopGroups)},
		{"group_score", r.GroupScore}, {"scale", r.Scale},
	}
	var set []Attr
	for _, a := range all {
		if a.Val != int64(0) && a.Val != 0.0 && a.Val != "" {
			set = append(set, a)
		}
	}
	if r.Normalize {
		set = append(set, Attr{"normalize", int64(1)})
	}
	return set
}

// Dispatch is where the rows of a mixture of experts go.
type Dispatch struct {
	Weights               *Value // f32[M,k]; nil: results count once
	Rows, Places, Offsets *Value // i32[M*k], i32[M,k], i32[E+1]
}

// Route chooses the experts of each row by its logits [M,E].
func (b *Builder) Route(logits *Value, r Routing) Dispatch {
	chosen := b.Op("moe.route", []*Value{logits, r.Bias}, r.attrs()...)
	sorted := b.Op("moe.dispatch", chosen[:1], Attr{"count", cols(logits)})
	return Dispatch{chosen[1], sorted[0], sorted[1], sorted[2]}
}

// ExpertLinear multiplies the rows of x [M,K] with their experts' matrices of w [E,N,K]; bias [E*N] may be nil.
func (b *Builder) ExpertLinear(x *Value, d Dispatch, w, bias *Value) *Value {
	return b.op1("moe.linear", []*Value{x, d.Offsets, w, d.Rows, bias})
}

// PlacedLinear is ExpertLinear of rows that are at their places already.
func (b *Builder) PlacedLinear(x *Value, d Dispatch, w, bias *Value) *Value {
	return b.op1("moe.linear", []*Value{x, d.Offsets, w, nil, bias})
}

// Combine adds up what the experts of each row give, as it is where d has no weights.
func (b *Builder) Combine(y *Value, d Dispatch) *Value {
	return b.op1("moe.combine", []*Value{y, d.Places, d.Weights})
}

// Stack declares the matrices of experts [E,N,K], which a recipe gives row by row: expert after expert, outputs of one after the other. A nil
// recipe is the tensor of the same name.
func (b *Builder) Stack(name, axis string, dt dtype.Type, recipe *Recipe, experts, outputs, inputs int) *Value {
	w := Weight{Value: Value{Name: name, Type: Type{DType: dt, Dims: constDims([]int{experts, outputs, inputs})}}, Axis: axis, Recipe: recipe}
	return b.Declare(w)
}
