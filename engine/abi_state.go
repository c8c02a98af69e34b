package engine

import "slices"

// stateKernels are the parts of a state space (see the ops of these names in package ir) that move the states of sequences on, on one device: through a
// sequence's tokens in order, from the state that the page of the position before the first one holds, and zeros before position 0. What the last token in a
// page leaves stays in that page. extra are the step's arrays that kernels of the device read besides.
func stateKernels(device string, extra ...Role) []Kernel {
	cached := slices.Concat([]Role{input("positions", "T"), input("slots", "T")}, extra, []Role{stateCache("cache")})
	return []Kernel{
		{
			Name: device + ".state_conv",
			Doc:  "y = silu(bias + the sum of the rows of w times the last rank inputs and x), channel by channel",
			Roles: slices.Concat([]Role{arg("x", "f32", "T dim")}, cached, []Role{vector("w", "f32", "taps dim"),
				optional(vector("bias", "f32", "dim")), result("y", "f32", "T dim")}),
			Attrs: []AttrRow{intAttr("layer", 0, maxDim)},
			Where: []string{"layer < layers", "taps = rank+1"},
		},
		{
			Name: device + ".state_scan",
			Doc:  "with t = log(1 + exp(dt)), state = exp(t*a)*state + t*x*b for each state of a channel; y = skip*x + the sum of states times c",
			Roles: slices.Concat([]Role{arg("x", "f32", "T dim"), arg("dt", "f32", "T dim"), arg("b", "f32", "T states"), arg("c", "f32", "T states")}, cached,
				[]Role{vector("a", "f32", "states dim"), vector("skip", "f32", "dim"), result("y", "f32", "T dim")}),
			Attrs: []AttrRow{intAttr("layer", 0, maxDim)},
			Where: []string{"layer < layers", "kv_heads = rank+states"},
		},
	}
}

// cudaStates are those of devices that execute PTX, whose blocks each have a sequence and find its tokens and pages themselves.
var cudaStates = stateKernels("cuda", input("seq_start", "starts"), input("page_start", ""), input("pages", ""))
