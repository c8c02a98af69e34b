package main

// softmax turns the scores [lo, hi) of a row into weights, in two walks over the vectors that overlap the range: scale and find
// the largest; then exponentials and their sum. Lanes outside the range become -Inf and so weigh nothing.
func softmax(kind dotKind, t isa) *function {
	f := newFunction("softmax"+upper(kind.name)+t.name, "turns scores [lo, hi) into weights.",
		"p unsafe.Pointer, s *float32, lo, hi int, scale float32", "most, sum float32")
	k := &softmaxKernel{rowKernel{function: f, isa: t}, kind.name == "bf16"}
	k.arguments("p", out, "s", in, "lo", "R8", "hi", "R9")
	k.op("MOVQ", "R8", first)
	k.op("ANDQ", imm(-positions), first)
	k.scaleScores()
	k.weigh()
	k.end()
	return f
}

type softmaxKernel struct {
	rowKernel
	rounded bool // weights are stored as bf16
}

// first is the first position of a vector that overlaps the range; place counts from there.
const (
	first = "R10"
	place = "AX"
)

// Vector registers of softmax.
const (
	vMost = iota
	vSum  // AVX2: and the next
	vSum2
	vScore
	vIndex
	vAbove // lo-1
	vBelow // hi
	vScale
	vStep
	vTemp // and five more
)

// eachVector writes body for the vectors from first to hi, in steps of 16 positions.
func (k *softmaxKernel) eachVector(body func(at string, half int)) {
	again := k.newLabel("vector")
	k.op("MOVQ", first, place)
	k.place(again)
	for half := range positions / k.lanes() {
		body(indexed(half*k.bytes, in, place, 4), half)
	}
	k.op("ADDQ", imm(positions), place)
	k.op("CMPQ", place, "R9")
	k.op("JLT", again)
}

// scaleScores replaces the scores by their multiples, -Inf outside the range, and leaves the largest in all lanes of vMost.
func (k *softmaxKernel) scaleScores() {
	most, v, index := k.reg(vMost), k.reg(vScore), k.reg(vIndex)
	k.broadcast("scale", k.reg(vScale))
	k.op("VMOVUPS", constant("minusInf"), most)
	k.op("LEAQ", mem(-1, "R8"), work)
	k.fill(work, k.reg(vAbove))
	k.fill("R9", k.reg(vBelow))
	k.fill(first, index)
	k.op("VPADDD", constant("laneIndex"), index, index)
	k.op("MOVL", imm(k.lanes()), work)
	k.fill(work, k.reg(vStep))
	k.eachVector(func(at string, _ int) {
		k.op("VMULPS", at, k.reg(vScale), v)
		k.keepInside(v, index)
		k.op("VPADDD", k.reg(vStep), index, index)
		k.op("VMOVUPS", v, at)
		k.op("VMAXPS", v, most, most)
	})
	k.fold("VMAXPS", most, k.reg(vTemp))
	k.op("VMOVSS", xmm(most), k.param("most"))
	k.op("VBROADCASTSS", xmm(most), most)
}

// fill broadcasts a general register.
func (k *softmaxKernel) fill(from, dst string) {
	k.op("VMOVD", from, xmm(dst))
	k.op("VPBROADCASTD", xmm(dst), dst)
}

// keepInside replaces the lanes of v whose index is outside the range by -Inf.
func (k *softmaxKernel) keepInside(v, index string) {
	t := k.reg(vTemp)
	if k.wide() {
		k.op("VPCMPGTD", k.reg(vAbove), index, "K1")
		k.op("VPCMPGTD", index, k.reg(vBelow), "K1", "K1")
		k.op("VMOVUPS", constant("minusInf"), t)
		k.op("VMOVAPS", v, "K1", t)
		k.op("VMOVAPS", t, v)
		return
	}
	u := k.reg(vTemp + 1)
	k.op("VPCMPGTD", k.reg(vAbove), index, t)
	k.op("VPCMPGTD", index, k.reg(vBelow), u)
	k.op("VPAND", t, u, t)
	k.op("VMOVUPS", constant("minusInf"), u)
	k.op("VBLENDVPS", t, v, u, v)
}

// weigh stores the exponentials and adds up what it stored, in 16 lanes.
func (k *softmaxKernel) weigh() {
	v := k.reg(vScore)
	for half := range positions / k.lanes() {
		k.op("VXORPS", k.reg(vSum+half), k.reg(vSum+half), k.reg(vSum+half))
	}
	k.eachVector(func(at string, half int) {
		k.op("VMOVUPS", at, v)
		k.op("VSUBPS", k.reg(vMost), v, v)
		k.exp(v, vTemp)
		if k.rounded {
			k.storeRounded(vScore, indexed(half*k.bytes/2, out, place, 2))
		} else {
			k.op("VMOVUPS", v, indexed(half*k.bytes, out, place, 4))
		}
		k.op("VADDPS", v, k.reg(vSum+half), k.reg(vSum+half))
	})
	if !k.wide() {
		k.op("VADDPS", k.reg(vSum2), k.reg(vSum), k.reg(vSum))
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
