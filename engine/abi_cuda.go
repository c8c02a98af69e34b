package engine

import (
	"fmt"
	"math"
	"slices"
)

// fragments are the layouts of matrices that CUDA kernels read; see engine/layout.
const fragments = "frag.*"

// cudaKernels run on devices that execute the plan's PTX: "cuda" and its emulator. What a row states holds for every entry that implements it.
// m stands for any number of rows. Rows of bf16 and e4m3t are padded with zeros to a multiple of 64.
var cudaKernels = []Kernel{
	{
		Name:  "cuda.gather",
		Doc:   "rows ids of the packed table, dequantized",
		Roles: []Role{matrix("table", fragments, "v k"), input("ids", "m"), result("y", "f32", "m k")},
		Check: checkGather,
	},
	{
		Name:  "cuda.rmsnorm",
		Doc:   "x / sqrt(mean(x*x) + eps) * w over each row",
		Roles: []Role{arg("x", "f32", "m k"), vector("w", "f32", "k"), result("y", "f32 bf16", "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cuda.add_rmsnorm",
		Doc:  "sum = x + delta; normed = rmsnorm(sum, w)",
		Roles: []Role{arg("x", "f32", "m k"), arg("delta", "f32", "m k"), vector("w", "f32", "k"),
			result("sum", "f32", "m k"), result("normed", "f32 bf16", "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cuda.layernorm",
		Doc:  "(x - mean(x)) / sqrt(variance(x) + eps) * w + bias over each row",
		Roles: []Role{arg("x", "f32", "m k"), vector("w", "f32", "k"), optional(vector("bias", "f32", "k")),
			result("y", "f32 bf16", "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cuda.add_layernorm",
		Doc:  "sum = x + delta; normed = layernorm(sum, w, bias)",
		Roles: []Role{arg("x", "f32", "m k"), arg("delta", "f32", "m k"), vector("w", "f32", "k"), optional(vector("bias", "f32", "k")),
			result("sum", "f32", "m k"), result("normed", "f32 bf16", "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cuda.linear",
		Doc:  "y = x * transpose(w) + bias",
		Roles: []Role{arg("x", "bf16 e4m3t", "m k"), matrix("w", fragments, "n k"), optional(vector("bias", "f32", "n")),
			result("y", "f32 bf16", "m n")},
		Check: checkFragmentInput,
	},
	{
		Name: "cuda.linear_swiglu",
		Doc:  "y = act(gate) * up, where blocks of 32 outputs of w are those of gate and up in turn; silu where no act is named",
		Roles: []Role{arg("x", "bf16 e4m3t", "m k"), matrix("w", fragments, "panels k"), optional(vector("bias", "f32", "panels")),
			result("y", "f32 bf16", "m n")},
		Attrs: []AttrRow{optionalAttr(actAttr)},
		Check: checkFragmentHalves,
	},
	{
		Name: "cuda.linear_act",
		Doc:  "y = act(x * transpose(w) + bias)",
		Roles: []Role{arg("x", "bf16 e4m3t", "m k"), matrix("w", fragments, "n k"), optional(vector("bias", "f32", "n")),
			result("y", "f32 bf16", "m n")},
		Attrs: []AttrRow{actAttr},
		Check: checkFragmentInput,
	},
	{
		Name: "cuda.rope_kv",
		Doc:  "normalises (where weights are given) and rotates the queries and keys of qkv, writes keys and values to the cache; in modes other than static keys are written unrotated",
		Roles: []Role{
			arg("qkv", "f32", "T heads*dim+2*kv_heads*dim"), input("positions", "T"), input("ropelen", "T"), input("slots", "T"),
			vector("inv_freq", "f32", "variants half"), cache("cache", "bf16", true),
			optional(vector("q_norm", "f32", "dim")), optional(vector("k_norm", "f32", "dim")), result("y", "f32 bf16", "T heads*dim")},
		Attrs: slices.Concat(headAttrs, ropeAttrs, []AttrRow{optionalAttr(epsAttr)}),
		Where: []string{"layer < layers", "rotary_dim = 2*half", "rotary_dim <= dim"},
		Check: checkRope,
	},
	{
		Name: "cuda.attention",
		Doc:  "paged attention of each sequence's tokens over its cache, in items of up to block tokens; inv_freq is given when keys are cached unrotated",
		Roles: []Role{arg("q", "f32 bf16", "T heads*dim"), input("positions", "T"), cache("cache", "bf16", false),
			input("items", ""), input("page_start", ""), input("pages", ""),
			optional(input("ropelen", "T")), optional(vector("inv_freq", "f32", "variants half")), result("y", "f32 bf16", "T heads*dim")},
		Attrs: slices.Concat(headAttrs, []AttrRow{floatAttr("scale", 0, 1e6), optionalAttr(intAttr("window", 0, math.MaxInt32)),
			optionalAttr(floatAttr("softcap", 0, 1e6)), intAttr("block", 1, 1024)},
			allOptional(ropeAttrs)),
		Where: []string{"layer < layers", "kv_heads divides heads", "rotary_dim <= dim"},
		Check: checkAttentionItems,
	},
	{
		Name:  "cuda.cast",
		Doc:   "x rounded to bf16, or widened",
		Roles: []Role{arg("x", "f32 bf16", "m k"), result("y", "f32 bf16", "m k")},
	},
	{
		Name:  "cuda.quantize",
		Doc:   "codes and the scale of each row, in the result's format",
		Roles: []Role{arg("x", "f32", "m k"), result("y", "e4m3t", "m k")},
	},
}

// checkAttentionItems also wants items of one token where keys turn as they are read: by the frequencies of that token.
func checkAttentionItems(b *Bound) error {
	if block := b.Launch.Int("block", 0); block != 1 && b.Kernel.Operand(b.Launch, "inv_freq").Kind != OperandNone {
		return fmt.Errorf("items of %d tokens; keys are turned for one token at a time", block)
	}
	return checkRotateOnRead(b)
}

// swiGLUBlock is how many outputs of gate, then of up, lie together in the weight of a linear_swiglu.
const swiGLUBlock = 32

// checkFragmentInput wants codes as inputs only of weights that are such codes too.
func checkFragmentInput(b *Bound) error {
	if x, w := b.Buffer("x"), b.Weight("w"); x.Format != "" && w.Layout != "frag."+formatElements[x.Format] {
		return fmt.Errorf("weight %s of %s takes an input of bf16, not %s", w.Name, w.Layout, x.TypeName())
	}
	return nil
}

// formatElements are the elements of rows of codes that matrix units multiply.
var formatElements = map[string]string{"e4m3t": "e4m3"}

// checkFragmentHalves also wants whole blocks of gate and of up.
func checkFragmentHalves(b *Bound) error {
	if err := checkFragmentInput(b); err != nil {
		return err
	}
	if have, n := b.Size("panels"), b.Size("n"); have != 2*roundUp(n, swiGLUBlock) {
		return fmt.Errorf("weight of %d outputs for a result of %d columns; it must be twice that, each half rounded up to %d", have, n, swiGLUBlock)
	}
	return nil
}
