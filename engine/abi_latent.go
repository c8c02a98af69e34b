package engine

import (
	"fmt"
	"slices"
)

// cpuLatent are attention over latent rows on the device "cpu", and the products around it. A stack has a matrix for each head.
var cpuLatent = []Kernel{
	{
		Name:  "cpu.linear_heads",
		Doc:   "each head's columns of x times the matrix of the head, once they are rounded to input, which is the form that the matrix is multiplied with",
		Roles: []Role{matrix("w", packed, "stack n k"), arg("x", "f32", "m stack*k"), result("y", "f32", "m stack*n")},
		Attrs: []AttrRow{textAttr("input", "f32", "bf16", "q16t", "q16g", "q8t", "q8g"), optionalAttr(intAttr("group", 0, maxDim))},
		Check: checkHeadInput,
	},
	{
		Name:  "cpu.latent_write",
		Doc:   "writes the rows of the step's tokens, c and behind it k, to their slots",
		Roles: []Role{arg("c", "f32", "T rank"), arg("k", "f32", "T rope"), input("slots", "T"), latentCache("cache", cpuCaches, true)},
		Attrs: []AttrRow{intAttr("layer", 0, maxDim)},
		Where: []string{"layer < layers", "dim = rank+rope"},
	},
	{
		Name: "cpu.attention_latent",
		Doc: "attention of each sequence's tokens over the rows of its latent cache: scores are of q with the first rank channels of a row and of q_rope with the others, " +
			"and what is weighted are the first rank",
		Roles: []Role{arg("q", "f32", "T heads*rank"), arg("q_rope", "f32", "T turned"), input("positions", "T"), latentCache("cache", cpuCaches, false),
			result("y", "f32", "T heads*rank")},
		Attrs: []AttrRow{intAttr("layer", 0, maxDim), intAttr("heads", 1, maxDim), floatAttr("scale", 0, 1e6)},
		Where: []string{"layer < layers"},
		Check: checkTurningQueries,
	},
}

// cudaLatent are the same on devices that execute the plan's PTX, and the rotation of rows that are no keys of a head.
var cudaLatent = []Kernel{
	{
		Name:  "cuda.linear_heads",
		Doc:   "each head's columns of x times the matrix of the head, once they are rounded to input",
		Roles: []Role{matrix("w", fragments, "stack n k"), arg("x", "f32", "m stack*k"), result("y", "f32", "m stack*n")},
		Attrs: []AttrRow{textAttr("input", "bf16", "f16")},
		Check: checkHeadFragments,
	},
	ropeKernel("cuda"),
	{
		Name:  "cuda.latent_write",
		Doc:   "writes the rows of the step's tokens, c and behind it k, to their slots",
		Roles: []Role{arg("c", "f32", "T rank"), arg("k", "f32", "T rope"), input("slots", "T"), latentCache("cache", cudaCaches, true)},
		Attrs: []AttrRow{intAttr("layer", 0, maxDim)},
		Where: []string{"layer < layers", "dim = rank+rope"},
	},
	{
		Name: "cuda.attention_latent",
		Doc: "attention of each sequence's tokens over the rows of its latent cache: scores are of q with the first rank channels of a row and of q_rope with the others, " +
			"and what is weighted are the first rank; items, planes and partials are those of cuda.attention",
		Roles: []Role{arg("q", "f32", "T heads*rank"), arg("q_rope", "f32", "T turned"), input("positions", "T"), latentCache("cache", cudaCaches, false),
			input("items", ""), input("page_start", ""), input("pages", ""), result("y", "f32", "T heads*rank"), scratch("partials", "f32", "lines 16")},
		Attrs: slices.Concat([]AttrRow{intAttr("layer", 0, maxDim), intAttr("heads", 1, maxDim), intAttr("rank", 1, maxDim), floatAttr("scale", 0, 1e6)}, itemAttrs),
		Where: []string{"layer < layers"},
		Check: func(b *Bound) error { return firstError(checkItemCounters(b), checkTurningQueries(b)) },
	},
}

// checkTurningQueries wants as many turning channels of each head's query as rows of the cache have.
func checkTurningQueries(b *Bound) error {
	if width := b.Buffer("q_rope").Cols; width != b.Size("heads")*(b.Size("dim")-b.Size("rank")) {
		return fmt.Errorf("q_rope of %d columns for %d heads and rows of %d with rank %d", width, b.Size("heads"), b.Size("dim"), b.Size("rank"))
	}
	return nil
}

// checkHeadFragments wants inputs rounded to what the layout is multiplied with where that is numbers.
func checkHeadFragments(b *Bound) error {
	w, input := b.Weight("w"), b.Launch.Text("input", "")
	switch {
	case b.Size("stack") > maxHeads:
		return fmt.Errorf("%d heads, at most %d", b.Size("stack"), maxHeads)
	case w.Layout == "frag.s8" || (w.Layout == "frag.f16") != (input == "f16"):
		return fmt.Errorf("weight %s of %s takes no input of %s", w.Name, w.Layout, input)
	}
	return nil
}

// checkHeadInput wants the form that the weight's layout is multiplied with, or that form's first digit.
func checkHeadInput(b *Bound) error {
	w := b.Weight("w")
	linear, err := w.linear()
	if err != nil {
		return err
	}
	if experts := b.Size("stack"); experts > maxHeads {
		return fmt.Errorf("%d heads, at most %d", experts, maxHeads)
	}
	want, have := linear.Input(), b.Launch.Text("input", "")
	if have == want.OneDigit().Name {
		want = want.OneDigit()
	}
	if group := b.Launch.Int("group", 0); have != want.Name || want.GroupScales && group != int64(want.Group) {
		return fmt.Errorf("weight %s of %s takes an input of %s with groups of %d, not %s with groups of %d", w.Name, w.Layout, want.Name, want.Group, have, group)
	}
	return nil
}

// maxHeads is beyond the heads of any model.
const maxHeads = 1 << 12
