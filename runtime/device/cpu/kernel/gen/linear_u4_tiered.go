package main

// tieredVariant is levels of e2m1 with a scale of e4m3 for each 16 k: groups of half a block. What is left of the scales, one for each output, comes behind the product.
var tieredVariant = u4Variant{name: "u4f", levels: true, tiered: true}

// tieredSteps is the steps of a group.
const tieredSteps = 2

// tieredTable, counted by free, holds the table of levels of AVX2, which reads ones where it needs them.
const tieredTable = freeOnes

// oneWords is the operand that adds up pairs of words.
func (k *u4Kernel) oneWords() string {
	if k.wide() {
		return k.free(freeOnes)
	}
	return constant("oneWords")
}

// vectors is u4Vectors, but that sums of 16 bits become those of 32 where they are.
func (v u4Variant) vectors(t isa, rows, digits int) int {
	if !v.tiered || t.wide() {
		return u4Vectors(t, rows, digits)
	}
	const registers = 12
	nv := 4
	for nv > 1 && rows*nv*(1+digits) > registers {
		nv /= 2
	}
	return nv
}

// tieredLoop writes the loop over a segment's groups, two at a time; of the last two there may be one.
func (k *u4Kernel) tieredLoop() {
	pair, done := k.newLabel("pair"), k.newLabel("pairs")
	k.place(pair)
	for half := range 2 {
		from, to := half*tieredSteps, (half+1)*tieredSteps
		if k.vnni {
			k.startGroup()
			k.addDots(from, to)
		} else {
			k.sumTiered(from, to)
		}
		k.endTiered(half)
		k.op("ADDQ", imm(entry), entries)
		if half == 0 {
			k.op("DECQ", steps)
			k.op("JEQ", done)
		}
	}
	k.prefetchScales()
	k.op("ADDQ", imm(2*(tieredSteps*stepBytes+lanes)), panel)
	k.op("ADDQ", imm(2*tieredSteps*8*k.digits), x)
	k.op("DECQ", steps)
	k.op("JNE", pair)
	k.place(done)
}

// prefetchScales asks for the line of scales behind four steps: a stream that leaves lines out is not read ahead.
func (k *u4Kernel) prefetchScales() {
	switch {
	case k.streams() && k.passes() == 1:
		k.op("PREFETCHT1", mem(k.early+2*tieredSteps*stepBytes, panel))
	case k.streams():
		k.prefetch(0)
	}
}

// sumTiered leaves the sums of a group: four sums of two products of at most 28*127 fit 16 bits.
func (k *u4Kernel) sumTiered(from, to int) {
	low, high, v := k.free(0), k.free(1), k.free(2)
	k.sumWords(from, to, func(i, c int) { k.split(i, c, low, high, v) }, low, high, v, k.word)
	for r := range k.rows {
		for d := range k.digits {
			k.op("VPBROADCASTD", rowAt(entryBias+4*d, entries, r), v)
			k.op("VPADDD", v, v, v)
			for c := range k.nv {
				k.op("VPMADDWD", k.oneWords(), k.word(r, d, c), k.sum(r, d, c))
				k.op("VPADDD", v, k.sum(r, d, c), k.sum(r, d, c))
			}
		}
	}
}

// endTiered adds the scaled sums of a group, the first or the second one of two, to the results.
func (k *u4Kernel) endTiered(half int) {
	scale, v := k.free(0), k.free(1)
	if k.passes() > 1 { // panel is column bytes ahead, scales are a quarter as wide as steps
		k.op("MOVQ", column, scratch)
		k.op("SHRQ", imm(2), scratch)
		k.op("SUBQ", column, scratch)
	}
	for c := range k.nv {
		behind := 2*tieredSteps*stepBytes + half*lanes + c*k.lanes()
		at := mem(behind, panel)
		if k.passes() > 1 {
			at = indexed(behind, panel, scratch, 1)
		}
		k.note("as the bits of an f16 e4m3 is a 256th of itself")
		k.op("VPMOVZXBW", at, lower(scale))
		k.op("VPSLLW", imm(7), lower(scale), lower(scale))
		k.op("VCVTPH2PS", lower(scale), scale)
		for r := range k.rows {
			sum := k.join(k.sum, r, c)
			k.rowOp("VMULPS", rowAt(entryScale, entries, r), sum, sum, v)
			k.op("VFMADD231PS", scale, sum, k.acc(r, c))
		}
	}
}
