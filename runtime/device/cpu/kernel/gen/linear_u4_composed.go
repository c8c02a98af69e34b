package main

// composed is what codes of 4 bits have beside scales in formats of layout.Format.Composed whose inputs are codes: one of these. Groups are of 32 k.
type composed struct {
	minimums bool   // groups have numbers that are added, behind their scales
	fifth    bool   // a step behind the others has the fifth bits of codes, whose zero is 16
	table    string // constant of the levels that codes stand for, signed bytes; with 128 added, that of this name and U8
}

var composedVariants = []u4Variant{
	{name: "q4m", scaleBytes: 2, composed: composed{minimums: true}},
	{name: "q5", scaleBytes: 2, composed: composed{fifth: true}},
	{name: "iq4", scaleBytes: 2, composed: composed{table: "iq4Levels"}},
}

// tableTiles: sets with AVX-512 but without VPDPBUSD, who have no VPSIGNB of 64 bytes, run the kernels of AVX2.
var tableTiles = map[string]tiles{"AVX2": u4Tiles["AVX2"], "VNNI": u4Tiles["VNNI"]}

func (k *u4Kernel) isComposed() bool { return k.composed != composed{} }

// scaleVectors is how many numbers each output of a group has behind its codes.
func (k *u4Kernel) scaleVectors() int {
	if k.minimums {
		return 2
	}
	return 1
}

// startComposed sets the integer sums of a group to -zero * sum(x): of Entry.Bias, whose zero is 8.
func (k *u4Kernel) startComposed() {
	for r := range k.rows {
		for d := range k.digits {
			for c := range k.nv {
				sum := k.sum(r, d, c)
				switch {
				case k.fifth:
					k.op("VPBROADCASTD", rowAt(entryBias+4*d, entries, r), sum)
					k.op("VPADDD", sum, sum, sum)
				case k.table != "" && k.vnni:
					k.op("VPBROADCASTD", rowAt(entryBias+4*d, entries, r), sum)
					k.op("VPSLLD", imm(4), sum, sum)
				default:
					k.op(k.xor(), sum, sum, sum)
				}
			}
		}
	}
}

// xor is the bitwise instruction.
func (t isa) xor() string { return map[bool]string{false: "VPXOR", true: "VPXORD"}[t.wide()] }

// signedTable holds the table of levels where there are no words.
const signedTable = 5

// tableRegister holds the table of levels.
func (k *u4Kernel) tableRegister() string {
	if k.wide() {
		return k.free(freeTable)
	}
	return k.free(signedTable)
}

func (k *u4Kernel) loadTable() {
	if k.wide() {
		k.op("VPBROADCASTD", constant("lowNibbles"), k.free(freeMask))
		k.op("VBROADCASTI32X4", constant(k.table+"U8"), k.tableRegister())
		return
	}
	k.op("VMOVDQU", constant(k.table), k.tableRegister())
}

// compose turns step i's lower four bits of vector c in low and high into codes or levels; v is overwritten.
func (k *u4Kernel) compose(i, c int, low, high, v string) {
	if k.table != "" {
		k.op("VPSHUFB", low, k.tableRegister(), low)
		k.op("VPSHUFB", high, k.tableRegister(), high)
		return
	}
	if !k.fifth {
		return
	}
	for half, codes := range []string{low, high} {
		k.op(k.load(), mem(blockSteps*stepBytes+c*k.bytes, panel), v)
		switch bit := 2*i + half; { // of a byte, which is to be bit 4
		case bit < 4:
			k.op("VPSLLD", imm(4-bit), v, v)
		case bit > 4:
			k.op("VPSRLD", imm(bit-4), v, v)
		}
		k.op(k.bcst(k.and()), constant("fifthBits"), v, v)
		k.op(k.or(), v, codes, codes)
	}
}

// or is the bitwise instruction.
func (t isa) or() string { return map[bool]string{false: "VPOR", true: "VPORD"}[t.wide()] }

// blockSigned is a block of 32 k of levels, which are signed: products of their magnitudes with x times their signs, of which two fit 16 bits.
func (k *u4Kernel) blockSigned() {
	low, high, size, v, product := k.free(0), k.free(1), k.free(2), k.free(3), k.free(4)
	for i := range blockSteps {
		k.prefetch(i)
		for c := range k.nv {
			k.nibbles(i, c, constant("lowNibbles"), low, high)
			k.compose(i, c, low, high, v)
			for half, w := range []string{low, high} {
				k.op("VPABSB", w, size)
				k.eachDigit(2*i+half, func(r, d int, at string) {
					k.op("VPBROADCASTD", at, v)
					k.addSigned(w, size, v, product, k.sum(r, d, c))
				})
			}
		}
	}
}

// addMinimums adds the minimums of vector c's outputs times the sums of x, of which Entry.Bias is minus eight.
func (k *u4Kernel) addMinimums(c int) {
	minimum, sum, second := k.free(0), k.free(1), k.free(2)
	k.loadScales(lanes*k.scaleBytes, c, minimum)
	k.op(k.bcst("VMULPS"), constant("eighth"), minimum, minimum)
	for r := range k.rows {
		k.floatBias(r, 0, sum)
		if k.digits == 2 {
			k.floatBias(r, 1, second)
			k.op(k.bcst("VFMADD231PS"), constant("restStep"), second, sum)
		}
		k.rowOp("VMULPS", rowAt(entryScale, entries, r), sum, sum, second)
		k.op("VFNMADD231PS", minimum, sum, k.acc(r, c))
	}
}

// floatBias makes f32 of a digit's sum of row r.
func (k *u4Kernel) floatBias(r, d int, dst string) {
	k.op("VPBROADCASTD", rowAt(entryBias+4*d, entries, r), dst)
	k.op("VCVTDQ2PS", dst, dst)
}
