package main

// storeKey rounds a key to bf16 and stores it as column of a panel: pairs of channels lie 64 bytes apart.
func storeKey(t isa) *function {
	k := &rowKernel{function: newFunction("storeKeyBF16"+t.name, "stores a key as bf16; an odd last channel is paired with zero.",
		"dst unsafe.Pointer, x *float32, n int", ""), isa: t}
	stored := k.newLabel("stored")
	k.arguments("dst", out, "x", in, "n", count)
	k.walk([]pointer{{in, 4}}, 1, func() {
		k.load(in, k.reg(0))
		k.roundWords(0, 1)
		words := xmm(k.reg(0))
		if !k.bf16 {
			k.narrow(k.reg(0), k.reg(1))
		}
		if k.masked {
			k.op("MOVQ", count, work)
		}
		for pair := range k.lanes() / 2 {
			if pair == 4 {
				k.op("VEXTRACTI128", imm(1), lower(k.reg(0)), words)
			}
			k.op("VPEXTRD", imm(pair%4), words, mem(0, out))
			k.op("ADDQ", imm(4*positions), out)
			if k.masked {
				k.op("SUBQ", imm(2), work)
				k.op("JLE", stored)
			}
		}
	})
	k.place(stored)
	k.end()
	return k.function
}

// narrow packs the int32 lanes of v, in the range of uint16, into words at its lower end.
func (k *rowKernel) narrow(v, temp string) {
	if k.wide() {
		k.op("VPMOVDW", v, lower(v))
		return
	}
	k.op("VEXTRACTI128", imm(1), v, lower(temp))
	k.op("VPACKUSDW", lower(temp), lower(v), lower(v))
}

// storeValue rounds a value to bf16 and stores it beside that of the other position of its pair: in the lower halves of the lanes, the
// upper ones becoming zero, or in the upper halves.
func storeValue(t isa, odd bool) *function {
	name, doc := "storeEvenBF16", "stores a value as bf16 in the lower halves of lanes and zeroes the upper ones."
	if odd {
		name, doc = "storeOddBF16", "stores a value as bf16 in the upper halves of lanes."
	}
	k := &rowKernel{function: newFunction(name+t.name, doc, "dst unsafe.Pointer, x *float32, n int", ""), isa: t}
	v, old := k.reg(0), k.reg(1)
	k.arguments("dst", out, "x", in, "n", count)
	k.walk(f32s(in, out), 1, func() {
		k.load(in, v)
		k.roundWords(0, 1)
		if k.bf16 {
			k.op("VPMOVZXWD", lower(v), v)
		}
		if odd {
			k.load(out, old)
			k.op("VPSLLD", imm(16), v, v)
			k.op("VPSLLD", imm(16), old, old)
			k.op("VPSRLD", imm(16), old, old)
			k.op("VORPS", old, v, v)
		}
		k.store(v, out)
	})
	k.end()
	return k.function
}

// convert turns numbers into unpaired elements: f16, or codes of numbers times inverse.
func convert(kind dotKind, t isa) *function {
	k := &rowKernel{function: newFunction("convert"+upper(kind.name)+t.name, "stores x as "+kind.name+".",
		"dst unsafe.Pointer, x *float32, n int, inverse float32", ""), isa: t}
	v := k.reg(0)
	k.arguments("dst", out, "x", in, "n", count)
	if kind.codes {
		k.broadcast("inverse", k.reg(1))
	}
	size := kind.lane
	if kind.name == "i16" {
		size = 2
	}
	k.walk([]pointer{{in, 4}, {out, size}}, 1, func() {
		k.load(in, v)
		if kind.codes {
			k.op("VMULPS", k.reg(1), v, v)
		}
		switch kind.name {
		case "e4m3":
			k.codeE4M3()
		case "i8":
			k.codeI8()
		case "i16":
			k.op(k.bcst("VMAXPS"), constant("leastI16"), v, v)
			k.op(k.bcst("VMINPS"), constant("mostI16"), v, v)
			k.op("VCVTPS2DQ", v, v)
			k.packWords(v, k.reg(2))
			k.storeElements(lower(v), 2)
			return
		default:
			k.op("VCVTPS2PH", imm(0), v, lower(v))
			k.storeElements(lower(v), kind.lane)
			return
		}
		if kind.name == "i8" {
			k.op(k.bcst("VPADDD"), constant("zeroI8"), v, v)
		}
		if k.wide() {
			k.op("VPMOVDB", v, xmm(v))
		} else if kind.name == "i8" {
			k.op("VEXTRACTI128", imm(1), v, "X2")
			k.op("VPACKUSDW", "X2", xmm(v), xmm(v))
			k.op("VPACKUSWB", xmm(v), xmm(v), xmm(v))
		} else {
			k.op("VEXTRACTI128", imm(1), v, "X2")
			k.op("VPACKSSDW", "X2", xmm(v), xmm(v))
			k.op("VPACKSSWB", xmm(v), xmm(v), xmm(v))
		}
		k.storeElements(xmm(v), kind.lane)
	})
	k.end()
	return k.function
}

