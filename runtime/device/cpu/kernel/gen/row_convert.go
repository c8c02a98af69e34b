package main

// Vector registers of quantizers.
const (
	qMost  = iota // also the scale, then free
	qValue        // what is to be quantized
	qCode         // codes of the first digit
	qRest         // codes of the second digit
	qScale        // in all lanes, as the next two
	qInverse
	qRestInverse
	qSum // by digit
	qSum2
	qTemp
)

// quantizer writes quantizers for rows of one digit or two.
type quantizer struct {
	rowKernel
	digits int
}

// quantizers wraps a writer.
func quantizers(digits int, write func(k *quantizer)) func(k *rowKernel) {
	return func(k *rowKernel) { write(&quantizer{*k, digits}) }
}

// code replaces v by int32 codes round(v*inverse), within 127 of zero, NaN by -127.
func (k *quantizer) code(v, inverse string) {
	k.op("VMULPS", inverse, v, v)
	k.op(k.bcst("VMAXPS"), constant("lowest"), v, v)
	k.op(k.bcst("VMINPS"), constant("steps127"), v, v)
	k.op("VCVTPS2DQ", v, v)
}

// codes turns the vector in qValue into the codes of its digits, adds them up, and stores them at the operand; the last vector's lanes
// beyond the row count as zero.
func (k *quantizer) codes(at string) {
	value, first := k.reg(qValue), k.reg(qCode)
	k.op(k.move(), value, first)
	k.code(first, k.reg(qInverse))
	if k.digits == 2 {
		k.op("VCVTDQ2PS", first, k.reg(qRest))
		k.op("VMULPS", k.reg(qScale), k.reg(qRest), k.reg(qRest))
		k.op("VSUBPS", k.reg(qRest), value, k.reg(qRest))
		k.code(k.reg(qRest), k.reg(qRestInverse))
	}
	for d := range k.digits {
		if k.masked {
			k.clearTail(k.reg(qCode + d))
		}
		k.op("VPADDD", k.reg(qCode+d), k.reg(qSum+d), k.reg(qSum+d))
		k.narrowBytes(k.reg(qCode+d), k.reg(qTemp))
	}
	k.storeCodes(at)
}

// narrowBytes packs the int32 lanes of v, in the range of int8, into bytes at its lower end.
func (k *quantizer) narrowBytes(v, temp string) {
	if k.wide() {
		k.op("VPMOVDB", v, xmm(v))
		return
	}
	k.op("VEXTRACTI128", imm(1), v, xmm(temp))
	k.op("VPACKSSDW", xmm(temp), xmm(v), xmm(v))
	k.op("VPACKSSWB", xmm(v), xmm(v), xmm(v))
}

// storeCodes stores a vector's bytes: of two digits, four of the first, four of the second, and so on.
func (k *quantizer) storeCodes(at string) {
	first, second := xmm(k.reg(qCode)), xmm(k.reg(qRest))
	low, high := xmm(k.reg(qTemp)), xmm(k.reg(qValue))
	switch {
	case k.digits == 1 && k.wide():
		k.op("VMOVDQU", first, at)
	case k.digits == 1:
		k.op("VMOVQ", first, at)
	case k.wide():
		k.op("VPUNPCKLDQ", second, first, low)
		k.op("VPUNPCKHDQ", second, first, high)
		both := lower(k.reg(qTemp))
		k.op("VINSERTI128", imm(1), high, both, both)
		k.op("VMOVDQU", both, at)
	default:
		k.op("VPUNPCKLDQ", second, first, low)
		k.op("VMOVDQU", low, at)
	}
}

// clearTail zeroes the lanes beyond the row.
func (k *rowKernel) clearTail(v string) {
	if k.wide() {
		k.op("VMOVDQA32.Z", v, "K1", v)
		return
	}
	k.op("VPAND", k.tail(), v, v)
}

// prepareRest computes RestSteps/scale from the scale in lane 0 of qScale, 0 for 0, for all lanes of qRestInverse.
func (k *quantizer) prepareRest() {
	const notEqual = 4
	scale, rest, temp := xmm(k.reg(qScale)), xmm(k.reg(qRestInverse)), xmm(k.reg(qTemp))
	k.op("VXORPS", temp, temp, temp)
	k.op("VCMPSS", imm(notEqual), temp, scale, temp)
	k.op("VMOVSS", constant("restSteps"), rest)
	k.op("VDIVSS", scale, rest, rest)
	k.op("VANDPS", temp, rest, rest)
	k.op("VBROADCASTSS", rest, k.reg(qRestInverse))
	k.op("VBROADCASTSS", scale, k.reg(qScale))
}

func (k *quantizer) clearSums() {
	for d := range k.digits {
		k.op("VPXOR", xmm(k.reg(qSum+d)), xmm(k.reg(qSum+d)), xmm(k.reg(qSum+d)))
	}
}

// sum leaves the sum of digit d in register work.
func (k *quantizer) sum(d int) {
	k.fold("VPADDD", k.reg(qSum+d), k.reg(qTemp))
	k.op("VMOVD", xmm(k.reg(qSum+d)), work)
}

