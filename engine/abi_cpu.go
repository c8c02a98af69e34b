package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"llmc/engine/layout"
	"llmc/internal/relative"
)

// packed are the layouts of matrices that CPU kernels read; see engine/layout.
const packed = "f32 bf16 bf16s* e4m3s* u8 u8o* u4* q* iq4* nf4* fp4*"

// activations are the forms of a matrix product's input.
const activations = "f32 bf16 q16t q16g q8t q8g"

// cpuCaches are the element types of caches; codes have a scale for each position and head.
const cpuCaches = "f32 bf16 f16 f8e4m3 i8 i16 u4"

// ropeKernel rotates rows that are no keys of a cache.
func ropeKernel(device string) Kernel {
	return Kernel{
		Name: device + ".rope",
		Doc:  "rotates each head of x",
		Roles: []Role{arg("x", "f32", "T heads*dim"), input("positions", "T"), input("ropelen", "T"),
			vector("inv_freq", "f32", "variants half"), result("y", "f32", "T heads*dim")},
		Attrs: slices.Concat([]AttrRow{intAttr("heads", 1, maxDim), intAttr("dim", 1, maxDim)}, ropeAttrs),
		Where: []string{"rotary_dim = 2*half", "rotary_dim <= dim"},
		Check: checkRope,
	}
}

// ropeAttrs describe the rotary embedding, by the names of the IR. Modes other than static need further numbers; see ropeModes.
var ropeAttrs = []AttrRow{
	intAttr("rotary_dim", 2, maxDim),
	textAttr("style", "half", "interleaved"),
	optionalAttr(floatAttr("factor", 0, 1e6)),
	textAttr("mode", "static", "longrope", "dynamic"),
	optionalAttr(intAttr("original_max", 0, math.MaxInt32)),
	optionalAttr(intAttr("max_positions", 0, math.MaxInt32)),
	optionalAttr(floatAttr("base", 0, 1e12)),
	optionalAttr(floatAttr("ntk_factor", 0, 1e6)),
}

// headAttrs are the shape of attention in one layer.
var headAttrs = []AttrRow{
	intAttr("layer", 0, maxDim), intAttr("heads", 1, maxDim), intAttr("kv_heads", 1, maxDim), intAttr("dim", 1, maxDim),
}

var epsAttr = floatAttr("eps", 0, 1)

