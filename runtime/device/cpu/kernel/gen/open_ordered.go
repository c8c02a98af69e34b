package main

// openOrdered writes the numbers of codes, of 4 bits or of whole bytes, whose columns say which group's scales and zero points are theirs.
func openOrdered(t isa, bytes bool) *function {
	const index, scales, zeros, group, half, most = "R8", "R9", "R10", "CX", "R11", "R12"
	name, doc, mask, kPerStep := "openOrdered", "writes the numbers of codes less the zero point, times the scale, of each column's group.", "lowBits", 8
	if bytes {
		name, doc, mask, kPerStep = "openOrderedBytes", "writes the numbers of bytes less the zero point, times the scale, of each column's group.", "lowBytes", 4
	}
	k := &openKernel{newFunction(name+t.name, doc, "a *openArgs", ""), t, openVariant{}}
	k.op("MOVQ", k.param("a"), "AX")
	for _, from := range [][2]string{{"panel", openGroup}, {"dst", openTo}, {"steps", openSteps}, {"index", index}, {"scales", scales}, {"zeros", zeros}, {"most", most}} {
		k.op("MOVQ", field("openArgs", from[0], "AX"), from[1])
	}
	k.op("VPBROADCASTD", constant(mask), k.low())
	step := k.newLabel("step")
	k.place(step)
	k.op("PREFETCHT0", mem(openAhead, openGroup))
	k.op("PREFETCHT0", mem(openAhead+64, openGroup))
	for i := range kPerStep {
		k.op("MOVWLZX", mem(2*i, index), group)
		k.op("CMPQ", group, most)
		k.op("CMOVQHI", most, group)
		k.op("SHLQ", imm(5), group)
		k.op("LEAQ", indexed(0, scales, group, 2), half)
		for c := range lanes / k.lanes() {
			v, zero, scale := k.free(c%2*3), k.free(c%2*3+1), k.free(c%2*3+2)
			k.op(k.load(), mem(c*k.bytes, openGroup), k.codes())
			k.op("VPMOVZXBD", indexed(c*k.lanes(), zeros, group, 1), zero)
			k.op("VCVTPH2PS", mem(c*k.bytes/2, half), scale)
			k.op(k.and(), k.low(), k.shifted(i, v), v)
			k.op("VPSUBD", zero, v, v)
			k.op("VCVTDQ2PS", v, v)
			k.op("VMULPS", scale, v, v)
			k.op("VMOVUPS", v, mem(i*stepBytes+c*k.bytes, openTo))
		}
	}
	k.op("ADDQ", imm(stepBytes), openGroup)
	k.op("ADDQ", imm(kPerStep*stepBytes), openTo)
	k.op("ADDQ", imm(2*kPerStep), index)
	k.op("DECQ", openSteps)
	k.op("JNE", step)
	k.end()
	return k.function
}
