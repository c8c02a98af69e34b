package passes

import (
	"slices"

	"llmc/ir"
)

// Pass is one row of the table. Rules are applied until none fires, then Run is called; either may be missing.
type Pass struct {
	Name  string
	Doc   string
	Rules []Rule
	Run   func(c *Context) error
	// Rewrites names what Run counts under names of its own and leaves out when disabled.
	Rewrites []string
	// NeedsTarget passes are left out when a build names no target.
	NeedsTarget bool
	Effect      Effect

	Requires, Establishes []Property
}

// Effect is how much a pass may change what a module computes.
type Effect uint8

// Exact passes change no bit of the interpreter's results. Rounding passes move roundings, some ulp of each value; Rerounding ones also those
// to 16 bits. Narrowing passes store numbers in narrower formats, each with its own bound.
const (
	Exact Effect = iota
	Rounding
	Rerounding
	Narrowing
)

// Table lists the passes in order.
var Table = []Pass{
	{Name: "rotate", Doc: "an equal model whose activations have no outliers, for formats that want it", Run: rotate, Rewrites: []string{ruleRotateStream, ruleRotateHeads, ruleRotateGates}, Effect: Rerounding},
	{Name: "smooth", Doc: "an equal model whose activations or weights have fewer columns that stand out, as a calibration says", Run: smooth, Rewrites: []string{ruleSmoothNorm, ruleSmoothHead, ruleSmoothGate}, Effect: Rerounding},
	{Name: "fold", Doc: "operations on constants, and those that change nothing, disappear", Rules: foldRules, Effect: Rounding},
	{Name: "canonicalize", Doc: "one form for equal computations; rows are selected as early as possible", Run: canonicalize, Rewrites: []string{ruleShare, ruleOrder, ruleSelectEarly}, Effect: Exact, Establishes: []Property{Shared}},
	{Name: "fuse-qkv", Doc: "the projections of q, k and v become one", Run: fuseQKV, Effect: Exact},
	{Name: "fuse-add-norm", Doc: "a residual sum and the norm that reads it become one op", Rules: fuseAddNormRules, Effect: Exact},
	{Name: "fuse-swiglu", Doc: "gate, up and their product become one op over one weight", Rules: fuseSwiGLURules, Effect: Rounding},
	{Name: "fuse-rope-kv", Doc: "head norms, rotary embedding and cache write become one op", Run: fuseRopeKV, Effect: Exact},
	{Name: "dce", Doc: "what nobody reads disappears", Run: dce, Effect: Exact, Establishes: []Property{Live}},
	{Name: "quantize", Doc: "weights get the formats of the policy, linears the inputs that these formats multiply with", Run: quantize, Rewrites: []string{ruleOwnActivation, ruleOwnCast, ruleRawInput, ruleDequantized}, Effect: Narrowing, Establishes: []Property{Quantized}},
	{Name: "fuse-linear", Doc: "products add the residual and scale for the norm, or turn q and k and write the cache", Run: fuseLinear, Rewrites: []string{ruleAddInProduct, ruleTurnInProduct}, NeedsTarget: true, Effect: Rerounding, Requires: []Property{Quantized}},
	{Name: "partition", Doc: "several GPUs have parts of weights and caches each, and exchange what they compute of activations", Run: partition, NeedsTarget: true, Effect: Exact, Requires: []Property{Quantized}},
	{Name: "select", Doc: "the target names the kernel of each op", Run: selectKernels, NeedsTarget: true, Effect: Exact, Requires: []Property{Quantized}, Establishes: []Property{Selected}},
	{Name: "layout", Doc: "the target names the layout of each weight", Run: layout, NeedsTarget: true, Effect: Exact, Requires: []Property{Selected}, Establishes: []Property{LaidOut}},
	{Name: "schedule", Doc: "order of launches, and where all workers wait", Run: schedule, NeedsTarget: true, Effect: Exact, Requires: []Property{Selected}, Establishes: []Property{Scheduled}},
	{Name: "plan-memory", Doc: "activations get places in an arena of shared slots", Run: planMemory, NeedsTarget: true, Effect: Exact, Requires: []Property{Live, Scheduled}, Establishes: []Property{Planned}},
}

// order states which pass must come before which, and why.
var order = []struct{ before, after, why string }{
	{"rotate", "smooth", "turned weights have no columns to scale"},
	{"smooth", "fuse-qkv", "rows of v are divided, those of q and k are not"},
	{"smooth", "fuse-add-norm", "the norm's weights are divided"},
	{"smooth", "fuse-swiglu", "rows of up are divided, those of gate are not"},
	{"smooth", "quantize", "codes are made of the scaled weights"},
	{"rotate", "fuse-qkv", "values are turned, queries and keys are not"},
	{"rotate", "fuse-add-norm", "a norm's weights go into the products that read it"},
	{"rotate", "fuse-swiglu", "rows of gate and up alternate afterwards"},
	{"rotate", "quantize", "codes are made of the turned weights"},
	{"fold", "canonicalize", "folded ops would hide that two computations are equal"},
	{"canonicalize", "fuse-qkv", "equal projections must be one before their consumers are traced"},
	{"canonicalize", "fuse-add-norm", "the last sum and norm must be over the selected rows before they become one op"},
	{"fuse-qkv", "fuse-rope-kv", "rope_kv reads q, k and v from one matrix"},
	{"fuse-qkv", "quantize", "one weight, one quantized input"},
	{"fuse-add-norm", "quantize", "a norm may round its own result, a cast would hide it"},
	{"fuse-swiglu", "quantize", "codes are made of the interleaved weight"},
	{"fuse-rope-kv", "dce", "the slices of q, k and v are left behind"},
	{"fuse-swiglu", "dce", "the weights of gate and up are left behind"},
	{"dce", "quantize", "a dead reader would give a weight the wrong format"},
	{"quantize", "fuse-linear", "which kernels there are depends on the formats of their operands"},
	{"fuse-linear", "partition", "what a fused product gives is shared as it is"},
	{"quantize", "partition", "codes and scales are those of whole weights"},
	{"partition", "select", "kernels are chosen for the sizes that a card has"},
	{"fuse-linear", "select", "kernels are chosen for the ops that are left"},
	{"quantize", "select", "kernels are chosen by the formats of their operands"},
	{"select", "layout", "a layout is what the chosen kernels read"},
	{"select", "schedule", "what has no kernel costs no launch"},
	{"schedule", "plan-memory", "what is alive at once depends on order and barriers"},
}

// Find returns the row called name, nil if there is none.
func Find(name string) *Pass {
	for i := range Table {
		if Table[i].Name == name {
			return &Table[i]
		}
	}
	return nil
}

// Names returns the names of all passes, for messages and flags.
func Names() []string {
	var names []string
	for i := range Table {
		names = append(names, Table[i].Name)
	}
	return names
}

// rewrites returns the names of all that the pass counts one by one.
func (p *Pass) rewrites() []string {
	names := slices.Clone(p.Rewrites)
	for _, r := range p.Rules {
		names = append(names, r.Name)
	}
	return names
}

// RuleNames returns the names of the rewrites of all passes.
func RuleNames() []string {
	var names []string
	for i := range Table {
		names = append(names, Table[i].rewrites()...)
	}
	return names
}

// unknownPass describes a name that is in no table, with what was probably meant.
func unknownPass(name string) error {
	return ir.Unknown("pass", name, Names())
}
