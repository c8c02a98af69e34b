package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"llmc/internal/relative"
)

// textAttention is the kernel of tokens that see what function "encode" kept of their sequence's text.
const textAttention = "cuda.attention_text"

// cudaTexts are the kernels that models which encode a text have besides those of cudaKernels.
var cudaTexts = []Kernel{
	{
		Name: "cuda.attention_relative",
		Doc: "cuda.attention whose scores have a number added by the bucket of the distance of a position, which all heads have of their own; " +
			"with ahead it is that of cuda.attention_ahead",
		Roles: []Role{arg("q", "f32 bf16", "T heads*dim"), input("positions", "T"), cache("cache", cudaCaches, false),
			input("items", ""), input("page_start", ""), input("pages", ""), input("context", "B"), vector("relative", "f32", "buckets heads"),
			result("y", "f32 bf16 f16 f32m", "T heads*dim"), scratch("partials", "f32", "lines 16")},
		Attrs: slices.Concat(headAttrs, []AttrRow{floatAttr("scale", 0, 1e6), optionalAttr(intAttr("window", 0, math.MaxInt32)),
			optionalAttr(intAttr("ahead", 0, math.MaxInt32)), optionalAttr(intAttr("chunk", 0, math.MaxInt32)), optionalAttr(floatAttr("softcap", 0, 1e6)),
			intAttr("reach", 1, relative.MaxReach), optionalAttr(intAttr("both", 0, 1))}, itemAttrs),
		Where: []string{"layer < layers", "kv_heads divides heads"},
		Check: func(b *Bound) error { return firstError(checkItemCounters(b), checkBuckets(b)) },
	},
	{
		Name: textAttention,
		Doc: "cuda.attention of tokens that see all that function encode kept of their sequence's text, wherever they are in it: " +
			"source_length positions of each sequence, in the pages that source_start and source_pages name",
		Roles: []Role{arg("q", "f32 bf16", "T heads*dim"), cache("cache", cudaCaches, false),
			input("items", ""), input("source_start", ""), input("source_pages", ""), input("source_length", "B"),
			result("y", "f32 bf16 f16 f32m", "T heads*dim"), scratch("partials", "f32", "lines 16")},
		Attrs: slices.Concat(headAttrs, []AttrRow{floatAttr("scale", 0, 1e6), optionalAttr(floatAttr("softcap", 0, 1e6))}, itemAttrs),
		Where: []string{"layer < layers", "kv_heads divides heads"},
		Check: func(b *Bound) error { return firstError(checkItemCounters(b), checkText(b)) },
	},
}

// checkBuckets wants buckets that distances can be put into.
func checkBuckets(b *Bound) error {
	return relative.Buckets{Count: int(b.Size("buckets")), Reach: int(b.Launch.Int("reach", 0)), Both: b.Launch.Int("both", 0) != 0}.Check()
}

// checkText wants a cache of texts, and a function whose steps name their pages.
func checkText(b *Bound) error {
	if c := &b.scope.program.Caches[b.Kernel.Operand(b.Launch, "cache").Index]; c.Kind != Cross {
		return fmt.Errorf("cache %s of kind %q; texts are in one of kind %q", c.Name, c.Kind, Cross)
	}
	if b.scope.program.Func != StepFunc {
		return errors.New("texts are known to function " + StepFunc + " alone")
	}
	return nil
}