// packWords packs the int32 lanes of v into words at its lower end, saturated.
func (k *rowKernel) packWords(v, temp string) {
	if k.wide() {
		k.op("VPMOVSDW", v, lower(v))
		return
	}
	k.op("VEXTRACTI128", imm(1), v, lower(temp))
	k.op("VPACKSSDW", lower(temp), lower(v), lower(v))
}

// storeElements stores the vector at hand, elements of size bytes at the lower end of a register.
func (k *rowKernel) storeElements(v string, size int) {
	switch {
	case !k.masked && k.lanes()*size == 8:
		k.op("VMOVQ", v, mem(0, out))
	case !k.masked:
		k.op("VMOVDQU", v, mem(0, out))
	case k.wide() && size == 2:
		k.op("VMOVDQU16", v, "K1", mem(0, out))
	case k.wide():
		k.op("VMOVDQU8", v, "K1", mem(0, out))
	default:
		again := k.newLabel("element")
		k.op("MOVQ", count, "BX")
		k.place(again)
		k.op("VMOVD", v, work)
		k.op(map[int]string{1: "MOVB", 2: "MOVW"}[size], work, mem(0, out))
		k.op("VPSRLDQ", imm(size), v, v)
		k.op("ADDQ", imm(size), out)
		k.op("DECQ", "BX")
		k.op("JNE", again)
	}
}

// codeI8 turns register 0 into int32 codes, NaN into 0. Register 2 is overwritten.
func (k *rowKernel) codeI8() {
	const ordered = 7
	v := k.reg(0)
	if k.wide() {
		k.op("VCMPPS", imm(ordered), v, v, "K2")
		k.op("VMOVAPS.Z", v, "K2", v)
	} else {
		k.op("VCMPPS", imm(ordered), v, v, k.reg(2))
		k.op("VANDPS", k.reg(2), v, v)
	}
	k.op(k.bcst("VMAXPS"), constant("leastI8"), v, v)
	k.op(k.bcst("VMINPS"), constant("steps127"), v, v)
	k.op("VCVTPS2DQ", v, v)
}

// codeE4M3 turns register 0 into codes of e4m3 as signed bytes in int32 lanes, by the steps of dtype.F32ToE4M3. Registers from 2 to 5 are overwritten.
func (k *rowKernel) codeE4M3() {
	v, sign, small, t, nan := k.reg(0), k.reg(2), k.reg(3), k.reg(4), k.reg(5)
	k.op("VPSRAD", imm(31), v, sign)
	k.op("VPSLLD", imm(7), sign, sign) // the sign of a byte, and all bits above it
	k.op(k.bcst(k.and()), constant("absBits"), v, v)
	k.above(v, "infinity", nan, "K2")
	k.op(k.bcst("VPMINSD"), constant("e4m3Most"), v, v)
	k.op(k.bcst("VADDPS"), constant("e4m3Magic"), v, small)
	k.op(k.bcst("VPSUBD"), constant("e4m3Magic"), small, small)
	k.op("VPSRLD", imm(20), v, t)
	k.op(k.bcst(k.and()), constant("oneBit"), t, t)
	k.op("VPADDD", v, t, t)
	k.op(k.bcst("VPADDD"), constant("e4m3Round"), t, t)
	k.op("VPSRLD", imm(20), t, t)
	if k.wide() {
		k.above(v, "e4m3Small", "", "K3")
		k.op("VMOVDQA32", t, "K3", small)
		k.op("VPORD", sign, small, v)
		k.op("VPBROADCASTD", constant("e4m3NaN"), t)
		k.op("VMOVDQA32", t, "K2", v)
		return
	}
	k.above(v, "e4m3Small", v, "")
	k.op("VBLENDVPS", v, t, small, v)
	k.op("VPOR", sign, v, v)
	k.op("VMOVDQU", constant("e4m3NaN"), t)
	k.op("VBLENDVPS", nan, t, v, v)
}

// above tells in lanes of mask, or in the mask register of AVX-512, where v as an integer is above a constant.
func (k *rowKernel) above(v, name, lanes, mask string) {
	if !k.wide() {
		k.op("VPCMPGTD", constant(name), v, lanes)
		return
	}
	const notLessOrEqual = 6
	k.op("VPCMPD.BCST", imm(notLessOrEqual), constant(name), v, mask)
}

// widenScales makes f32 of scales.
func widenScales(kind dotKind, t isa) *function {
	k := &rowKernel{function: newFunction("widenScales"+upper(kind.name)+t.name, "makes f32 of f16, n a multiple of 16.",
		"dst *float32, scales unsafe.Pointer, n int", ""), isa: t}
	again := k.newLabel("scales")
	k.arguments("dst", out, "scales", in, "n", count)
	k.place(again)
	k.op("VCVTPH2PS", mem(0, in), k.reg(0))
	k.op("VMOVUPS", k.reg(0), mem(0, out))
	k.op("ADDQ", imm(2*k.lanes()), in)
	k.op("ADDQ", imm(4*k.lanes()), out)
	k.op("SUBQ", imm(k.lanes()), count)
	k.op("JGT", again)
	k.end()
	return k.function
}
