package main

// block is the memory that 64 k of a panel of u4n are expanded to, of two halves in turn: they stay in the first-level cache.
const (
	block     = rowCount
	blockFlip = 2 * tileBytes
)

// codes is the expansion of panels of u4n in registers that tile kernels leave alone.
func (k *tileKernel) codes() nestedCodes {
	return nestedCodes{&linearKernel{function: k.function, isa: avx512, rows: 1, nv: 2, digits: 1}}
}

// startNested points to the first group of the panel.
func (k *tileKernel) startNested() {
	k.op("MOVQ", panel, "AX")
	k.op("ADDQ", k.arg("nestedOffset"), "AX")
	k.op("MOVQ", "AX", k.arg("nestedAt"))
}

// nestedLoop sums the tiles of a segment, two groups at a time.
func (k *tileKernel) nestedLoop() {
	c := k.codes()
	again := k.newLabel("tiles")
	c.loadConstants()
	k.op("MOVQ", k.arg("nestedAt"), nested)
	k.op("MOVQ", k.arg("block"), block)
	k.place(again)
	for group := range 2 {
		c.loadGroup("Z0")
		for i := range nestedGroup {
			for half := range 2 {
				v := avx512.reg((2*i + half) % 8)
				c.codes(group*nestedGroup+i, half, v)
				k.op("VMOVDQU32", v, mem((group*nestedGroup+i)*stepBytes+half*tileRow, block))
			}
		}
		k.op("ADDQ", imm(nestedBytes), nested)
	}
	k.addProducts(k.dot, k.rowTiles(),
		func(i int) { k.tileLoad(i*tileBytes, x, tileStride, tileA+i) },
		func(i int) { k.tileLoad(i*tileRow, block, panelStride, tileB+i) })
	for i := 0; i < tileBytes; i += 64 {
		k.op("PREFETCHT0", mem(expandAhead+i, panel))
	}
	k.op("XORQ", imm(blockFlip), block)
	k.op("ADDQ", imm(tileBytes), panel)
	k.op("ADDQ", imm(2*tileBytes), x)
	k.op("DECQ", steps)
	k.op("JNE", again)
	k.op("MOVQ", nested, k.arg("nestedAt"))
}
