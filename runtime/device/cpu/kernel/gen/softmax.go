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
func (k *softmaxKernel) weighBy() {
	v, most, scale := k.reg(vScore), k.reg(vMost), k.reg(vScale)
	top, n, p := k.reg(vTemp), k.reg(vTemp+1), k.reg(vTemp+2)
	total := func(half int) string { return k.reg(vTemp + 3 + half) }
	k.op("VMULPS", k.broadcastOf("log2e", n), scale, scale)
	for half := range positions / k.lanes() {
		k.op("VXORPS", k.reg(vSum+half), k.reg(vSum+half), k.reg(vSum+half))
		k.op("VXORPS", total(half), total(half), total(half))
	}
	k.op("VXORPS", top, top, top)
	// -most in units of log2, as the largest score has it, of which nothing is left then
	k.op("VMULPS", k.broadcastOf("log2e", n), most, most)
	k.eachVector(func(at string, half int) {
		k.op("VMOVUPS", at, v)
		k.op("VFMADD213PS", most, scale, v)
		k.exp2(v, n, p)
		k.op("VADDPS", v, k.reg(vSum+half), k.reg(vSum+half))
		k.op("VMULPS", indexed(half*k.bytes, out, place, 4), v, v) // may be anything where the weight is zero
		k.keep(v)
		k.op("VADDPS", v, total(half), total(half))
		k.op("VMAXPS", v, top, top)
		k.op("VMOVUPS", v, at)
	})
	if !k.wide() {
		k.op("VADDPS", k.reg(vSum+1), k.reg(vSum), k.reg(vSum))
		k.op("VADDPS", total(1), total(0), total(0))
	}
	k.fold("VADDPS", k.reg(vSum), p)
	k.op("VMOVSS", xmm(k.reg(vSum)), k.param("sum"))
	k.fold("VADDPS", total(0), p)
	k.op("VMOVSS", xmm(total(0)), k.param("total"))
	k.fold("VMAXPS", top, p)
	k.op("VMOVSS", xmm(top), k.param("largest"))
}

// broadcastOf loads a constant.
func (k *rowKernel) broadcastOf(name, dst string) string {
	k.op("VBROADCASTSS", constant(name), dst)
	return dst
}

// exp2 replaces v by 2^v, or zero below exp2Low. What is not zero is told by n, of AVX-512 K2, for weightOf.
func (k *rowKernel) exp2(v, n, p string) {
	const notLess = 5
	if k.wide() {
		k.op(k.bcst("VCMPPS"), imm(notLess), constant("exp2Low"), v, "K2")
	}
	k.op("VCVTPS2DQ", v, n)
	k.op("VCVTDQ2PS", n, p)
	k.op("VSUBPS", p, v, k.reg(exp2Rest))
	if !k.wide() {
		k.op("VCMPPS", imm(notLess), constant("exp2Low"), v, k.reg(exp2Kept))
	}
	k.polynomial(k.reg(exp2Rest), p, "exp2P4", "exp2P3", "exp2P2", "exp2P1", "exp2P0")
	k.op("VPSLLD", imm(23), n, n)
	k.op("VPADDD", n, p, v)
	k.keep(v)
}

// keep zeroes what exp2 did not keep.
func (k *rowKernel) keep(v string) {
	if k.wide() {
		k.op("VMOVAPS.Z", v, "K2", v)
		return
	}
	k.op("VANDPS", k.reg(exp2Kept), v, v)
}

// Registers of exp2.
const (
	exp2Rest = 12
	exp2Kept = 13
)

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
	again := k.newLabel("vector")
	k.op("MOVQ", first, place)
	k.place(again)
	for half := range positions / k.lanes() {
		body(indexed(half*k.bytes, in, place, 4), half)
	}
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
