package main

// superVariant is a K-quant: superblocks of 256 k, whose groups of sub k have whole steps, and whole offsets or a zero point.
type superVariant struct {
	name    string
	wide    bool // codes lie in bytes, not in halves of these
	sub     int
	offsets bool
}

var superVariants = []superVariant{{"q2k", false, 16, true}, {"q3k", false, 16, false}, {"q4k", false, 32, true}, {"q5k", true, 32, true}, {"q6k", true, 16, false}}

// superTiles: sets with AVX-512 run the kernels of AVX2.
var superTiles = map[string]tiles{"AVX2": {1: 4, 2: 2}}

const superGroup = 256

// Registers of K-quants' kernels beside those of all linear kernels; with at most four rows, R10 holds no stride.
const (
	superSums = "R10" // sums of the inputs' codes
	superStep = "R13" // steps of the group at hand
)

// superKernel has the registers of a u4Kernel: results, 32-bit sums and words.
type superKernel struct {
	*u4Kernel
	superVariant
}

// Where parts of a superblock lie, as in layout.Format.
func (v superVariant) steps() int {
	if v.offsets {
		return 4 * lanes
	}
	return 2 * lanes
}

func (v superVariant) offsetsAt() int { return v.steps() + superGroup/v.sub*lanes }

func (v superVariant) header() int {
	if v.offsets {
		return v.offsetsAt() + superGroup/v.sub*lanes
	}
	return v.offsetsAt()
}

// stepK is the k of a step.
func (v superVariant) stepK() int {
	if v.wide {
		return 4
	}
	return 8
}

// linearSuper: for each superblock exact integer sums of products times steps, then acc = fma(f32(sum)*xscale, scale, acc); those of offsets, likewise, are taken off.
func linearSuper(v superVariant) linearWriter {
	return func(t isa, rows, digits int) *function {
		u := &u4Kernel{newLinear(v.name, t, rows, digits, u4Vectors(t, rows, digits)), u4Variant{}}
		k := &superKernel{u, v}
		k.passLoop(func() {
			if k.passes() == 1 {
				k.op("XORL", column, column)
			}
			k.op("MOVQ", k.arg("groupSums"), superSums)
			k.segmentLoop(func() {
				k.linearKernel.zero(rows * k.nv)
				k.superLoop()
			})
		})
		k.end()
		return k.function
	}
}

// superLoop writes the loops over a segment's superblocks and their blocks of 32 k.
func (k *superKernel) superLoop() {
	super, inner := k.newLabel("super"), k.newLabel("block")
	k.place(super)
	k.op("MOVQ", panel, scratch)
	k.op("SUBQ", column, scratch)
	k.op("MOVQ", scratch, k.arg("super"))
	k.op("MOVQ", column, superStep)
	k.op("SHRQ", imm(2), superStep)
	k.op("ADDQ", scratch, superStep)
	k.op("ADDQ", imm(k.steps()), superStep)
	k.op("ADDQ", imm(k.header()), panel)
	k.zeroSums()
	k.countBlocks()
	k.place(inner)
	k.block()
	k.op("ADDQ", imm(32/k.stepK()*stepBytes), panel)
	k.op("ADDQ", imm(32*k.digits), x)
	k.op("ADDQ", imm(32/k.sub*lanes), superStep)
	k.op("DECQ", blocks)
	k.op("JNE", inner)
	k.endSuper()
	k.op("ADDQ", imm(entry), entries)
	k.op("DECQ", steps)
	k.op("JNE", super)
}

// eachSum visits the sums of vector c.
func (k *superKernel) eachSum(c int, visit func(r, d int, sum string)) {
	for r := range k.rows {
		for d := range k.digits {
			visit(r, d, k.sum(r, d, c))
		}
	}
}

func (k *superKernel) zeroSums() {
	for c := range k.nv {
		k.eachSum(c, func(_, _ int, sum string) { k.op("VPXOR", sum, sum, sum) })
	}
}

