package main

// softmax turns the scores [lo, hi) of a row into weights: the lanes around the range that share its vectors become -Inf; one walk
// finds the largest score, a second one stores exponentials and adds them up.
func softmax(kind dotKind, t isa) *function {
	f := newFunction("softmax"+upper(kind.name)+t.name, "turns scores [lo, hi) into weights.",
		"p unsafe.Pointer, s *float32, lo, hi int, scale float32", "most, sum float32")
	k := &softmaxKernel{rowKernel{function: f, isa: t}, kind.name == "bf16"}
	k.arguments("p", out, "s", in, "lo", "R8", "hi", end)
	k.op("MOVQ", "R8", first)
	k.op("ANDQ", imm(-positions), first)
	k.dropOutside()
	k.largest()
	k.weigh()
	k.end()
	return f
}

type softmaxKernel struct {
	rowKernel
	rounded bool // weights are stored as bf16
}

// weigh turns the scores [lo, hi) of a row into weights times numbers that belong to positions, in place, and finds what words are made of these with.
func weigh(t isa) *function {
	f := newFunction("weighWords"+t.name, "turns scores [lo, hi) into weights times by.",
		"s, by *float32, lo, hi int, scale float32", "most, sum, largest, total float32")
	k := &softmaxKernel{rowKernel{function: f, isa: t}, false}
	k.arguments("s", in, "by", out, "lo", "R8", "hi", end)
	k.op("MOVQ", "R8", first)
	k.op("ANDQ", imm(-positions), first)
	k.dropOutside()
	k.largest()
	k.weighBy()
	k.end()
	return f
}

// weighBy stores 2^((score*scale - most)*log2e) * by, adds up both factors' products and the weights alone, in 16 lanes each, and finds the largest.
// Vectors of the same positions go through it side by side: one alone waits for itself.
func (k *softmaxKernel) weighBy() {
	most, scale, top, temp := k.reg(vMost), k.reg(vScale), k.reg(vTemp), k.reg(vTemp+1)
	total := func(half int) string { return k.reg(vTemp + 3 + half) }
	k.op("VMULPS", k.broadcastOf("log2e", temp), scale, scale)
	for half := range positions / k.lanes() {
		k.op("VXORPS", k.reg(vSum+half), k.reg(vSum+half), k.reg(vSum+half))
		k.op("VXORPS", total(half), total(half), total(half))
	}
	k.op("VXORPS", top, top, top)
	// -most in units of log2, as the largest score has it, of which nothing is left then
	k.op("VMULPS", k.broadcastOf("log2e", temp), most, most)
	vectors := k.exponents()
	each := func(body func(half int, v exponent)) {
		for half, v := range vectors {
			body(half, v)
		}
	}
	k.eachPanel(func(at func(half int) string) {
		each(func(half int, e exponent) { k.op("VMOVUPS", at(half), e.v) })
		each(func(_ int, e exponent) { k.op("VFMADD213PS", most, scale, e.v) })
		k.exp2(vectors)
		each(func(half int, e exponent) { k.op("VADDPS", e.v, k.reg(vSum+half), k.reg(vSum+half)) })
		each(func(half int, e exponent) { k.op("VMULPS", indexed(half*k.bytes, out, place, 4), e.v, e.v) }) // may be anything where the weight is zero
		each(func(_ int, e exponent) { k.keep(e) })
		each(func(half int, e exponent) { k.op("VADDPS", e.v, total(half), total(half)) })
		each(func(_ int, e exponent) { k.op("VMAXPS", e.v, top, top) })
		each(func(half int, e exponent) { k.op("VMOVUPS", e.v, at(half)) })
	})
	if !k.wide() {
		k.op("VADDPS", k.reg(vSum+1), k.reg(vSum), k.reg(vSum))
		k.op("VADDPS", total(1), total(0), total(0))
	}
	k.fold("VADDPS", k.reg(vSum), k.reg(vTemp+2))
	k.op("VMOVSS", xmm(k.reg(vSum)), k.param("sum"))
	k.fold("VADDPS", total(0), k.reg(vTemp+2))
	k.op("VMOVSS", xmm(total(0)), k.param("total"))
	k.fold("VMAXPS", top, k.reg(vTemp+2))
	k.op("VMOVSS", xmm(top), k.param("largest"))
}

// broadcastOf loads a constant.
func (k *rowKernel) broadcastOf(name, dst string) string {
	k.op("VBROADCASTSS", constant(name), dst)
	return dst
}

// exponent is the registers of a vector that becomes 2^v: n and p are overwritten, rest is what whole powers leave, and kept tells lanes that are not zero,
// which AVX-512 has K2 for.
type exponent struct{ v, n, p, rest, kept string }

// exponents are the vectors of 16 positions.
func (k *softmaxKernel) exponents() []exponent {
	first := exponent{v: k.reg(vScore), n: k.reg(vTemp + 1), p: k.reg(vTemp + 2), rest: k.reg(12)}
	if k.wide() {
		return []exponent{first}
	}
	first.rest, first.kept = first.v, k.reg(13)
	second := exponent{v: k.reg(10), n: k.reg(11), p: k.reg(12), rest: k.reg(10), kept: k.reg(14)}
	return []exponent{first, second}
}

