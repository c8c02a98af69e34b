package main

// Without VNNI and VDPBF16PS the instructions that multiply want words or f32, and making these of codes and of bf16 takes as long as multiplying. Where
// there are rows to share them, panels and rows are widened first, and these kernels read nothing else: a step is 32 pairs of words, or 32 f32.

// wideRows is the most rows of such a kernel: with two vectors of outputs, 12 sums.
const (
	wideRows    = 6
	wideVectors = 2
	wideUnroll  = 2
)

// wordBlock is how many steps of words two digits may be summed over: 512 products of 32,639 * 128 at most, which 32 bits hold.
const wordBlock = 256

// Registers of kernels of words. Those of row strides beyond three are free.
const (
	blockLeft = "R12" // steps left in the block
	doubles   = "R13" // sums of the blocks before, [rows][2][8] f64
)

// newWide starts a kernel of wideVectors vectors in a pass.
func newWide(name string, t isa, rows int) *linearKernel {
	return newLinear(name, t, rows, 1, wideVectors)
}

// wideLoop writes step for steps steps of xStep bytes of a row, counted down in register left, several in a round, each of which asks for a line of what will be
// wanted next.
func (k *linearKernel) wideLoop(left string, xStep int, step func(i int)) {
	again, tail, done := k.newLabel("steps"), k.newLabel("tail"), k.newLabel("done")
	k.op("SUBQ", imm(wideUnroll), left)
	k.op("JLT", tail)
	k.place(again)
	k.op("PREFETCHT1", mem(0, ahead))
	for i := range wideUnroll {
		step(i)
		k.op("ADDQ", k.arg("aheadStep"), ahead)
	}
	k.op("ADDQ", imm(wideUnroll*stepBytes), panel)
	k.op("ADDQ", imm(wideUnroll*xStep), x)
	k.op("SUBQ", imm(wideUnroll), left)
	k.op("JGE", again)
	k.place(tail)
	k.op("CMPQ", left, imm(-wideUnroll))
	k.op("JEQ", done)
	step(0)
	k.op("ADDQ", imm(stepBytes), panel)
	k.op("ADDQ", imm(xStep), x)
	k.place(done)
}

// widePairs multiplies pairs of bf16, which become f32 as they are read, with rows of f32 in which the odd number of a pair comes first: what widening a vector
// takes is shared by the rows, and finds room beside the multiplications.
func widePairs(t isa, rows, _ int) *function {
	k := newWide("pairs", t, rows)
	k.op("VMOVUPS", constant("oddHalves"), k.temp(rows*k.nv, 3))
	k.passLoop(func() {
		k.segmentLoop(func() {
			k.zero(rows * k.nv)
			k.wideLoop(steps, 8, k.stepPairs)
		})
	})
	k.end()
	return k.function
}

// stepPairs adds the odd products of a step, then the even ones.
func (k *linearKernel) stepPairs(i int) {
	used := k.used()
	v, odd := k.temp(used, 2), k.temp(used, 3)
	multiply := func(at int) {
		for r := range k.rows {
			k.op("VBROADCASTSS", rowAt(8*i+at, x, r), v)
			for c := range k.nv {
				k.op("VFMADD231PS", k.temp(used, c), v, k.acc(r, c))
			}
		}
	}
	for c := range k.nv {
		k.op("VANDPS", mem(i*stepBytes+c*k.bytes, panel), odd, k.temp(used, c))
	}
	multiply(0)
	for c := range k.nv {
		k.op("VMOVDQU", mem(i*stepBytes+c*k.bytes, panel), k.temp(used, c))
		k.op("VPSLLD", imm(16), k.temp(used, c), k.temp(used, c))
	}
	multiply(4)
}

// wideWords multiplies pairs of words, both digits of an input in one, in steps of the second. Sums are taken over blocks, which add up in f64 without a
// rounding.
func wideWords(t isa, rows, _ int) *function {
	k := newWide("words", t, rows)
	k.passLoop(func() {
		k.segmentLoop(func() {
			k.wordBlocks()
			k.scaleWords()
			k.op("ADDQ", imm(entry), entries)
		})
	})
	k.end()
	return k.function
}

// eachResult visits the results of a pass.
func (k *linearKernel) eachResult(visit func(r, c int)) {
	for r := range k.rows {
		for c := range k.nv {
			visit(r, c)
		}
	}
}

