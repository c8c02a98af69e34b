package main

// groupSums points to the sums of the codes of the group at hand, [2] int32 of the digits; rows are xStride apart.
const groupSums = "R12"

// nestedSums multiplies the sums of a group's codes by its step, and the sum of the inputs' codes by its offset: for instruction sets that sum
// products of 4 bits faster than those of 8.
type nestedSums struct{ *linearKernel }

// nestedVectors is the number of vectors of outputs in a pass: each has for each row and digit a 32-bit and a 16-bit sum.
func nestedVectors(t isa, rows, digits int) int {
	if t.wide() {
		return 2
	}
	const registers = 8 // for them
	return max(1, min(4, registers/(2*rows*digits)))
}

// word is the register of a 16-bit sum.
func (k nestedSums) word(r, d, c int) string { return k.reg(k.used() + (d*k.rows+r)*k.nv + c) }

// free names the i-th register that holds no sum.
func (k nestedSums) free(i int) string { return k.reg(2*k.used() + i) }

// Registers, counted by free.
const (
	nestedTemp = 0 // three
	nestedOnes = 3
	nestedMask = 4 // where there are 32
)

func (k nestedSums) mask() string {
	if k.wide() {
		return k.free(nestedMask)
	}
	return constant("lowNibbles")
}

func linearNestedSums(t isa, rows, digits int) *function {
	k := nestedSums{newLinear("u4n", t, rows, digits, nestedVectors(t, rows, digits))}
	k.op("VPBROADCASTD", constant("oneWords"), k.free(nestedOnes))
	if k.wide() {
		k.op("VPBROADCASTD", constant("lowNibbles"), k.mask())
	}
	k.passLoop(func() {
		k.op("MOVQ", k.arg("nested"), nested)
		k.op("MOVQ", k.arg("groupSums"), groupSums)
		k.segmentLoop(func() {
			k.zero(k.used())
			k.nestedLoop(func() {
				low, high := k.free(nestedTemp), k.free(nestedTemp+1)
				k.sumWords(0, blockSteps, func(i, c int) { k.nibbles(i, c, k.mask(), low, high) }, low, high, k.free(nestedTemp+2), k.word)
				k.endGroup()
			})
			k.scaleU8()
			k.op("ADDQ", imm(entry), entries)
		})
	})
	k.end()
	return k.function
}

// endGroup adds the group to the 32-bit sums.
func (k nestedSums) endGroup() {
	step, offset, v := k.free(nestedTemp), k.free(nestedTemp+1), k.free(nestedTemp+2)
	for c := range k.nv {
		k.loadStep(c, step)
		k.loadOffset(c, offset)
		for r := range k.rows {
			for d := range k.digits {
				word, sum := k.word(r, d, c), k.sum(r, d, c)
				k.op("VPMADDWD", k.free(nestedOnes), word, word)
				k.op("VPMULLD", step, word, word)
				k.op("VPADDD", word, sum, sum)
				k.op("VPBROADCASTD", rowAt(4*d, groupSums, r), v)
				k.op("VPMULLD", offset, v, v)
				k.op("VPADDD", v, sum, sum)
			}
		}
	}
	k.op("ADDQ", imm(8), groupSums)
}

// loadStep loads the steps of vector c's outputs. Those from 16 on are the upper halves of the bytes of those below.
func (k nestedSums) loadStep(c int, dst string) {
	n := k.lanes()
	switch {
	case k.passes() == 1:
		k.op("VPMOVZXBD", mem(c*n%nestedSteps, nested), dst)
		if c*n >= nestedSteps {
			k.op("VPSRLD", imm(4), dst, dst)
		}
	default:
		k.op("MOVQ", column, scratch)
		k.op("SHRQ", imm(2), scratch) // the pass's first output
		k.op("ANDQ", imm(nestedSteps-1), scratch)
		k.op("VPMOVZXBD", indexed(c*n, nested, scratch, 1), dst)
		k.op("MOVQ", column, scratch)
		k.op("SHRQ", imm(6), scratch)
		k.op("SHLQ", imm(2), scratch)
		k.op("VMOVQ", scratch, xmm(k.free(nestedTemp+2)))
		k.op("VPSRLD", xmm(k.free(nestedTemp+2)), dst, dst)
	}
	k.op(k.bcst(k.and()), constant("lowBits"), dst, dst)
}

// loadOffset loads the offsets of vector c's outputs, less what stands for zero.
func (k nestedSums) loadOffset(c int, dst string) {
	at := mem(nestedSteps+c*k.lanes(), nested)
	if k.passes() > 1 {
		k.op("MOVQ", column, scratch)
		k.op("SHRQ", imm(2), scratch)
		at = indexed(nestedSteps+c*k.lanes(), nested, scratch, 1)
	}
	k.op("VPMOVZXBD", at, dst)
	k.op(k.bcst("VPADDD"), constant("minusZeroU8"), dst, dst)
}
