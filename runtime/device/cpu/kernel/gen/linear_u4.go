package main

// u4Variant is one way to store the scales and zero points of 4-bit weights.
type u4Variant struct {
	name       string
	scaleBytes int
	zeros      bool
	levels     bool // codes of e2m1; scales are exponents that lie where zero points do
	tiered     bool // of levels: scales are e4m3, one for 16 k; see linear_u4_tiered.go
	composed        // see linear_u4_composed.go
}

var u4Variants = []u4Variant{
	{name: "u4", scaleBytes: 2}, {name: "u4s", scaleBytes: 4}, {name: "u4z", scaleBytes: 2, zeros: true}, {name: "u4zs", scaleBytes: 4, zeros: true}, {name: "u4e", levels: true},
}

// blockSteps is the unit of the inner loop: 32 k. Groups are whole multiples of it.
const blockSteps = 4

// Registers of 4-bit kernels beside those of all linear kernels.
const (
	blocks    = "R12" // blocks left in the group
	zeroPoint = "R13" // zero points of the group's outputs, or their exponents
)

// levelsAhead is as streamAhead of levels: their kernels take longer for a byte, and reading it begins only when it is asked for.
const levelsAhead = 8 << 10

// u4Kernel adds to a linearKernel integer sums over a group, [digits][rows][nv] behind the results.
type u4Kernel struct {
	*linearKernel
	u4Variant
}

// u4Vectors is the number of vectors of outputs in a pass. Without VPDPBUSD each has for each row a result, and for each digit a 32-bit
// and a 16-bit sum; that leaves AVX2 room for little.
func u4Vectors(t isa, rows, digits int) int {
	if t.wide() {
		return 2
	}
	const registers = 12 // for them
	nv := 4
	for nv > 1 && rows*nv*(1+2*digits) > registers {
		nv /= 2
	}
	return nv
}

// linearU4: for each group exact integer sums, then acc = fma(f32(sum)*xscale, wscale, acc).
func linearU4(v u4Variant) linearWriter {
	return func(t isa, rows, digits int) *function {
		k := &u4Kernel{newLinear(v.name, t, rows, digits, v.vectors(t, rows, digits)), v}
		if v.levels {
			k.early = levelsAhead
		}
		block := k.blockWords
		switch {
		case t.vnni:
			block = func() { k.addDots(0, blockSteps) }
		case v.table != "":
			block = k.blockSigned
		}
		k.loadConstants()
		k.passLoop(func() {
			if v.zeros || v.levels && !v.tiered {
				k.op("MOVQ", k.arg("zeros"), zeroPoint)
			}
			k.segmentLoop(func() {
				k.zero(rows * k.nv)
				if v.tiered {
					k.tieredLoop()
					return
				}
				k.groupLoop(block)
			})
		})
		k.end()
		return k.function
	}
}

func (k *u4Kernel) sum(r, d, c int) string { return k.reg(k.rows*k.nv + (d*k.rows+r)*k.nv + c) }

// word is the register of a 16-bit sum.
func (k *u4Kernel) word(r, d, c int) string {
	if k.tiered { // all that a group adds up to fits 16 bits
		return k.sum(r, d, c)
	}
	return k.reg((1+k.digits)*k.rows*k.nv + (d*k.rows+r)*k.nv + c)
}

// free names the i-th register that holds no result and no sum.
func (k *u4Kernel) free(i int) string {
	sums := k.digits
	if !k.vnni && k.table == "" && !k.tiered {
		sums *= 2
	}
	return k.reg((1+sums)*k.rows*k.nv + i)
}

// groupLoop writes the loops over a segment's groups and a group's blocks.
func (k *u4Kernel) groupLoop(block func()) {
	group, inner := k.newLabel("group"), k.newLabel("block")
	k.place(group)
	k.startGroup()
	k.countBlocks()
	k.place(inner)
	block()
	k.op("ADDQ", imm(blockSteps*stepBytes), panel)
	k.op("ADDQ", imm(blockSteps*8*k.digits), x)
	k.op("SUBQ", imm(blockSteps), blocks)
	k.op("JNE", inner)
	if (k.fifth || k.minimums) && k.streams() {
		k.prefetch(0) // of what groups have more than others
	}
	if k.fifth {
		k.op("ADDQ", imm(stepBytes), panel)
	}
	k.endGroup()
	if k.scaleBytes > 0 {
		k.op("ADDQ", imm(k.scaleVectors()*lanes*k.scaleBytes), panel)
	}
	k.op("ADDQ", imm(entry), entries)
	k.op("DECQ", steps)
	k.op("JNE", group)
}

