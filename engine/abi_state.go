package engine

// cpuState are the parts of a state space that move the states of sequences on, on the device "cpu": through a sequence's tokens in order, from the state
// that the page of the position before the first one holds, and zeros before position 0. What the last token in a page leaves stays in that page.
var cpuState = []Kernel{
	{
		Name: "cpu.state_conv",
		Doc:  "y = silu(bias + the sum of the rows of w times the last rank inputs and x), channel by channel",
		Roles: []Role{arg("x", "f32", "T dim"), input("positions", "T"), input("slots", "T"), stateCache("cache"), vector("w", "f32", "taps dim"),
			optional(vector("bias", "f32", "dim")), result("y", "f32", "T dim")},
		Attrs: []AttrRow{intAttr("layer", 0, maxDim)},
		Where: []string{"layer < layers", "taps = rank+1"},
	},
	{
		Name: "cpu.state_scan",
		Doc:  "with t = log(1 + exp(dt)), state = exp(t*a)*state + t*x*b for each state of a channel; y = skip*x + the sum of states times c",
		Roles: []Role{arg("x", "f32", "T dim"), arg("dt", "f32", "T dim"), arg("b", "f32", "T states"), arg("c", "f32", "T states"), input("positions", "T"),
			input("slots", "T"), stateCache("cache"), vector("a", "f32", "states dim"), vector("skip", "f32", "dim"), result("y", "f32", "T dim")},
		Attrs: []AttrRow{intAttr("layer", 0, maxDim)},
		Where: []string{"layer < layers", "kv_heads = rank+states"},
	},
}
