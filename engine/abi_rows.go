package engine

import "math"

// rowKernels are the kernels of f32 rows that every device has under its own name. gate are attributes of gated activations.
func rowKernels(device string, gate ...AttrRow) []Kernel {
	return []Kernel{
		{
			Name:  device + ".select_rows",
			Doc:   "the rows of x that are sampled",
			Roles: []Role{arg("x", "f32", "T k"), input("rows", "R"), result("y", "f32", "R k")},
		},
		{
			Name:  device + ".columns",
			Doc:   "y[m,j] = x[m,order[j]], indices kept within a row",
			Roles: []Role{arg("x", "f32", "m k"), vector("order", "f32", "n"), result("y", "f32", "m n")},
		},
		{
			Name:  device + ".swiglu",
			Doc:   "act(gate) * (up + shift), gate and up bounded by limit; silu where no act is named",
			Roles: []Role{arg("gate", "f32", "m k"), arg("up", "f32", "m k"), result("y", "f32", "m k")},
			Attrs: gate,
		},
		{
			Name:  device + ".silu",
			Doc:   "x / (1 + exp(-x))",
			Roles: []Role{arg("x", "f32", "m k"), result("y", "f32", "m k")},
		},
		{
			Name:  device + ".add",
			Doc:   "a + b",
			Roles: []Role{arg("a", "f32", "m k"), arg("b", "f32", "m k"), result("y", "f32", "m k")},
		},
		{
			Name:  device + ".mul",
			Doc:   "a * b",
			Roles: []Role{arg("a", "f32", "m k"), arg("b", "f32", "m k"), result("y", "f32", "m k")},
		},
		{
			Name:  device + ".scale",
			Doc:   "x * by",
			Roles: []Role{arg("x", "f32", "m k"), result("y", "f32", "m k")},
			Attrs: []AttrRow{floatAttr("by", -1e30, 1e30)},
		},
		{
			Name:  device + ".scale_positions",
			Doc:   "x[m] * (1 + by*log(1 + (positions[m]+1)/every)), the quotient rounded down",
			Roles: []Role{arg("x", "f32", "T k"), input("positions", "T"), result("y", "f32", "T k")},
			Attrs: []AttrRow{floatAttr("by", -1e6, 1e6), intAttr("every", 1, math.MaxInt32)},
		},
	}
}
