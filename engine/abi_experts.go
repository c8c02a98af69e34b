package engine

import (
	"fmt"

	"llmc/internal/sym"
)

// routeKernels are the parts of a mixture of experts that every device has under its own name: how rows choose, where they go, and what becomes of their
// results. m are rows, places the rows at experts: m times top_k.
func routeKernels(device string) []Kernel {
	return []Kernel{
		{
			Name: device + ".moe_route",
			Doc:  "the top_k experts of each row by score of logits + bias, the best one first, and what their results are weighted by",
			Roles: []Role{arg("logits", "f32", "m pool"), optional(vector("bias", "f32", "pool")),
				result("experts", "i32", "m top_k"), result("weights", "f32", "m top_k")},
			Attrs: []AttrRow{
				intAttr("top_k", 1, maxTopK), textAttr("score", "softmax", "sigmoid"), optionalAttr(intAttr("normalize", 0, 1)),
				intAttr("groups", 1, maxTopK), intAttr("top_groups", 1, maxTopK), textAttr("group_score", "max", "top2"), floatAttr("scale", -1e6, 1e6),
			},
			Where: []string{"groups divides pool", "top_groups <= groups", "top_k <= pool"},
			Check: checkRoute,
		},
		{
			Name: device + ".moe_dispatch",
			Doc:  "sorts what rows send to experts by expert, then by row: the row at each place, the places of each row, the first place of each expert",
			Roles: []Role{arg("experts", "i32", "m top_k"), result("rows", "i32", "places 1"), result("places", "i32", "m top_k"),
				result("offsets", "i32", "edges 1")},
			Attrs: []AttrRow{intAttr("count", 1, maxExperts)},
			Check: func(b *Bound) error {
				return firstError(b.wantRows("places", b.rows["m"].Scale(b.Size("top_k"))), b.wantRows("edges", sym.Const(b.Size("count")+1)))
			},
		},
		{
			Name: device + ".moe_combine",
			Doc:  "the sum over j, in order, of weights[m, j] * y[places[m, j]]; without weights each counts once",
			Roles: []Role{arg("y", "f32", "places k"), arg("places", "i32", "m top_k"), optional(arg("weights", "f32", "m top_k")),
				result("z", "f32", "m k")},
			Where: []string{"top_k <= 32"},
			Check: func(b *Bound) error { return b.wantRows("places", b.rows["m"].Scale(b.Size("top_k"))) },
		},
		{
			Name:  device + ".scale_rows",
			Doc:   "x[m] * by[m]",
			Roles: []Role{arg("x", "f32", "m k"), arg("by", "f32", "m 1"), result("y", "f32", "m k")},
		},
	}
}

// cpuExperts are products with the matrices of experts on the device "cpu". A stack has a matrix for each expert.
var cpuExperts = []Kernel{
	{
		Name: "cpu.moe_linear",
		Doc:  "y = x * transpose(w) + bias, of the matrix of each place's expert; x has a row for each place, or rows says which one is there",
		Roles: []Role{arg("x", activations, "m k"), arg("offsets", "i32", "edges 1"), matrix("w", packed, "stack n k"),
			optional(arg("rows", "i32", "places 1")), optional(vector("bias", "f32", "stack*n")), result("y", "f32", "places n")},
		Check: func(b *Bound) error { return firstError(checkStack(b), checkLinear(b)) },
	},
	{
		Name: "cpu.moe_linear_swiglu",
		Doc:  "act(gate) * up of moe_linear, where the panels of each matrix are those of gate and up in turn; silu where no act is named",
		Roles: []Role{arg("x", activations, "m k"), arg("offsets", "i32", "edges 1"), matrix("w", packed, "stack panels k"),
			optional(arg("rows", "i32", "places 1")), optional(vector("bias", "f32", "stack*panels")), result("y", "f32", "places n")},
		Attrs: gateAttrs,
		Check: func(b *Bound) error { return firstError(checkStack(b), checkLinearSwiglu(b)) },
	},
}

// cudaExperts are the same on devices that execute the plan's PTX.
var cudaExperts = []Kernel{
	{
		Name: "cuda.moe_linear",
		Doc:  "y = x * transpose(w) + bias, of the matrix of each place's expert; x has a row for each place, or rows says which one is there",
		Roles: []Role{arg("x", fragmentInputs, "m k"), arg("offsets", "i32", "edges 1"), matrix("w", fragments, "stack n k"),
			optional(arg("rows", "i32", "places 1")), optional(vector("bias", "f32", "stack*n")), result("y", "f32 bf16 f16", "places n")},
		Check: func(b *Bound) error { return firstError(checkStack(b), checkFragmentInput(b)) },
	},
	{
		Name: "cuda.moe_linear_swiglu",
		Doc:  "act(gate) * up of moe_linear, where blocks of 8 outputs of each matrix are those of gate and up in turn; silu where no act is named",
		Roles: []Role{arg("x", fragmentInputs, "m k"), arg("offsets", "i32", "edges 1"), matrix("w", fragments, "stack panels k"),
			optional(arg("rows", "i32", "places 1")), optional(vector("bias", "f32", "stack*panels")), result("y", "f32 bf16 f16", "places n")},
		Attrs: gateAttrs,
		Check: func(b *Bound) error { return firstError(checkStack(b), checkFragmentInput(b), checkFragmentHalves(b)) },
	},
}

// Bounds of a mixture of experts: what a warp of the routing kernel holds in registers.
const (
	maxExperts = 1024
	maxTopK    = 32
)

// wantRows compares a number of rows with what it follows from.
func (b *Bound) wantRows(name string, want sym.Dim) error {
	if b.rows[name] != want {
		return fmt.Errorf("%v rows of %s, not %v", b.rows[name], name, want)
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

// checkRoute wants as many experts to choose from as are chosen, no more than a warp holds, and two scores for top2.
func checkRoute(b *Bound) error {
	n, size := b.Size("pool"), b.Size("pool")/b.Size("groups")
	switch {
	case n > maxExperts:
		return fmt.Errorf("%d experts, at most %d", n, maxExperts)
	case size*b.Size("top_groups") < b.Size("top_k"):
		return fmt.Errorf("top %d of %d groups of %d experts", b.Size("top_k"), b.Size("top_groups"), size)
	case size < 2 && b.Launch.Text("group_score", "") == "top2":
		return fmt.Errorf("groups of %d have no two largest scores", size)
	}
	return nil
}

// checkStack wants offsets for every matrix, a place for some number of times each row, or for each row where no rows are named.
func checkStack(b *Bound) error {
	experts := b.Size("stack")
	if experts > maxExperts {
		return fmt.Errorf("%d experts, at most %d", experts, maxExperts)
	}
	most := int64(1)
	if b.Kernel.Operand(b.Launch, "rows").Kind != OperandNone {
		most = maxTopK
	}
	k := int64(1)
	for k < most && b.rows["m"].Scale(k) != b.rows["places"] {
		k++
	}
	return firstError(b.wantRows("edges", sym.Const(experts+1)), b.wantRows("places", b.rows["m"].Scale(k)))
}
