package engine

import (
	"fmt"
	"math"
	"slices"
)

// fragments are the layouts of matrices that CUDA kernels read; see engine/layout.
const fragments = "frag.*"

// fragmentInputs are the inputs that products with these take.
const fragmentInputs = "bf16 f16 e4m3t e4m3g s8t"

// cudaCaches are the element types of caches; codes have a scale for each row, which a kernel that writes them must have the whole of.
const cudaCaches = "bf16 f16 f8e4m3 i8 u4"

// itemAttrs say how attention is cut into items, which a device lists by them; see Item.
var itemAttrs = []AttrRow{intAttr("block", 1, 1024), intAttr("group", 1, 1024), intAttr("planes", 1, 1<<16), intAttr("extra", 0, 1<<12)}

// cudaKernels run on devices that execute the plan's PTX: "cuda" and its emulator. What a row states holds for every entry that implements it.
// m stands for any number of rows. Rows of bf16, f16 and codes are padded with zeros to a multiple of 64.
var cudaKernels = []Kernel{
	{
		Name:  "cuda.gather",
		Doc:   "rows ids of the packed table, dequantized",
		Roles: []Role{matrix("table", fragments, "v k"), input("ids", "m"), result("y", "f32", "m k")},
		Check: checkGather,
	},
	{
		Name:  "cuda.gather_positions",
		Doc:   "rows positions of the packed table, dequantized; positions beyond it have its last row",
		Roles: []Role{matrix("table", fragments, "v k"), input("positions", "T"), result("y", "f32", "T k")},
	},
	{
		Name:  "cuda.gather_types",
		Doc:   "rows types of the packed table, dequantized; types beyond it have its last row",
		Roles: []Role{matrix("table", fragments, "v k"), input("types", "T"), result("y", "f32", "T k")},
	},
	{
		Name:  "cuda.soft",
		Doc:   "the rows that the step brings",
		Roles: []Role{input("soft", "T"), result("y", "f32", "T k")},
	},
	{
		Name:  "cuda.insert",
		Doc:   "the rows that the step brings where types is 1, else those of x",
		Roles: []Role{arg("x", "f32", "T k"), input("soft", "T"), input("types", "T"), result("y", "f32", "T k")},
	},
	{
		Name:  "cuda.rmsnorm",
		Doc:   "x / sqrt(mean(x*x) + eps) * w over each row",
		Roles: []Role{arg("x", "f32", "m k"), vector("w", "f32", "k"), result("y", "f32 bf16 f16 f32m", "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cuda.add_rmsnorm",
		Doc:  "sum = x + delta; normed = rmsnorm(sum, w)",
		Roles: []Role{arg("x", "f32", "m k"), arg("delta", "f32", "m k"), vector("w", "f32", "k"),
			result("sum", "f32", "m k"), result("normed", "f32 bf16 f16 f32m", "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cuda.layernorm",
		Doc:  "(x - mean(x)) / sqrt(variance(x) + eps) * w + bias over each row",
		Roles: []Role{arg("x", "f32", "m k"), vector("w", "f32", "k"), optional(vector("bias", "f32", "k")),
			result("y", "f32 bf16 f16 f32m", "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cuda.add_layernorm",
		Doc:  "sum = x + delta; normed = layernorm(sum, w, bias)",
		Roles: []Role{arg("x", "f32", "m k"), arg("delta", "f32", "m k"), vector("w", "f32", "k"), optional(vector("bias", "f32", "k")),
			result("sum", "f32", "m k"), result("normed", "f32 bf16 f16 f32m", "m k")},
		Attrs: []AttrRow{epsAttr},
	},
	{
		Name: "cuda.linear",
		Doc:  "y = x * transpose(w) + bias",
		Roles: []Role{arg("x", fragmentInputs, "m k"), matrix("w", fragments, "n k"), optional(vector("bias", "f32", "n")), squares("m"), raw("m"),
			result("y", "f32 bf16 f16", "m n"),
			parts, tickets},
		Attrs: []AttrRow{ticketsAttr, optionalAttr(epsAttr)},
		Check: checkFragmentInput,
	},
	{
		Name: "cuda.linear_swiglu",
		Doc:  "y = act(gate) * up, where blocks of 8 outputs of w are those of gate and up in turn; silu where no act is named",
		Roles: []Role{arg("x", fragmentInputs, "m k"), matrix("w", fragments, "panels k"), optional(vector("bias", "f32", "panels")), squares("m"), raw("m"),
			result("y", "f32 bf16 f16 f32m", "m n"),
			parts, tickets},
		Attrs: slices.Concat([]AttrRow{ticketsAttr, optionalAttr(epsAttr)}, gateAttrs),
		Check: checkFragmentHalves,
	},
	{
		Name: "cuda.linear_act",
		Doc:  "y = act(x * transpose(w) + bias)",
		Roles: []Role{arg("x", fragmentInputs, "m k"), matrix("w", fragments, "n k"), optional(vector("bias", "f32", "n")), squares("m"), raw("m"),
			result("y", "f32 bf16 f16 f32m", "m n"),
			parts, tickets},
		Attrs: []AttrRow{ticketsAttr, actAttr, optionalAttr(epsAttr)},
		Check: checkFragmentInput,
	},
	{
		Name: "cuda.linear_add",
		Doc:  "sum = residual + x * transpose(w) + bias; scaled = sum * norm; squared = squares of sum, added up for every 16 columns",
		Roles: []Role{arg("x", fragmentInputs, "m k"), matrix("w", fragments, "n k"), optional(vector("bias", "f32", "n")), raw("m"),
			arg("residual", "f32", "m n"), vector("norm", "f32", "n"),
			result("sum", "f32", "m n"), result("scaled", "f32 bf16 f16 f32m", "m n"), result("squared", "f32", "m sums"),
			parts, tickets},
		Attrs: []AttrRow{ticketsAttr},
		Check: checkSums,
	},
	{
		Name: "cuda.linear_rope_kv",
		Doc:  "rotates the queries and keys of x * transpose(w) + bias by the angles of rope_turns, writes keys and values to the cache; the two channels of a pair are 8 outputs apart",
		Roles: []Role{arg("x", fragmentInputs, "T k"), matrix("w", fragments, "heads*dim+2*kv_heads*dim k"), optional(vector("bias", "f32", "heads*dim+2*kv_heads*dim")), squares("T"), raw("T"),
			arg("turns", "f32", "T rotary_dim"), input("slots", "T"), cache("cache", "bf16 f16", true), result("y", "f32", "T heads*dim"),
			parts, tickets},
		Attrs: slices.Concat(headAttrs, []AttrRow{ticketsAttr, intAttr("rotary_dim", 16, 1<<16), optionalAttr(epsAttr)}),
		Where: []string{"layer < layers", "rotary_dim <= dim"},
		Check: checkTurned,
	},
	{
		Name:  "cuda.rope_turns",
		Doc:   "cosine and sine of positions * inv_freq, times factor",
		Roles: []Role{input("positions", "T"), vector("inv_freq", "f32", "one half"), result("y", "f32", "T turns")},
		Attrs: []AttrRow{floatAttr("factor", 0, 1e6)},
		Where: []string{"turns = 2*half"},
	},
	{
		Name: "cuda.rope_kv",
		Doc:  "normalises (where weights are given) and rotates the queries and keys of qkv, writes keys and values to the cache; in modes other than static keys are written unrotated",
		Roles: []Role{
			arg("qkv", "f32", "T heads*dim+2*kv_heads*dim"), input("positions", "T"), input("ropelen", "T"), input("slots", "T"),
			vector("inv_freq", "f32", "variants half"), cache("cache", cudaCaches, true),
			optional(vector("q_norm", "f32", "dim")), optional(vector("k_norm", "f32", "dim")), result("y", "f32 bf16", "T heads*dim")},
		Attrs: slices.Concat(headAttrs, ropeAttrs, []AttrRow{optionalAttr(epsAttr)}),
		Where: []string{"layer < layers", "rotary_dim = 2*half", "rotary_dim <= dim"},
		Check: checkRope,
	},
	{
		Name: "cuda.rope_kv_rows",
		Doc:  "cuda.rope_kv whose norms are of all of a row's queries as one, and of all of its keys",
		Roles: []Role{
			arg("qkv", "f32", "T heads*dim+2*kv_heads*dim"), input("positions", "T"), input("ropelen", "T"), input("slots", "T"),
			vector("inv_freq", "f32", "variants half"), cache("cache", cudaCaches, true),
			vector("q_norm", "f32", "heads*dim"), vector("k_norm", "f32", "kv_heads*dim"), result("y", "f32 bf16", "T heads*dim")},
		Attrs: slices.Concat(headAttrs, ropeAttrs, []AttrRow{optionalAttr(epsAttr)}),
		Where: []string{"layer < layers", "rotary_dim = 2*half", "rotary_dim <= dim"},
		Check: checkRope,
	},
	{
		Name: "cuda.kv_write",
		Doc:  "writes keys and values of the step's tokens to their slots",
		Roles: []Role{arg("k", "f32", "T kv_heads*dim"), arg("v", "f32", "T kv_heads*dim"), input("slots", "T"),
			cache("cache", cudaCaches, true)},
		Attrs: []AttrRow{intAttr("layer", 0, maxDim)},
		Where: []string{"layer < layers"},
	},
	{
		Name: "cuda.attention",
		Doc: "paged attention of each sequence's tokens over its cache, in items of up to block tokens that planes CTAs have, each up to group heads; " +
			"alibi are slopes of the heads' scores, sinks scores without values; " +
			"items in pieces, up to extra more, put together in partials; inv_freq is given when keys are cached unrotated",
		Roles: []Role{arg("q", "f32 bf16", "T heads*dim"), input("positions", "T"), cache("cache", cudaCaches, false),
			input("items", ""), input("page_start", ""), input("pages", ""),
			optional(input("ropelen", "T")), optional(vector("inv_freq", "f32", "variants half")), result("y", "f32 bf16 f16 f32m", "T heads*dim"),
			scratch("partials", "f32", "lines 16"), optional(vector("alibi", "f32", "heads")), optional(vector("sinks", "f32", "heads"))},
		Attrs: slices.Concat(headAttrs, []AttrRow{floatAttr("scale", 0, 1e6), optionalAttr(intAttr("window", 0, math.MaxInt32)),
			optionalAttr(intAttr("chunk", 0, math.MaxInt32)),
			optionalAttr(floatAttr("softcap", 0, 1e6))}, itemAttrs,
			allOptional(ropeAttrs)),
		Where: []string{"layer < layers", "kv_heads divides heads", "rotary_dim <= dim"},
		Check: checkAttentionItems,
	},
	{
		Name: "cuda.attention_ahead",
		Doc: "cuda.attention of tokens that also see so many positions ahead of their own, of those that the sequence has; " +
			"all of a sequence's keys and values are there before it",
		Roles: []Role{arg("q", "f32 bf16", "T heads*dim"), input("positions", "T"), cache("cache", cudaCaches, false),
			input("items", ""), input("page_start", ""), input("pages", ""), input("context", "B"), result("y", "f32 bf16 f16 f32m", "T heads*dim"),
			scratch("partials", "f32", "lines 16")},
		Attrs: slices.Concat(headAttrs, []AttrRow{floatAttr("scale", 0, 1e6), optionalAttr(intAttr("window", 0, math.MaxInt32)), intAttr("ahead", 1, math.MaxInt32),
			optionalAttr(intAttr("chunk", 0, math.MaxInt32)),
			optionalAttr(floatAttr("softcap", 0, 1e6))}, itemAttrs),
		Where: []string{"layer < layers", "kv_heads divides heads"},
		Check: checkAttentionItems,
	},
	{
		Name:  "cuda.pool",
		Doc:   "a row for each sequence: the mean of its rows, the first or the last",
		Roles: []Role{arg("x", "f32", "T k"), input("seq_start", "starts"), result("y", "f32", "B k")},
		Attrs: []AttrRow{textAttr("mode", "mean", "first", "last")},
	},
	{
		Name:  "cuda.cast",
		Doc:   "x rounded to bf16, or widened",
		Roles: []Role{arg("x", "f32 bf16 f16", "m k"), result("y", "f32 bf16 f16", "m k")},
	},
	{
		Name:  "cuda.quantize",
		Doc:   "codes and the scales of each row, in the result's format",
		Roles: []Role{arg("x", "f32 f32m", "m k"), result("y", "e4m3t e4m3g s8t", "m k")},
	},
}

// checkAttentionItems also wants items of one token where keys turn as they are read: by the frequencies of that token.
func checkAttentionItems(b *Bound) error {
	if block := b.Launch.Int("block", 0); block != 1 && b.Kernel.Operand(b.Launch, "inv_freq").Kind != OperandNone {
		return fmt.Errorf("items of %d tokens; keys are turned for one token at a time", block)
	}
	return firstError(checkItemCounters(b), checkRotateOnRead(b))
}

// checkItemCounters bounds what a device keeps for items in pieces.
func checkItemCounters(b *Bound) error {
	if extra, planes := b.Launch.Int("extra", 0), b.Launch.Int("planes", 0); extra*planes > 1<<20 {
		return fmt.Errorf("%d counters of items in pieces", extra*planes)
	}
	return nil
}

// squares finish the norm of x. raw is what x was quantized from, which entries for few rows read instead.
func squares(rows string) Role { return optional(arg("squares", "f32", rows+" sums")) }

func raw(rows string) Role { return optional(arg("raw", "f32m", rows+" k")) }

// parts and tickets are for products some of whose tiles several CTAs have: sums on their way, and a counter for each such tile, at most as many as the
// attribute tickets says, which are zero before and after each launch.
var (
	parts       = optional(scratch("parts", "f32", "lines 16"))
	tickets     = optional(input("tickets", ""))
	ticketsAttr = optionalAttr(intAttr("tickets", 0, 1<<16))
)

// Outputs of gate and up, and of the two halves of a head's channels, alternate in blocks of pairBlock; squares are added up for squareColumns.
const (
	pairBlock     = 8
	squareColumns = 16
)

// checkSquares wants a sum for every 16 columns of x.
func checkSquares(b *Bound) error {
	if b.Kernel.Operand(b.Launch, "squares").Kind == OperandNone {
		return nil
	}
	return checkSumCount(b, "k")
}

func checkSumCount(b *Bound, of string) error {
	if have, n := b.Size("sums"), b.Size(of); have != (n+squareColumns-1)/squareColumns {
		return fmt.Errorf("%d sums of squares for rows of %d columns; it must be one for every %d", have, n, squareColumns)
	}
	return nil
}

// checkSums is for the sums that a product writes.
func checkSums(b *Bound) error {
	if err := checkProduct(b); err != nil {
		return err
	}
	return checkSumCount(b, "n")
}

// checkTurned wants whole blocks of channels.
func checkTurned(b *Bound) error {
	if err := checkFragmentInput(b); err != nil {
		return err
	}
	for _, name := range []string{"dim", "rotary_dim"} {
		if n := b.Size(name); n%(2*pairBlock) != 0 {
			return fmt.Errorf("%s %d is not a multiple of %d", name, n, 2*pairBlock)
		}
	}
	return nil
}

// checkFragmentInput wants codes as inputs only of weights that are such codes too, and squares that fit.
func checkFragmentInput(b *Bound) error {
	if err := checkProduct(b); err != nil {
		return err
	}
	return checkSquares(b)
}

// checkProduct is for what all products have.
func checkProduct(b *Bound) error {
	if n := b.Launch.Int("tickets", 0); (n > 0) != (b.Kernel.Operand(b.Launch, "tickets").Kind != OperandNone) {
		return fmt.Errorf("attribute tickets is %d; products whose tiles are shared have both that and the input of this name", n)
	}
	return checkInputCodes(b)
}

// codeInputs are the forms of codes that matrix units multiply weights with, by layout. Signed bytes are multiplied with nothing else.
var codeInputs = map[string]string{"frag.e4m3": "e4m3t", "frag.e4m3.g128": "e4m3g", "frag.s8": "s8t"}

// codeGroup is how many columns share a scale of e4m3g.
const codeGroup = 128

func checkInputCodes(b *Bound) error {
	x, w := b.Buffer("x"), b.Weight("w")
	codes := codeInputs[w.Layout]
	switch {
	case x.Format == "e4m3g" && x.Group != codeGroup:
		return fmt.Errorf("weight %s of %s takes an input with groups of %d, not %d", w.Name, w.Layout, codeGroup, x.Group)
	case x.Format == "" && (w.Layout == "frag.f16") != (x.TypeName() == "f16"):
		return fmt.Errorf("weight %s of %s takes no input of %s", w.Name, w.Layout, x.TypeName())
	case w.Layout == "frag.s8" && x.Format != codes:
		return fmt.Errorf("weight %s of %s takes an input of %s, not %s", w.Name, w.Layout, codes, x.TypeName())
	case x.Format != "" && x.Format != codes:
		return fmt.Errorf("weight %s of %s takes an input of bf16, not %s", w.Name, w.Layout, x.TypeName())
	}
	return nil
}

// checkFragmentHalves also wants whole blocks of gate and of up.
func checkFragmentHalves(b *Bound) error {
	if err := checkFragmentInput(b); err != nil {
		return err
	}
	if have, n := b.Size("panels"), b.Size("n"); have != 2*roundUp(n, pairBlock) {
		return fmt.Errorf("weight of %d outputs for a result of %d columns; it must be twice that, each half rounded up to %d", have, n, pairBlock)
	}
	return nil
}
