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
	step := k.newLabel("step")
	k.place(step)
	k.op("PREFETCHT0", mem(openAhead, openGroup))
	k.op("PREFETCHT0", mem(openAhead+64, openGroup))
	for i := range 4 {
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