// countBlocks leaves what the group at hand has in blocks: the last one of all may have fewer than the others.
func (k *linearKernel) countBlocks() {
	whole := k.newLabel("wholeGroup")
	k.op("MOVQ", k.arg("groupSteps"), blocks)
	k.op("CMPQ", steps, imm(1))
	k.op("JNE", whole)
	k.op("CMPQ", segments, imm(1))
	k.op("JNE", whole)
	k.op("MOVQ", k.arg("lastGroupSteps"), blocks)
	k.place(whole)
}

// prefetchApart asks for the next panel's zero points or exponents, which lie apart from the stream.
func (k *u4Kernel) prefetchApart() {
	if k.streams() {
		k.note("zero points lie apart from the stream: ask for the next panel's")
		k.op("MOVQ", k.arg("panelBytes"), scratch)
		k.op("PREFETCHT1", indexed(0, zeroPoint, scratch, 1))
	}
}

// startGroup sets the integer sums to -zero * sum(x). Levels of e2m1 are looked up with twice the zero of other codes.
func (k *u4Kernel) startGroup() {
	if k.isComposed() {
		k.startComposed()
		return
	}
	if !k.zeros {
		for r := range k.rows {
			for d := range k.digits {
				for c := range k.nv {
					k.startSum(r, d, c)
				}
			}
		}
		if k.levels && !k.tiered {
			k.prefetchApart()
		}
		return
	}
	k.prefetchApart()
	k.note("zero points times -sum(x), both 16 bits: each digit's word meets its sum, the other word is zero")
	zero := k.free(0)
	for c := range k.nv {
		at := mem(c*k.lanes(), zeroPoint)
		if k.passes() > 1 {
			k.op("MOVQ", column, scratch)
			k.op("SHRQ", imm(2), scratch)
			at = indexed(c*k.lanes(), zeroPoint, scratch, 1)
		}
		k.op("VPMOVZXBD", at, zero)
		for d := range k.digits {
			if d > 0 {
				k.op("VPSLLD", imm(16), zero, zero)
			}
			for r := range k.rows {
				k.op("VPBROADCASTD", rowAt(entryNegSums, entries, r), k.sum(r, d, c))
				k.op("VPMADDWD", zero, k.sum(r, d, c), k.sum(r, d, c))
			}
		}
	}
	k.op("ADDQ", imm(lanes), zeroPoint)
}

// startSum sets a sum to what the zero of codes, or twice that, adds up to.
func (k *u4Kernel) startSum(r, d, c int) {
	first, sum := k.sum(r, d, 0), k.sum(r, d, c)
	switch {
	case !k.levels:
		k.op("VPBROADCASTD", rowAt(entryBias+4*d, entries, r), sum)
	case c > 0:
		k.op(k.move(), first, sum)
	default:
		k.op("VPBROADCASTD", rowAt(entryBias+4*d, entries, r), sum)
		k.op("VPADDD", sum, sum, sum)
	}
}

// Registers, counted by free, that hold constants, where there are so many.
const (
	freeOnes  = 3
	freeMask  = 6
	freeTable = 7
)

// lowNibbles is the operand that masks the upper nibbles off.
func (k *u4Kernel) lowNibbles() string {
	if k.wide() {
		return k.free(freeMask)
	}
	return constant("lowNibbles")
}

// loadConstants fills the registers that hold constants.
func (k *u4Kernel) loadConstants() {
	if k.table != "" {
		k.loadTable()
		return
	}
	if k.tiered && !k.wide() {
		k.op("VMOVDQU", constant("e2m1Levels"), k.free(tieredTable))
		return
	}
	if !k.vnni {
		k.op("VPBROADCASTD", constant("oneWords"), k.free(freeOnes))
	}
	if k.wide() {
		k.op("VPBROADCASTD", constant("lowNibbles"), k.free(freeMask))
		if k.levels {
			k.op("VBROADCASTI32X4", constant("e2m1Levels"), k.free(freeTable))
		}
	}
}

// split leaves what step i's codes of vector c stand for in low and high: the codes, or levels. v is overwritten where there is no register for the table.
func (k *u4Kernel) split(i, c int, low, high, v string) {
	k.nibbles(i, c, k.lowNibbles(), low, high)
	if k.isComposed() {
		k.compose(i, c, low, high, v)
		return
	}
	if !k.levels {
		return
	}
	table := v
	switch {
	case k.wide():
		table = k.free(freeTable)
	case k.tiered:
		table = k.free(tieredTable)
	default:
		k.op("VMOVDQU", constant("e2m1Levels"), table)
	}
	k.op("VPSHUFB", low, table, low)
	k.op("VPSHUFB", high, table, high)
}

// nibbles splits step i's codes of vector c into low and high.
func (k *linearKernel) nibbles(i, c int, mask, low, high string) {
	k.op(k.load(), mem(i*stepBytes+c*k.bytes, panel), low)
	k.op("VPSRLD", imm(4), low, high)
	k.op(k.and(), mask, low, low)
	k.op(k.and(), mask, high, high)
}

