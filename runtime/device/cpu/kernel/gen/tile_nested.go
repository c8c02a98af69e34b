package main

// Kernels for panels of u4n are those for u8, but that they expand 64 k of the panel before they multiply them. What was expanded stays in the nearest
// cache, in two places in turn.
const (
	block     = aheadPanel // 64 k of the panel as u8
	blockFlip = 2 * tileBytes
	nestedAt  = counter // of the group at hand
)

// codes is the expansion of panels in registers that tile kernels leave alone.
func (k *tileKernel) codes() nestedCodes {
	return nestedCodes{&linearKernel{function: k.function, isa: avx512, rows: 1, nv: 2, digits: 1}}
}

// startNested points to the group at which panel is: 64 k of a panel are tileBytes, and two groups.
func (k *tileKernel) startNested() {
	k.op("MOVQ", panel, "AX")
	k.op("SUBQ", k.arg("panelAt"), "AX")
	k.op("SHRQ", imm(10), "AX")
	k.op("IMUL3Q", imm(2*nestedBytes), "AX", "AX")
	k.op("ADDQ", k.arg("panelAt"), "AX")
	k.op("ADDQ", k.arg("nestedOffset"), "AX")
	k.op("MOVQ", "AX", k.arg("nestedAt"))
}

// expandBlock expands 64 k of the panel.
func (k *tileKernel) expandBlock() {
	c := k.codes()
	k.op("XORQ", imm(blockFlip), block)
	k.op("MOVQ", k.arg("nestedAt"), nestedAt)
	for group := range 2 {
		c.loadGroup(nestedAt, group*nestedBytes, "Z0")
		for i := range nestedGroup {
			for half := range 2 {
				v := avx512.reg((2*i + half) % 8)
				c.codes(group*nestedGroup+i, half, v)
				k.op("VMOVDQU32", v, mem((group*nestedGroup+i)*stepBytes+half*tileRow, block))
			}
		}
	}
	k.op("ADDQ", imm(2*nestedBytes), nestedAt)
	k.op("MOVQ", nestedAt, k.arg("nestedAt"))
}