// quantize quantizes a row with a given scale.
func quantize(k *quantizer) {
	k.arguments("dst", out, "x", in, "n", count)
	k.broadcast("inverse", k.reg(qInverse))
	if k.digits == 2 {
		k.op("VMOVSS", k.param("scale"), xmm(k.reg(qScale)))
		k.prepareRest()
	}
	k.clearSums()
	k.walk([]pointer{{out, k.digits}, {in, 4}}, 1, func() {
		k.load(in, k.reg(qValue))
		k.codes(mem(0, out))
	})
	for d, name := range []string{"first", "second"} {
		if d < k.digits {
			k.sum(d)
		} else {
			k.op("XORL", work, work)
		}
		k.op("MOVL", work, k.param(name))
	}
}

// quantizeGroups quantizes whole groups, multiples of 32 elements, each with the scale of its own largest magnitude.
func quantizeGroups(k *quantizer) {
	const groups, entryPointer, group = "R9", "R10", "R11"
	k.arguments("dst", out, "entry", entryPointer, "x", in, "groups", groups, "group", group)
	again := k.newLabel("group")
	k.place(again)
	most, value := k.reg(qMost), k.reg(qValue)
	k.op("VXORPS", most, most, most)
	k.eachOf(group, func() {
		k.op("VMOVUPS", indexed(0, in, work, 4), value)
		k.op(k.bcst("VANDPS"), constant("absBits"), value, value)
		k.op("VPMAXUD", value, most, most)
	})
	k.fold("VPMAXUD", most, k.reg(qTemp))
	k.chooseScale(entryPointer)
	k.clearSums()
	k.eachOf(group, func() {
		k.op("VMOVUPS", indexed(0, in, work, 4), value)
		k.codes(indexed(0, out, work, k.digits))
	})
	for d := range 2 {
		if d < k.digits {
			k.sum(d)
			k.op("NEGL", work)
		} else {
			k.op("XORL", work, work)
		}
		k.op("MOVW", work, mem(entryNegSums+2*d, entryPointer))
		k.op("SHLL", imm(3), work)
		k.op("MOVL", work, mem(entryBias+4*d, entryPointer))
	}
	k.op("LEAQ", indexed(0, in, group, 4), in)
	k.op("LEAQ", indexed(0, out, group, k.digits), out)
	k.op("ADDQ", imm(entry), entryPointer)
	k.op("DECQ", groups)
	k.op("JNE", again)
}

// chooseScale computes scale = most/127 and inverse = 127/most from the magnitude in lane 0 of qMost, both 0 where it is below leastMax, and
// stores the scale.
func (k *quantizer) chooseScale(entryPointer string) {
	const notLess = 5
	most, scale, inverse, temp := xmm(k.reg(qMost)), xmm(k.reg(qScale)), xmm(k.reg(qInverse)), xmm(k.reg(qTemp))
	k.op("VCMPSS", imm(notLess), constant("leastMax"), most, temp)
	k.op("VMOVSS", constant("steps127"), scale)
	k.op("VDIVSS", most, scale, inverse)
	k.op("VANDPS", temp, inverse, inverse)
	k.op("VBROADCASTSS", inverse, k.reg(qInverse))
	k.op("VDIVSS", scale, most, scale)
	k.op("VANDPS", temp, scale, scale)
	k.op("VMOVSS", scale, mem(entryScale, entryPointer))
	if k.digits == 2 {
		k.prepareRest()
	}
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

// toWords rounds to integers, ties to even, and saturates; NaN becomes the least.
func toWords(k *rowKernel) {
	k.arguments("dst", out, "x", in, "n", count)
	k.broadcast("inverse", k.reg(1))
	if !k.wide() {
		k.wordPairs()
	}
	k.walk([]pointer{{out, 2}, {in, 4}}, 1, func() {
		v := k.reg(0)
		k.load(in, v)
		k.op("VMULPS", k.reg(1), v, v)
		k.op("VCVTPS2DQ", v, v)
		k.packWords(v, k.reg(2))
		k.storeElements(lower(v), 2)
	})
}

// wordPairs is toWords of 32 numbers at a time, two vectors of which are packed together.
func (k *rowKernel) wordPairs() {
	again, few := k.newLabel("pairs"), k.newLabel("rest")
	const numbers = 32
	k.op("SUBQ", imm(numbers), count)
	k.op("JLT", few)
	k.place(again)
	for i := 0; i < numbers/k.lanes(); i += 2 {
		first, second := k.reg(2+i), k.reg(3+i)
		k.op("VMULPS", mem(i*k.bytes, in), k.reg(1), first)
		k.op("VMULPS", mem((i+1)*k.bytes, in), k.reg(1), second)
		k.op("VCVTPS2DQ", first, first)
		k.op("VCVTPS2DQ", second, second)
		k.op("VPACKSSDW", second, first, first)
		k.op("VPERMQ", imm(0xd8), first, first) // packing works in halves of vectors
		k.op("VMOVDQU", first, mem(i/2*k.bytes, out))
	}
	k.op("ADDQ", imm(4*numbers), in)
	k.op("ADDQ", imm(2*numbers), out)
	k.op("SUBQ", imm(numbers), count)
	k.op("JGE", again)
	k.place(few)
	k.op("ADDQ", imm(numbers), count)
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
