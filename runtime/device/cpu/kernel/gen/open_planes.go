package main

// Without a VPERMPS that takes 16 numbers, levels are looked up byte by byte (VPSHUFB): plane p has byte p of each of the 16.

const planes = 4

func (k *openKernel) plane(p int) string { return k.reg(12 + p) }

// loadPlanes turns the table at AX into planes: of four numbers in a vector by bytes, then of four vectors by words of four.
func (k *openKernel) loadPlanes() {
	for i := range 4 {
		k.op("VBROADCASTI128", mem(16*i, "AX"), k.free(i))
		k.op("VPSHUFB", constant("turnI8"), k.free(i), k.free(i))
	}
	for half, unpack := range []string{"VPUNPCKLDQ", "VPUNPCKHDQ"} {
		first, second := k.codes(), k.fifths()
		k.op(unpack, k.free(1), k.free(0), first)
		k.op(unpack, k.free(3), k.free(2), second)
		k.op("VPUNPCKLQDQ", second, first, k.plane(2*half))
		k.op("VPUNPCKHQDQ", second, first, k.plane(2*half+1))
	}
	k.op("VPBROADCASTD", constant("lowNibbles"), k.low())
}

// Registers of split groups: the second scale, and how many k are left before it begins.
func (k *openKernel) second() string { return k.free(4) }
func (k *openKernel) left() string   { return k.free(5) }

// planeLevels looks up the numbers of a step: four k of each half of its bytes, which are turned first, so that those of one k lie side by side.
func (k *openKernel) planeLevels() {
	k.op("VPSHUFB", constant("turnI8"), k.codes(), k.codes())
	for half := range 2 {
		index := k.reg(5)
		from := k.codes()
		if half == 1 {
			k.op("VPSRLD", imm(4), k.codes(), index)
			from = index
		}
		k.op("VPAND", k.low(), from, index)
		for p := range planes {
			k.op("VPSHUFB", index, k.plane(p), k.free(p))
		}
		lower, upper := k.fifths(), k.minimum()
		k.op("VPUNPCKLBW", k.free(1), k.free(0), lower)
		k.op("VPUNPCKHBW", k.free(1), k.free(0), k.free(0))
		k.op("VPUNPCKLBW", k.free(3), k.free(2), upper)
		k.op("VPUNPCKHBW", k.free(3), k.free(2), k.free(2))
		for i, unpack := range []string{"VPUNPCKLWD", "VPUNPCKHWD", "VPUNPCKLWD", "VPUNPCKHWD"} {
			v, scale := k.free(4+i%2), k.scale()
			if k.split { // bytes that have been put together leave their registers
				v, scale = k.free(1), k.free(3)
				k.op("VPADDD", constant("minusOnes"), k.left(), k.left())
				k.op("VBLENDVPS", k.left(), k.second(), k.scale(), scale)
			}
			if i < 2 {
				k.op(unpack, upper, lower, v)
			} else {
				k.op(unpack, k.free(2), k.free(0), v)
			}
			k.op("VMULPS", scale, v, v)
			k.op("VMOVUPS", v, mem((4*half+i)*stepBytes, openDst))
		}
	}
}
