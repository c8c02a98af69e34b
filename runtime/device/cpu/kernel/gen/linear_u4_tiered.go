package main

// tieredVariant is levels of e2m1 with a scale of e4m3 for each 16 k: a group is half a block of others, and always whole. What is left of the scales, one for each
// output, comes behind the product.
var tieredVariant = u4Variant{name: "u4f", levels: true, tiered: true}

// tieredSteps is the steps of a group.
const tieredSteps = 2

// groupSteps is what the block of a kernel has.
func (k *u4Kernel) groupSteps() int {
	if k.tiered {
		return tieredSteps
	}
	return blockSteps
}

// tieredGroup writes what is done for a group; the flags tell whether it was the last one.
func (k *u4Kernel) tieredGroup(block func()) {
	block()
	k.op("ADDQ", imm(tieredSteps*stepBytes), panel)
	k.op("ADDQ", imm(tieredSteps*8*k.digits), x)
	k.endGroup()
	k.op("ADDQ", imm(entry), entries)
	k.op("DECQ", steps)
}

// partScales loads scales of e4m3, each a 256th of what it is: the bits of an f16, but for the sign, which they have none of.
func (k *u4Kernel) partScales(at, scale string) {
	k.op("VPMOVZXBW", at, lower(scale))
	k.op("VPSLLW", imm(7), lower(scale), lower(scale))
	k.op("VCVTPH2PS", lower(scale), scale)
}
