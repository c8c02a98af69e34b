package main

// openFloat8 writes the numbers of codes of e4m3. As f16 they are too small by a power of two, which scales make up for.
func openFloat8(t isa) *function {
	k := &openKernel{newFunction("openFloat8"+t.name, "writes the numbers of codes of e4m3, times a scale.", "a *openArgs", ""), t, openVariant{}}
	k.op("MOVQ", k.param("a"), "AX")
	for _, from := range [][2]string{{"panel", openGroup}, {"dst", openTo}, {"steps", openSteps}, {"scales", openScales}} {
		k.op("MOVQ", field("openArgs", from[0], "AX"), from[1])
	}
	vectors := lanes / k.lanes()
	for c := range vectors {
		k.op("VMOVUPS", mem(c*k.bytes, openScales), k.reg(c))
		k.op(k.bcst("VMULPS"), constant("e4m3AsF16Scale"), k.reg(c), k.reg(c))
	}
	if !t.wide() {
		k.op("VPXOR", k.reg(float8Zero), k.reg(float8Zero), k.reg(float8Zero))
	}
	step := k.newLabel("step")
	k.place(step)
	k.op("PREFETCHT0", mem(openAhead, openGroup))
	k.op("PREFETCHT0", mem(openAhead+64, openGroup))
	for i := range 4 {
		if !t.wide() {
			k.float8Row(i)
			continue
		}
		for c := range vectors {
			v := vectors + (i*vectors+c)%8
			dotStep{function: k.function, isa: t}.widenE4M3(mem(i*lanes+c*k.lanes(), openGroup), v)
			k.op("VMULPS", k.reg(c), k.reg(v), k.reg(v))
			k.op("VMOVUPS", k.reg(v), mem(i*stepBytes+c*k.bytes, openTo))
		}
	}
	k.op("ADDQ", imm(stepBytes), openGroup)
	k.op("ADDQ", imm(4*stepBytes), openTo)
	k.op("DECQ", openSteps)
	k.op("JNE", step)
	k.end()
	return k.function
}

// float8Zero is the register of zeros, behind those of scales.
const float8Zero = 15

// float8Row writes the numbers of all outputs for k i of a step: codes become the upper bytes of words, of outputs 0 to 7 and 16 to 23 first.
func (k *openKernel) float8Row(i int) {
	const first, free = 4, 6
	k.op("VMOVDQU", mem(i*lanes, openGroup), k.reg(first))
	k.op("VPUNPCKHBW", k.reg(first), k.reg(float8Zero), k.reg(first+1))
	k.op("VPUNPCKLBW", k.reg(first), k.reg(float8Zero), k.reg(first))
	for half := range 2 {
		words, upper := k.reg(first+half), k.reg(free+i%2*4+2*half)
		lower := k.reg(free + i%2*4 + 2*half + 1)
		k.op("VPSRAW", imm(1), words, words)
		k.op("VPAND", constant("e4m3AsF16"), words, words)
		k.op("VEXTRACTI128", imm(1), words, xmm(upper))
		for c, from := range []string{words, upper} {
			to, vector := []string{lower, upper}[c], half+2*c
			k.op("VCVTPH2PS", xmm(from), to)
			k.op("VMULPS", k.reg(vector), to, to)
			k.op("VMOVUPS", to, mem(i*stepBytes+vector*k.bytes, openTo))
		}
	}
}
