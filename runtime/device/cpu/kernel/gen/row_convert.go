package main

// quantizeVector turns v into int32 codes round(v*inverse), NaN into -127.
func (k *rowKernel) quantizeVector(v, inverse string) {
	k.op("VMULPS", inverse, v, v)
	k.op(k.bcst("VMAXPS"), constant("lowest"), v, v)
	k.op("VCVTPS2DQ", v, v)
}

// storeBytes stores the lanes of v, int32 in the range of int8, as bytes; the upper part of v is lost.
func (k *rowKernel) storeBytes(v, at, temp string) {
	if k.wide() {
		if k.masked {
			k.op("VPMOVDB", v, "K1", at)
		} else {
			k.op("VPMOVDB", v, at)
		}
		return
	}
	k.op("VEXTRACTI128", imm(1), v, lower(temp))
	k.op("VPACKSSDW", lower(temp), lower(v), lower(v))
	k.op("VPACKSSWB", lower(v), lower(v), lower(v))
	if !k.masked {
		k.op("VMOVQ", lower(v), at)
		return
	}
	k.op("VMOVQ", lower(v), work)
	k.shiftOut(8, "MOVB")
}

// shiftOut stores count pieces of work to the output row, one after the other.
func (k *rowKernel) shiftOut(bits int, move string) {
	again := k.newLabel("piece")
	k.op("MOVQ", count, "BX")
	k.place(again)
	k.op(move, work, mem(0, out))
	k.op("SHRQ", imm(bits), work)
	k.op("ADDQ", imm(bits/8), out)
	k.op("DECQ", "BX")
	k.op("JNE", again)
}

// quantize stores codes and adds them up.
func quantize(k *rowKernel) {
	k.arguments("dst", out, "x", in, "n", count)
	k.broadcast("inverse", k.reg(1))
	k.op("VPXOR", "X2", "X2", "X2")
	k.walk([]pointer{{out, 1}, {in, 4}}, 1, func() {
		k.load(in, k.reg(0))
		k.quantizeVector(k.reg(0), k.reg(1))
		if k.masked {
			k.clearTail(k.reg(0))
		}
		k.op("VPADDD", k.reg(0), k.reg(2), k.reg(2))
		k.storeBytes(k.reg(0), mem(0, out), k.reg(3))
	})
	k.fold("VPADDD", k.reg(2), k.reg(3))
	k.op("VMOVD", xmm(k.reg(2)), work)
	k.op("MOVL", work, k.param("sum"))
}

// clearTail zeroes the lanes beyond the row.
func (k *rowKernel) clearTail(v string) {
	if k.wide() {
		k.op("VMOVDQA32.Z", v, "K1", v)
		return
	}
	k.op("VPAND", k.tail(), v, v)
}

// quantizeGroups quantizes whole groups, multiples of 32 elements, each with the scale of its own largest magnitude.
func quantizeGroups(k *rowKernel) {
	const groups, entryPointer, group = "R9", "R10", "R11"
	most, v, temp, inverse, sum := k.reg(0), k.reg(1), k.reg(2), k.reg(3), k.reg(4)
	k.arguments("dst", out, "entry", entryPointer, "x", in, "groups", groups, "group", group)
	again := k.newLabel("group")
	k.place(again)
	k.op("VXORPS", most, most, most)
	k.eachOf(group, func() {
		k.op("VMOVUPS", indexed(0, in, work, 4), v)
		k.op(k.bcst("VANDPS"), constant("absBits"), v, v)
		k.op("VPMAXUD", v, most, most)
	})
	k.fold("VPMAXUD", most, temp)
	k.note("scale = most/127 and inverse = 127/most; both 0 where most is below leastMax")
	const notLess = 5
	k.op("VCMPSS", imm(notLess), constant("leastMax"), "X0", "X5")
	k.op("VMOVSS", constant("steps127"), "X6")
	k.op("VDIVSS", "X0", "X6", "X7")
	k.op("VANDPS", "X5", "X7", "X7")
	k.op("VBROADCASTSS", "X7", inverse)
	k.op("VDIVSS", "X6", "X0", "X0")
	k.op("VANDPS", "X5", "X0", "X0")
	k.op("VMOVSS", "X0", mem(entryScale, entryPointer))
	k.op("VPXOR", xmm(sum), xmm(sum), xmm(sum))
	k.eachOf(group, func() {
		k.op("VMOVUPS", indexed(0, in, work, 4), v)
		k.quantizeVector(v, inverse)
		k.op("VPADDD", v, sum, sum)
		k.storeBytes(v, indexed(0, out, work, 1), temp)
	})
	k.fold("VPADDD", sum, temp)
	k.op("VMOVD", xmm(sum), work)
	k.op("NEGL", work)
	k.op("MOVL", work, mem(entryNegSum, entryPointer))
	k.op("SHLL", imm(3), work)
	k.op("MOVL", work, mem(entryBias, entryPointer))
	k.op("MOVL", imm(0), mem(entryNegSum+4, entryPointer))
	k.op("LEAQ", indexed(0, in, group, 4), in)
	k.op("ADDQ", group, out)
	k.op("ADDQ", imm(entry), entryPointer)
	k.op("DECQ", groups)
	k.op("JNE", again)
}

