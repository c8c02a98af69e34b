package ir

// Activations are the functions of one number that a layer applies to its sums: ops of their name, and what act may be in ops that apply
// one to a gate or to a product.
var Activations = []Activation{
	{"silu", "y = x / (1 + exp(-x))."},
	{"gelu", "y = x * (1 + erf(x / sqrt(2))) / 2."},
	{"gelu_tanh", "y = x * (1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3))) / 2."},
	{"quick_gelu", "y = x / (1 + exp(-1.702*x))."},
	{"relu", "y = max(x, 0)."},
	{"relu2", "y = max(x, 0)^2."},
	{"sigmoid", "y = 1 / (1 + exp(-x))."},
}

// Activation is one of these functions.
type Activation struct{ Name, Doc string }

func activationNames() []string {
	var names []string
	for _, a := range Activations {
		names = append(names, a.Name)
	}
	return names
}

// gateAttr is the activation of a gate. Ops with swiglu in their name are those of the whole family (Shazeer, "GLU Variants Improve
// Transformer"), of which SwiGLU is the one that models have most.
var gateAttr = AttrInfo{Name: "act", Kind: Text, Default: "silu", Enum: activationNames(), Doc: "function of the gate"}

// gateAttrs are what a gated op may do besides: gpt-oss bounds both of its operands and adds one to the second.
var gateAttrs = []AttrInfo{
	gateAttr,
	{Name: "limit", Kind: Float, Default: 0.0, Doc: "the gate is at most that before its function, and what it lets through within that; 0: no bound"},
	{Name: "shift", Kind: Float, Default: 0.0, Doc: "added to what the gate lets through, behind the bound"},
}

func activationOps() []*OpInfo {
	var ops []*OpInfo
	for _, a := range Activations {
		ops = append(ops, &OpInfo{Name: a.Name, Doc: a.Doc, Args: []ArgInfo{argX}, Results: []string{"y"}, Flags: RowWise, Shape: shapeLike})
	}
	return append(ops, &OpInfo{
		Name: "softcap", Doc: "y = by * tanh(x / by).", Args: []ArgInfo{argX},
		Attrs:   []AttrInfo{{Name: "by", Kind: Float, Doc: "bound of the result"}},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeLike,
	})
}
