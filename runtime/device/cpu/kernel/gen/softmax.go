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