// stepWords adds the products of a step.
func (k *linearKernel) stepWords(i int) {
	used := k.used()
	v, product := k.temp(used, k.nv), k.temp(used, k.nv+1)
	for c := range k.nv {
		k.op("VMOVDQU", mem(i*stepBytes+c*k.bytes, panel), k.temp(used, c))
	}
	for r := range k.rows {
		k.op("VBROADCASTSS", rowAt(4*i, x, r), v)
		for c := range k.nv {
			k.op("VPMADDWD", k.temp(used, c), v, product)
			k.op("VPADDD", product, k.acc(r, c), k.acc(r, c))
		}
	}
}

// wordBlocks leaves the f32 nearest to the sums of a segment. A block that is the only one is converted as it is.
func (k *linearKernel) wordBlocks() {
	block, whole, last, only, done := k.newLabel("block"), k.newLabel("wholeBlock"), k.newLabel("lastBlock"), k.newLabel("only"), k.newLabel("joined")
	k.op("MOVQ", k.arg("doubles"), doubles)
	k.op("MOVQ", imm(0), k.arg("blocks"))
	k.place(block)
	k.zero(k.used())
	k.op("MOVQ", imm(wordBlock), blockLeft)
	k.op("SUBQ", imm(wordBlock), steps)
	k.op("JGE", whole)
	k.op("ADDQ", steps, blockLeft)
	k.place(whole)
	k.wideLoop(blockLeft, 4, k.stepWords)
	k.op("CMPQ", steps, imm(0))
	k.op("JLE", last)
	k.foldBlock(false)
	k.op("MOVQ", imm(1), k.arg("blocks"))
	k.op("JMP", block)
	k.place(last)
	k.op("CMPQ", k.arg("blocks"), imm(0))
	k.op("JEQ", only)
	k.foldBlock(true)
	k.op("JMP", done)
	k.place(only)
	k.eachResult(func(r, c int) { k.op("VCVTDQ2PS", k.acc(r, c), k.acc(r, c)) })
	k.place(done)
}

// foldBlock adds a block's sums to those before it, and of the last one makes results.
func (k *linearKernel) foldBlock(last bool) {
	used := k.used()
	low, high := k.temp(used, 0), k.temp(used, 1)
	first, store := k.newLabel("firstBlock"), k.newLabel("storeBlock")
	half := func(r, c, half int) string { return mem(64*(r*k.nv+c)+32*half, doubles) }
	widen := func(r, c int) {
		k.op("VEXTRACTI128", imm(1), k.acc(r, c), xmm(high))
		k.op("VCVTDQ2PD", xmm(k.acc(r, c)), low)
		k.op("VCVTDQ2PD", xmm(high), high)
	}
	add := func(r, c int) {
		k.op("VADDPD", half(r, c, 0), low, low)
		k.op("VADDPD", half(r, c, 1), high, high)
	}
	keep := func(r, c int) {
		k.op("VMOVUPD", low, half(r, c, 0))
		k.op("VMOVUPD", high, half(r, c, 1))
	}
	if last {
		k.eachResult(func(r, c int) {
			widen(r, c)
			add(r, c)
			k.roundDoubles(low, high, k.acc(r, c))
		})
		return
	}
	k.op("CMPQ", k.arg("blocks"), imm(0))
	k.op("JEQ", first)
	k.eachResult(func(r, c int) { widen(r, c); add(r, c); keep(r, c) })
	k.op("JMP", store)
	k.place(first)
	k.eachResult(func(r, c int) { widen(r, c); keep(r, c) })
	k.place(store)
}

// roundDoubles makes f32 of eight f64 in two vectors, which it overwrites.
func (k *linearKernel) roundDoubles(low, high, dst string) {
	k.op("VCVTPD2PSY", low, xmm(low))
	k.op("VCVTPD2PSY", high, xmm(high))
	k.op("VINSERTF128", imm(1), xmm(high), low, dst)
}

// scaleWords multiplies the sums with their scales.
func (k *linearKernel) scaleWords() {
	used := k.used()
	factor, w, step := k.temp(used, 0), k.temp(used, 1), k.temp(used, 2)
	k.op("MOVQ", k.arg("scale"), scratch)
	k.op("ADDQ", column, scratch)
	k.op("VMOVUPS", constant("restStep"), step)
	for c := range k.nv {
		k.op("VMOVUPS", mem(c*k.bytes, scratch), w)
		for r := range k.rows {
			k.rowOp("VMULPS", rowAt(entryScale, entries, r), w, factor, factor)
			k.op("VMULPS", step, k.acc(r, c), k.acc(r, c))
			k.op("VMULPS", factor, k.acc(r, c), k.acc(r, c))
		}
	}
}