// addDots adds steps [from, to) of a block to the sums with VPDPBUSD.
func (k *u4Kernel) addDots(from, to int) {
	low, high := func(c int) string { return k.free(2 * c) }, func(c int) string { return k.free(2*c + 1) }
	for i := from; i < to; i++ {
		k.prefetch(i)
		for c := range k.nv {
			k.split(i, c, low(c), high(c), k.free(2*k.nv))
		}
		for half, w := range []func(int) string{low, high} {
			k.eachDigit(2*i+half, func(r, d int, at string) {
				v := k.free(2*k.nv + (r+d)%2)
				k.op("VPBROADCASTD", at, v)
				for c := range k.nv {
					k.op("VPDPBUSD", v, w(c), k.sum(r, d, c))
				}
			})
		}
	}
}

// sumWords leaves the sums of steps [from, to) of a block of 32 k as words, of even and of odd pairs, by VPMADDUBSW: eight sums of two products of at most
// 15*127 fit 16 bits. split leaves a step's codes in low and high, which are overwritten as v is.
func (k *linearKernel) sumWords(from, to int, split func(i, c int), low, high, v string, word func(r, d, c int) string) {
	for i := from; i < to; i++ {
		k.prefetch(i)
		for c := range k.nv {
			split(i, c)
			for half, w := range []string{low, high} {
				k.eachDigit(2*i+half, func(r, d int, at string) {
					k.op("VPBROADCASTD", at, v)
					if i == from && half == 0 {
						k.op("VPMADDUBSW", v, w, word(r, d, c))
						return
					}
					k.op("VPMADDUBSW", v, w, v)
					k.op("VPADDW", v, word(r, d, c), word(r, d, c))
				})
			}
		}
	}
}

// blockWords is a block of 32 k by words. Levels are at most 28 and codes of five bits 31, of which half as many sums fit.
func (k *u4Kernel) blockWords() {
	if k.levels || k.fifth {
		k.addWords(0, blockSteps/2)
		k.addWords(blockSteps/2, blockSteps)
		return
	}
	k.addWords(0, blockSteps)
}

// addWords adds steps [from, to) of a block to the sums.
func (k *u4Kernel) addWords(from, to int) {
	low, high, v := k.free(0), k.free(1), k.free(2)
	k.sumWords(from, to, func(i, c int) { k.split(i, c, low, high, v) }, low, high, v, k.word)
	for r := range k.rows {
		for d := range k.digits {
			for c := range k.nv {
				k.op("VPMADDWD", k.free(freeOnes), k.word(r, d, c), k.word(r, d, c))
				k.op("VPADDD", k.word(r, d, c), k.sum(r, d, c), k.sum(r, d, c))
			}
		}
	}
}

// loadExponents loads the scales of vector c's outputs from their exponents.
func (k *u4Kernel) loadExponents(c int, scale string) {
	at := mem(c*k.lanes(), zeroPoint)
	if k.passes() > 1 {
		k.op("MOVQ", column, scratch)
		k.op("SHRQ", imm(2), scratch)
		at = indexed(c*k.lanes(), zeroPoint, scratch, 1)
	}
	k.op("VPMOVZXBD", at, scale)
	k.op("VPSLLD", imm(23), scale, scale)
}

// loadScales loads the scales of vector c's outputs, at which panel is, or what lies so many bytes behind them.
func (k *u4Kernel) loadScales(behind, c int, scale string) {
	at := mem(behind+c*k.lanes()*k.scaleBytes, panel)
	if k.passes() > 1 { // panel is column bytes ahead, a group's scales are narrower than a step
		k.op("MOVQ", column, scratch)
		k.op("SHRQ", imm(4/k.scaleBytes-1), scratch)
		k.op("SUBQ", column, scratch)
		at = indexed(behind+c*k.lanes()*k.scaleBytes, panel, scratch, 1)
	}
	if k.scaleBytes == 2 {
		k.op("VCVTPH2PS", at, scale)
	} else {
		k.op("VMOVUPS", at, scale)
	}
}

// endGroup adds the group's scaled sums to the results.
func (k *u4Kernel) endGroup() {
	scale, v := k.free(0), k.free(1)
	for c := range k.nv {
		if k.levels {
			k.loadExponents(c, scale)
		} else {
			k.loadScales(0, c, scale)
		}
		for r := range k.rows {
			sum := k.join(k.sum, r, c)
			k.rowOp("VMULPS", rowAt(entryScale, entries, r), sum, sum, v)
			k.op("VFMADD231PS", scale, sum, k.acc(r, c))
		}
		if k.minimums {
			k.addMinimums(c)
		}
	}
	if k.levels {
		k.op("ADDQ", imm(lanes), zeroPoint)
	}
}
