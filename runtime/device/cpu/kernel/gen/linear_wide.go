package main

// Without VNNI and VDPBF16PS the instructions that multiply want words or f32, and making these of codes and of bf16 takes as long as multiplying. Where
// there are rows to share them, panels and rows are widened first, and these kernels read nothing else: a step is 32 pairs of words, or 32 f32.

// wideRows is the most rows of such a kernel: with two vectors of outputs, 12 sums.
const (
	wideRows    = 6
	wideVectors = 2
	wideUnroll  = 2
)

// Registers of kernels of words. Those of row strides beyond three are free.
const doubles = "R13" // sums of the pieces before, of row 0 in this pass; rows are doublesRow apart

// doublesRow is the bytes of a row of sums in f64.
const doublesRow = lanes * 8

// newWide starts a kernel of wideVectors vectors in a pass.
func newWide(name string, t isa, rows int) *linearKernel {
	return newLinear(name, t, rows, 1, wideVectors)
}

// wideLoop writes step for steps steps of xStep bytes of a row, several in a round. Each step, or each apart-th, asks for a line of what will be wanted next.
func (k *linearKernel) wideLoop(xStep, apart int, step func(i int)) {
	again, tail, done := k.newLabel("steps"), k.newLabel("tail"), k.newLabel("done")
	k.op("SUBQ", imm(wideUnroll), steps)
	k.op("JLT", tail)
	k.place(again)
	for i := range wideUnroll {
		if i%apart == 0 {
			k.op("PREFETCHT1", mem(0, ahead))
		}
		step(i)
		k.op("ADDQ", k.arg("aheadStep"), ahead)
	}
	k.op("ADDQ", imm(wideUnroll*stepBytes), panel)
	k.op("ADDQ", imm(wideUnroll*xStep), x)
	k.op("SUBQ", imm(wideUnroll), steps)
	k.op("JGE", again)
	k.place(tail)
	k.op("CMPQ", steps, imm(-wideUnroll))
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
			k.wideLoop(8, 1, k.stepPairs)
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

// wideWords multiplies pairs of words, both digits of an input in one, in steps of the second. A call has whole segments, or a piece of one: sums of pieces add up
// in f64 without a rounding.
func wideWords(t isa, rows, _ int) *function {
	k := newWide("words", t, rows)
	kept := k.newLabel("kept")
	k.passLoop(func() {
		k.segmentLoop(func() {
			k.zero(k.used())
			k.wideLoop(4, 2, k.stepWords)
			k.endPiece(kept)
			k.scaleWords()
			k.op("ADDQ", imm(entry), entries)
		})
		k.place(kept)
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

// endPiece leaves the f32 nearest to the sums of a segment, or goes on at kept with those of a piece added up, if more pieces follow. A piece that is the only one is
// converted as it is.
func (k *linearKernel) endPiece(kept string) {
	more, only, first, done := k.newLabel("more"), k.newLabel("only"), k.newLabel("first"), k.newLabel("joined")
	low, high := k.temp(k.used(), 0), k.temp(k.used(), 1)
	half := func(r, c, half int) string { return mem(r*doublesRow+64*c+32*half, doubles) }
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
	k.op("MOVQ", k.arg("doubles"), doubles)
	k.op("LEAQ", indexed(0, doubles, column, 2), doubles)
	k.op("CMPQ", k.arg("more"), imm(0))
	k.op("JNE", more)
	k.op("CMPQ", k.arg("begun"), imm(0))
	k.op("JEQ", only)
	k.eachResult(func(r, c int) { widen(r, c); add(r, c); k.roundDoubles(low, high, k.acc(r, c)) })
	k.op("JMP", done)
	k.place(more)
	k.op("CMPQ", k.arg("begun"), imm(0))
	k.op("JEQ", first)
	k.eachResult(func(r, c int) { widen(r, c); add(r, c); keep(r, c) })
	k.op("JMP", kept)
	k.place(first)
	k.eachResult(func(r, c int) { widen(r, c); keep(r, c) })
	k.op("JMP", kept)
	k.place(only)
	k.eachResult(func(r, c int) { k.op("VCVTDQ2PS", k.acc(r, c), k.acc(r, c)) })
	k.place(done)
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