// block adds 32 k to the sums, in parts whose products fit 16 bits: 16*15*127 of codes of 4 bits, 8*31*127 of wider ones, 8*32*127 once their zero point is off.
func (k *superKernel) block() {
	low, high, v := k.free(0), k.free(1), k.free(2)
	part := 16
	if k.sub == 32 && !k.wide {
		part = 32
	}
	for from := 0; from < 32; from += part {
		first, last := from/k.stepK(), (from+part)/k.stepK()
		if k.wide {
			k.sumBytes(first, last)
		} else {
			k.sumWords(first, last, func(i, c int) { k.nibbles(i, c, constant("lowNibbles"), low, high) }, low, high, v, k.word)
		}
		k.addWords(from)
	}
	if !k.offsets {
		k.op("ADDQ", imm(2*4*k.digits), superSums)
	}
}

// sumBytes is sumWords for codes that lie in bytes.
func (k *superKernel) sumBytes(from, to int) {
	w, v := k.free(0), k.free(2)
	for i := from; i < to; i++ {
		k.prefetch(i)
		for c := range k.nv {
			k.op("VMOVDQU", mem(i*stepBytes+c*k.bytes, panel), w)
			k.eachDigit(i, func(r, d int, at string) {
				k.op("VPBROADCASTD", at, v)
				if i == from {
					k.op("VPMADDUBSW", v, w, k.word(r, d, c))
					return
				}
				k.op("VPMADDUBSW", v, w, v)
				k.op("VPADDW", v, k.word(r, d, c), k.word(r, d, c))
			})
		}
	}
}

// addWords multiplies the words of the part that starts at k from with the step of their group.
func (k *superKernel) addWords(from int) {
	step, v := k.free(0), k.free(1)
	for c := range k.nv {
		k.op("VPMOVSXBD", mem(from/k.sub*lanes+c*k.lanes(), superStep), step)
		k.op("VPSHUFB", constant("wordTwice"), step, step)
		k.eachSum(c, func(r, d int, sum string) {
			word := k.word(r, d, c)
			if !k.offsets { // sums of the inputs of each word, times the zero point, negative: they may go beyond 16 bits and come back
				k.op("VPBROADCASTD", rowAt(4*(from/k.sub*k.digits+d), superSums, r), v)
				k.op("VPADDW", v, word, word)
			}
			k.op("VPMADDWD", step, word, word)
			k.op("VPADDD", word, sum, sum)
		})
	}
}

// endSuper adds the superblock to the results.
func (k *superKernel) endSuper() {
	scale, v := k.free(0), k.free(1)
	at := func(disp int) string { return indexed(disp, superStep, scratch, 1) }
	k.op("MOVQ", k.arg("super"), superStep)
	k.op("MOVQ", column, scratch)
	k.op("SHRQ", imm(1), scratch)
	add := func(c, disp int, mnemonic string) {
		k.op("VCVTPH2PS", at(disp+2*c*k.lanes()), scale)
		for r := range k.rows {
			sum := k.join(k.sum, r, c)
			k.rowOp("VMULPS", rowAt(entryScale, entries, r), sum, sum, v)
			k.op(mnemonic, scale, sum, k.acc(r, c))
		}
	}
	for c := range k.nv {
		add(c, 0, "VFMADD231PS")
	}
	if !k.offsets {
		return
	}
	pairs := superGroup / k.sub / 2
	for c := range k.nv {
		for p := range pairs {
			k.op("VPMOVZXBW", at(k.offsetsAt()+2*(p*lanes+c*k.lanes())), scale)
			k.eachSum(c, func(r, d int, sum string) {
				k.op("VPBROADCASTD", rowAt(4*(p*k.digits+d), superSums, r), v)
				if p == 0 {
					k.op("VPMADDWD", v, scale, sum)
					return
				}
				k.op("VPMADDWD", v, scale, v)
				k.op("VPADDD", v, sum, sum)
			})
		}
		add(c, 2*lanes, "VFNMADD231PS")
	}
	k.op("ADDQ", imm(4*pairs*k.digits), superSums)
}