// exp2 replaces each v by 2^v, or zero below exp2Low.
func (k *rowKernel) exp2(vectors []exponent) {
	const notLess = 5
	each := func(body func(e exponent)) {
		for _, e := range vectors {
			body(e)
		}
	}
	each(func(e exponent) {
		if k.wide() {
			k.op(k.bcst("VCMPPS"), imm(notLess), constant("exp2Low"), e.v, "K2")
		} else {
			k.op("VCMPPS", imm(notLess), constant("exp2Low"), e.v, e.kept)
		}
	})
	each(func(e exponent) { k.op("VCVTPS2DQ", e.v, e.n) })
	each(func(e exponent) { k.op("VCVTDQ2PS", e.n, e.p) })
	each(func(e exponent) { k.op("VSUBPS", e.p, e.v, e.rest) })
	each(func(e exponent) { k.op("VBROADCASTSS", constant("exp2P4"), e.p) })
	for _, c := range []string{"exp2P3", "exp2P2", "exp2P1", "exp2P0"} {
		each(func(e exponent) { k.op(k.bcst("VFMADD213PS"), constant(c), e.rest, e.p) })
	}
	each(func(e exponent) { k.op("VPSLLD", imm(23), e.n, e.n) })
	each(func(e exponent) { k.op("VPADDD", e.n, e.p, e.v) })
	each(k.keep)
}

// keep zeroes what exp2 did not keep.
func (k *rowKernel) keep(e exponent) {
	if k.wide() {
		k.op("VMOVAPS.Z", e.v, "K2", e.v)
		return
	}
	k.op("VANDPS", e.kept, e.v, e.v)
}

// General registers of softmax: first position of a vector that overlaps the range, end of the range, and the position at hand.
const (
	first = "R10"
	end   = "R9"
	place = "AX"
)

// Vector registers of softmax.
const (
	vMost = iota // -most
	vScale
	vScore
	vSum  // AVX2: and the next
	vTemp = vSum + 2
)

// eachVector writes body for the vectors from first to end, in steps of 16 positions.
func (k *softmaxKernel) eachVector(body func(at string, half int)) {
	k.eachPanel(func(at func(half int) string) {
		for half := range positions / k.lanes() {
			body(at(half), half)
		}
	})
}

// eachPanel writes body for every 16 positions from first to end.
func (k *softmaxKernel) eachPanel(body func(at func(half int) string)) {
	again := k.newLabel("vector")
	k.op("MOVQ", first, place)
	k.place(again)
	body(func(half int) string { return indexed(half*k.bytes, in, place, 4) })
	k.op("ADDQ", imm(positions), place)
	k.op("CMPQ", place, end)
	k.op("JLT", again)
}

// dropOutside stores -Inf from first to lo, and from hi to the end of its vector.
func (k *softmaxKernel) dropOutside() {
	above, below := k.newLabel("above"), k.newLabel("below")
	start, inside := k.newLabel("start"), k.newLabel("inside")
	k.op("MOVL", hex(0xff800000), "BX")
	k.op("MOVQ", first, place)
	k.op("JMP", start)
	k.place(above)
	k.op("MOVL", "BX", indexed(0, in, place, 4))
	k.op("INCQ", place)
	k.place(start)
	k.op("CMPQ", place, "R8")
	k.op("JLT", above)
	k.op("MOVQ", end, place)
	k.place(below)
	k.op("TESTQ", imm(positions-1), place)
	k.op("JEQ", inside)
	k.op("MOVL", "BX", indexed(0, in, place, 4))
	k.op("INCQ", place)
	k.op("JMP", below)
	k.place(inside)
}

// largest leaves -most in all lanes of vMost, most being the largest score times scale.
func (k *softmaxKernel) largest() {
	most := k.reg(vMost)
	k.op("VBROADCASTSS", constant("minusInf"), most)
	k.eachVector(func(at string, _ int) { k.op("VMAXPS", at, most, most) })
	k.fold("VMAXPS", most, k.reg(vTemp))
	k.broadcast("scale", k.reg(vScale))
	k.op("VMULSS", xmm(k.reg(vScale)), xmm(most), xmm(most))
	k.op("VMOVSS", xmm(most), k.param("most"))
	k.op("VBROADCASTSS", xmm(most), most)
	k.op(k.bcst("VXORPS"), constant("signBit"), most, most)
}

// weigh stores exp(score*scale - most) and adds up what it stored, in 16 lanes.
func (k *softmaxKernel) weigh() {
	v := k.reg(vScore)
	for half := range positions / k.lanes() {
		k.op("VXORPS", k.reg(vSum+half), k.reg(vSum+half), k.reg(vSum+half))
	}
	k.eachVector(func(at string, half int) {
		k.op("VMOVUPS", at, v)
		k.op("VFMADD213PS", k.reg(vMost), k.reg(vScale), v)
		k.expBelowHigh(v, vTemp)
		if k.rounded {
			k.storeRounded(vScore, indexed(half*k.bytes/2, out, place, 2))
		} else {
			k.op("VMOVUPS", v, indexed(half*k.bytes, out, place, 4))
		}
		k.op("VADDPS", v, k.reg(vSum+half), k.reg(vSum+half))
	})
	if !k.wide() {
		k.op("VADDPS", k.reg(vSum+1), k.reg(vSum), k.reg(vSum))
	}
	k.fold("VADDPS", k.reg(vSum), k.reg(vTemp))
	k.op("VMOVSS", xmm(k.reg(vSum)), k.param("sum"))
}

// storeRounded stores v as bf16 and leaves the rounded numbers in it.
func (k *softmaxKernel) storeRounded(v int, at string) {
	k.roundWords(v, vTemp)
	if k.bf16 {
		k.storeWords(k.reg(v), at, "")
		k.op("VPMOVZXWD", lower(k.reg(v)), k.reg(v))
	} else {
		k.op(k.move(), k.reg(v), k.reg(vTemp+2))
		k.storeWords(k.reg(vTemp+2), at, k.reg(vTemp))
	}
	k.op("VPSLLD", imm(16), k.reg(v), k.reg(v))
}