// cpuKernels run on the device "cpu". m stands for any number of rows.
var cpuKernels = []Kernel{
	{
		Name:  "cpu.gather",
		Doc:   "rows ids of the packed table, dequantized",
		Roles: []Role{matrix("table", packed, "v k"), input("ids", "m"), result("y", "f32", "m k")},
		Check: checkGather,
	},
	{
		Name:  "cpu.gather_positions",
		Doc:   "rows positions of the packed table, dequantized; the table has one for every position that a sequence may have",
		Roles: []Role{matrix("table", packed, "v k"), input("positions", "T"), result("y", "f32", "T k")},
	},
	{
		Name:  "cpu.gather_types",
		Doc:   "rows types of the packed table, dequantized",
		Roles: []Role{matrix("table", packed, "v k"), input("types", "T"), result("y", "f32", "T k")},
	},
	{
		Name:  "cpu.pool",
		Doc:   "a row for each sequence: the mean of its rows, the first or the last",
		Roles: []Role{arg("x", "f32", "T k"), input("seq_start", "starts"), result("y", "f32", "B k")},
		Attrs: []AttrRow{textAttr("mode", "mean", "first", "last")},
	},
	{
		Name:  "cpu.soft",
		Doc:   "the rows that the step brings",
		Roles: []Role{input("soft", "T"), result("y", "f32", "T k")},
	},
	{
		Name:  "cpu.insert",
		Doc:   "the rows that the step brings where types are 1, those of x elsewhere",
		Roles: []Role{arg("x", "f32", "T k"), input("soft", "T"), input("types", "T"), result("y", "f32", "T k")},
	},
	{
		Name: "cpu.rmsnorm",
		Doc:  "x / sqrt(mean(x*x) + eps) * w over each g elements of a row; g = k normally, the head size for query and key norms",
		Roles: []Role{
			arg("x", "f32", "m k"), vector("w", "f32", "g"), result("y", activations, "m k")},
		Attrs: []AttrRow{epsAttr},
		Where: []string{"g divides k"},
	},
	{
		Name: "cpu.add_rmsnorm",
		Doc:  "sum = x + delta; normed = rmsnorm(sum, w)",
		Roles: []Role{arg("x", "f32", "m k"), arg("delta", "f32", "m k"), vector("w", "f32", "k"),
			result("sum", "f32", "m k"), result("normed", activations, "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cpu.layernorm",
		Doc:  "(x - mean(x)) / sqrt(variance(x) + eps) * w + bias over each row",
		Roles: []Role{arg("x", "f32", "m k"), vector("w", "f32", "k"), optional(vector("bias", "f32", "k")),
			result("y", activations, "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cpu.add_layernorm",
		Doc:  "sum = x + delta; normed = layernorm(sum, w, bias)",
		Roles: []Role{arg("x", "f32", "m k"), arg("delta", "f32", "m k"), vector("w", "f32", "k"), optional(vector("bias", "f32", "k")),
			result("sum", "f32", "m k"), result("normed", activations, "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name:  "cpu.quantize",
		Doc:   "codes, scales and code sums of each row, in the result's format",
		Roles: []Role{arg("x", "f32", "m k"), result("y", "q16t q16g q8t q8g", "m k")},
	},
	{
		Name:  "cpu.hadamard",
		Doc:   "each block of x times the Hadamard matrix of its size over the square root of that",
		Roles: []Role{arg("x", "f32", "m k"), result("y", "f32", "m k")},
		Attrs: []AttrRow{intAttr("block", 2, maxDim)},
		Where: []string{"block divides k"},
		Check: checkHadamard,
	},
	{
		Name: "cpu.linear",
		Doc:  "y = x * transpose(w) + bias",
		Roles: []Role{arg("x", activations, "m k"), matrix("w", packed, "n k"), optional(vector("bias", "f32", "n")),
			result("y", "f32", "m n")},
		Check: checkLinear,
	},
	{
		Name: "cpu.linear_swiglu",
		Doc:  "y = act(gate) * up, where the panels of w are those of gate and up in turn; silu where no act is named",
		Roles: []Role{arg("x", activations, "m k"), matrix("w", packed, "panels k"), optional(vector("bias", "f32", "panels")),
			result("y", "f32", "m n")},
		Attrs: gateAttrs,
		Check: checkLinearSwiglu,
	},
	{
		Name: "cpu.rope_kv",
		Doc:  "normalises (where weights are given) and rotates the queries and keys of qkv, writes keys and values to the cache; in modes other than static keys are written unrotated",
		Roles: []Role{
			arg("qkv", "f32", "T heads*dim+2*kv_heads*dim"), input("positions", "T"), input("ropelen", "T"), input("slots", "T"),
			vector("inv_freq", "f32", "variants half"), cache("cache", cpuCaches, true),
			optional(vector("q_norm", "f32", "dim")), optional(vector("k_norm", "f32", "dim")), result("y", "f32", "T heads*dim")},
		Attrs: slices.Concat(headAttrs, ropeAttrs, []AttrRow{optionalAttr(epsAttr)}),
		Where: []string{"layer < layers", "rotary_dim = 2*half", "rotary_dim <= dim"},
		Check: checkRope,
	},
	ropeKernel("cpu"),
	{
		Name: "cpu.kv_write",
		Doc:  "writes keys and values of the step's tokens to their slots",
		Roles: []Role{arg("k", "f32", "T kv_heads*dim"), arg("v", "f32", "T kv_heads*dim"), input("slots", "T"),
			cache("cache", cpuCaches, true)},
		Attrs: []AttrRow{intAttr("layer", 0, maxDim)},
		Where: []string{"layer < layers"},
	},
	{
		Name: "cpu.attention",
		Doc: "paged attention of each sequence's tokens over its cache, and so many positions ahead of their own; inv_freq is given when keys are cached unrotated; " +
			"alibi are slopes of the heads' scores, sinks scores without values, relative is added to scores by the bucket of the distance of a position",
		Roles: []Role{arg("q", "f32", "T heads*dim"), input("positions", "T"), cache("cache", cpuCaches, false),
			optional(input("ropelen", "T")), optional(vector("inv_freq", "f32", "variants half")), result("y", "f32", "T heads*dim"),
			optional(vector("alibi", "f32", "heads")), optional(vector("sinks", "f32", "heads")),
			optional(vector("relative", "f32", "buckets heads"))},
		Attrs: slices.Concat(headAttrs, []AttrRow{floatAttr("scale", 0, 1e6), optionalAttr(intAttr("window", 0, math.MaxInt32)),
			optionalAttr(intAttr("ahead", 0, math.MaxInt32)), optionalAttr(intAttr("chunk", 0, math.MaxInt32)), optionalAttr(floatAttr("softcap", 0, 1e6)),
			optionalAttr(intAttr("reach", 0, relative.MaxReach)), optionalAttr(intAttr("both", 0, 1))}, allOptional(ropeAttrs)),
		Where: []string{"layer < layers", "kv_heads divides heads", "rotary_dim <= dim"},
		Check: checkAttention,
	},
	{
		Name:  "cpu.cast",
		Doc:   "x rounded to the result's element type, or widened; a copy when both are the same",
		Roles: []Role{arg("x", "f32 bf16", "m k"), result("y", "f32 bf16", "m k")},
	},
}

func allOptional(rows []AttrRow) []AttrRow {
	out := slices.Clone(rows)
	for i := range out {
		out[i].Optional = true
	}
	return out
}

// checkHadamard wants a power of two.
func checkHadamard(b *Bound) error {
	if block := b.Launch.Int("block", 0); block&(block-1) != 0 {
		return fmt.Errorf("block of %d, which is not a power of two", block)
	}
	return nil
}

// checkLinear wants the input in the form that the weight's layout is multiplied with, or in that form's first digit.
func checkLinear(b *Bound) error {
	x, w := b.Buffer("x"), b.Weight("w")
	linear, err := w.linear()
	if err != nil {
		return err
	}
	want := linear.Input()
	if x.TypeName() == want.OneDigit().Name {
		want = want.OneDigit()
	}
	if x.TypeName() != want.Name || x.Format != "" && x.Group != int64(want.Group) {
		return fmt.Errorf("weight %s of %s takes an input of %s with groups of %d, not %s with groups of %d",
			w.Name, w.Layout, want.Name, want.Group, x.TypeName(), x.Group)
	}
	return nil
}

// checkLinearSwiglu also wants whole panels of gate and of up.
func checkLinearSwiglu(b *Bound) error {
	if have, n := b.Size("panels"), b.Size("n"); have != 2*roundUp(n, layout.Lanes) {
		return fmt.Errorf("weight of %d outputs for a result of %d columns; it must be twice that, each half rounded up to %d", have, n, layout.Lanes)
	}
	return checkLinear(b)
}

// checkGather wants a row for every token of the vocabulary: ids are checked against that.
func checkGather(b *Bound) error {
	if rows := b.Size("v"); rows < b.Vocab() {
		return fmt.Errorf("table of %d rows for a vocabulary of %d", rows, b.Vocab())
	}
	return nil
}

// ropeModes says how many rows of frequencies a mode reads and which attributes it needs.
var ropeModes = map[string]struct {
	variants int64
	needs    []string
}{
	"static":   {1, nil},
	"longrope": {2, []string{"original_max"}},
	"dynamic":  {1, []string{"max_positions", "base", "ntk_factor"}},
}

func checkRope(b *Bound) error {
	name := b.Launch.Text("mode", "")
	mode := ropeModes[name]
	if have := b.Size("variants"); have != mode.variants {
		return fmt.Errorf("%d rows of frequencies; mode %s takes %d", have, name, mode.variants)
	}
	for _, need := range mode.needs {
		if b.Launch.Int(need, 0) == 0 && b.Launch.Float(need, 0) == 0 {
			return fmt.Errorf("attribute %s is missing; mode %s needs it", need, name)
		}
	}
	return nil
}

// checkAttention wants buckets that distances can be put into.
func checkAttention(b *Bound) error {
	if b.Kernel.Operand(b.Launch, "relative").Kind != OperandNone {
		if err := checkBuckets(b); err != nil {
			return err
		}
	}
	return checkRotateOnRead(b)
}

// checkRotateOnRead wants all of what the rotation needs, or nothing.
func checkRotateOnRead(b *Bound) error {
	rotates := b.Kernel.Operand(b.Launch, "inv_freq").Kind != OperandNone
	if b.Launch.Int("ahead", 0) > 0 && (rotates || b.Kernel.Operand(b.Launch, "alibi").Kind != OperandNone) {
		return errors.New("positions ahead with inv_freq or alibi")
	}
	if lengths := b.Kernel.Operand(b.Launch, "ropelen").Kind != OperandNone; lengths != rotates {
		return errors.New("inv_freq and ropelen go together")
	}
	if !rotates {
		return nil
	}
	if dim, half := b.Size("rotary_dim"), b.Size("half"); dim != 2*half {
		return fmt.Errorf("rotary_dim %d and %d frequencies", dim, half)
	}
	return checkRope(b)
}