// eachOf writes body for each vector of n elements, n a multiple of the lanes; work counts the elements before the vector.
func (k *rowKernel) eachOf(n string, body func()) {
	again := k.newLabel("each")
	k.op("XORL", work, work)
	k.place(again)
	body()
	k.op("ADDQ", imm(k.lanes()), work)
	k.op("CMPQ", work, n)
	k.op("JLT", again)
}

// toBF16 rounds to nearest, ties to even.
func toBF16(k *rowKernel) {
	k.arguments("dst", out, "x", in, "n", count)
	k.walk([]pointer{{out, 2}, {in, 4}}, 1, func() {
		k.load(in, k.reg(0))
		k.roundWords(0, 1)
		k.storeWords(k.reg(0), mem(0, out), k.reg(1))
	})
}

// roundWords turns the f32 in register v into their bf16 bits: by VCVTNEPS2BF16 as words in the lower half of v, else as int32.
// Registers from temp on are overwritten, two of them.
func (k *rowKernel) roundWords(v, temp int) {
	if k.bf16 {
		k.roundBF16(v, v)
		return
	}
	x, up, t := k.reg(v), k.reg(temp), k.reg(temp+1)
	const unordered = 3
	k.op("VPSRLD", imm(16), x, up)
	k.op(k.bcst(k.and()), constant("oneBit"), up, t)
	k.op(k.bcst("VPADDD"), constant("halfUlp"), t, t)
	k.op("VPADDD", x, t, t)
	k.op("VPSRLD", imm(16), t, t) // rounded, unless x is NaN
	if k.wide() {
		k.op("VCMPPS", imm(unordered), x, x, "K2")
		k.op(k.bcst("VPORD"), constant("quietBit"), up, "K2", t)
		k.op("VMOVDQA64", t, x)
		return
	}
	k.op("VPOR", constant("quietBit"), up, up)
	k.op("VCMPPS", imm(unordered), x, x, x)
	k.op("VBLENDVPS", x, up, t, x)
}

// storeWords stores what roundWords left in v.
func (k *rowKernel) storeWords(v, at, temp string) {
	switch {
	case k.bf16 && k.masked:
		k.op("VMOVDQU16", lower(v), "K1", at)
	case k.bf16:
		k.op("VMOVDQU", lower(v), at)
	case k.wide() && k.masked:
		k.op("VPMOVDW", v, "K1", at)
	case k.wide():
		k.op("VPMOVDW", v, at)
	default:
		k.op("VEXTRACTI128", imm(1), v, lower(temp))
		k.op("VPACKUSDW", lower(temp), lower(v), lower(v))
		if !k.masked {
			k.op("VMOVDQU", lower(v), at)
			return
		}
		k.storeWordTail(lower(v))
	}
}

// storeWordTail stores the first count words of v, one by one.
func (k *rowKernel) storeWordTail(v string) {
	again := k.newLabel("word")
	k.op("MOVQ", count, "BX")
	k.place(again)
	k.op("VMOVD", v, work)
	k.op("MOVW", work, mem(0, out))
	k.op("VPSRLDQ", imm(2), v, v)
	k.op("ADDQ", imm(2), out)
	k.op("DECQ", "BX")
	k.op("JNE", again)
}

// fromBF16 widens.
func fromBF16(k *rowKernel) {
	k.arguments("dst", out, "x", in, "n", count)
	k.walk([]pointer{{out, 4}, {in, 2}}, 1, func() {
		if k.masked && !k.wide() {
			again := k.newLabel("word")
			k.place(again)
			k.op("MOVWLZX", mem(0, in), work)
			k.op("SHLL", imm(16), work)
			k.op("MOVL", work, mem(0, out))
			k.op("ADDQ", imm(2), in)
			k.op("ADDQ", imm(4), out)
			k.op("DECQ", count)
			k.op("JNE", again)
			return
		}
		if k.masked {
			k.op("VPMOVZXWD.Z", mem(0, in), "K1", k.reg(0))
		} else {
			k.op("VPMOVZXWD", mem(0, in), k.reg(0))
		}
		k.op("VPSLLD", imm(16), k.reg(0), k.reg(0))
		k.store(k.reg(0), out)
	})
}
