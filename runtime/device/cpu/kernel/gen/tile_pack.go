package main

import "fmt"

// Rows become tiles before they are multiplied: a tile holds 64 bytes of one digit of 16 rows, and the tiles that a kernel reads follow each
// other. Panels of 4-bit weights are expanded to bytes or to bf16.

// registers assigns arguments to registers.
type registers [][2]string

// packStart starts a function that packs a row block by block.
func packStart(name, doc string) (f *function, again string) {
	f = newFunction(name+"AMX", doc, "dst, src unsafe.Pointer, blocks, next int", "")
	for _, p := range (registers{{"dst", "DI"}, {"src", "SI"}, {"blocks", "CX"}, {"next", "DX"}}) {
		f.op("MOVQ", f.param(p[0]), p[1])
	}
	return f, f.newLabel("block")
}

// packEnd goes on to the next block, which is digits*64 bytes on.
func (f *function) packEnd(again string, digits int) *function {
	f.op("ADDQ", imm(64*digits), "SI")
	f.op("ADDQ", "DX", "DI")
	f.op("DECQ", "CX")
	f.op("JNE", again)
	f.end()
	return f
}

// packRow writes the blocks of one row to its place in tiles. A block is 64 bytes a digit.
func packRow(digits int) *function {
	f, again := packStart(fmt.Sprintf("packRow%d", digits), "packs a row of blocks of 64 bytes a digit; next is the distance of blocks in dst.")
	f.loadDigitOrder(digits)
	f.place(again)
	f.loadDigits(digits)
	for d := range digits {
		f.op("VMOVDQU32", avx512.reg(d), mem(d*tileBytes, "DI"))
	}
	return f.packEnd(again, digits)
}

// Registers of loadDigits: the order of dwords of the first and the second digit.
const digitOrder = 30 // two

func (f *function) loadDigitOrder(digits int) {
	if digits == 2 {
		f.op("VPMOVZXBD", constant("evenWords"), avx512.reg(digitOrder))
		f.op("VPMOVZXBD", constant("oddWords"), avx512.reg(digitOrder+1))
	}
}

// loadDigits loads the block of codes at SI, the first digit's to Z0, the second's to Z1. It uses Z2.
func (f *function) loadDigits(digits int) {
	f.op("VMOVDQU32", "(SI)", "Z0")
	if digits == 2 {
		f.op("VMOVDQU32", "64(SI)", "Z2")
		f.op("VMOVDQA64", "Z0", "Z1")
		f.op("VPERMT2D", "Z2", avx512.reg(digitOrder), "Z0")
		f.op("VPERMT2D", "Z2", avx512.reg(digitOrder+1), "Z1")
	}
}

// packBF16 writes the codes of a row as bf16: 32 codes of a digit to a tile, the first of two digits as 256 times itself. In every four codes the
// second and the third change places, as they do in bf16s.
func packBF16(digits int) *function {
	const order, factor = 30, 31
	f, again := packStart(fmt.Sprintf("packCodes%d", digits), "packs a row of blocks of 64 codes a digit as bf16; next is the distance of blocks in dst.")
	f.op("VMOVDQU32", constant(fmt.Sprintf("upperWords%d", digits)), avx512.reg(order))
	if digits == 2 {
		f.op("VMOVDQU32", constant("digitSteps"), avx512.reg(factor))
	}
	f.place(again)
	for part := range 2 * digits { // 32 codes, of one digit or of both
		for half := range 2 {
			v := avx512.reg(half)
			f.op("VPMOVSXBD", mem(32*part+16*half, "SI"), v)
			f.op("VCVTDQ2PS", v, v)
			if digits == 2 {
				f.op("VMULPS", avx512.reg(factor), v, v)
			}
		}
		f.op("VPERMT2W", "Z1", avx512.reg(order), "Z0")
		if digits == 1 {
			f.op("VMOVDQU32", "Z0", mem(part*tileBytes, "DI"))
			continue
		}
		at := part/2*digits*tileBytes + part%2*32
		f.op("VMOVDQU", "Y0", mem(at, "DI"))
		f.op("VEXTRACTI64X4", imm(1), "Z0", mem(at+tileBytes, "DI"))
	}
	return f.packEnd(again, digits)
}

// expander writes a panel's 4-bit codes as tiles, their zero points taken off, and the scales of its groups as f32.
type expander struct {
	*function
	u4Variant
}

// expandAhead is how far ahead of itself expand prefetches, bytes.
const expandAhead = 2048

// Registers of expanders: codes being split are below.
const (
	expandNibbles = 16
	expandZeros   = 17 // two, of 16 outputs each
	expandOnes    = 19
	expandTable   = 20
)

func expand(v u4Variant, joined bool) *function {
	name, doc, step := "expand"+v.name, "expands the groups of a panel to signed bytes and f32 scales.", expander.bytes
	if joined {
		name, doc, step = "expandBF16"+v.name, "expands the groups of a panel to bf16 and f32 scales.", expander.bf16s
	}
	k := expander{newFunction(name+"AMX", doc, "a *expandArgs", ""), v}
	arg := func(name string) string { return field("expandArgs", name, "DI") }
	k.op("MOVQ", k.param("a"), "DI")
	for _, p := range (registers{{"panel", "SI"}, {"dst", "BX"}, {"scales", "DX"}, {"zeros", "R8"}, {"groups", "CX"}}) {
		k.op("MOVQ", arg(p[0]), p[1])
	}
	k.op("VPBROADCASTD", constant("lowNibbles"), avx512.reg(expandNibbles))
	for c := range 2 {
		k.op("VPBROADCASTD", constant("eights"), avx512.reg(expandZeros+c))
	}
	k.op("VPBROADCASTD", constant("oneBytes"), avx512.reg(expandOnes))
	if joined {
		table := "wholeNumbers"
		if v.levels {
			table = "e2m1Numbers"
		}
		k.op("VMOVDQU32", constant(table), avx512.reg(expandTable))
	}
	group, again, whole := k.newLabel("group"), k.newLabel("step"), k.newLabel("whole")
	k.place(group)
	k.loadZeros()
	k.op("MOVQ", arg("groupSteps"), "AX")
	k.op("CMPQ", "CX", imm(1))
	k.op("JNE", whole)
	k.op("MOVQ", arg("lastGroupSteps"), "AX")
	k.place(whole)
	k.place(again)
	k.op("PREFETCHT0", mem(expandAhead, "SI"))
	k.op("PREFETCHT0", mem(expandAhead+64, "SI"))
	step(k)
	k.op("ADDQ", imm(stepBytes), "SI")
	k.op("DECQ", "AX")
	k.op("JNE", again)
	k.expandScales()
	k.op("DECQ", "CX")
	k.op("JNE", group)
	k.end()
	return k.function
}

// loadZeros takes the zero points of a group, each four times.
func (k expander) loadZeros() {
	if !k.zeros {
		return
	}
	for c := range 2 {
		zero := avx512.reg(expandZeros + c)
		k.op("VPMOVZXBD", mem(16*c, "R8"), zero)
		k.op("VPMULLD", avx512.reg(expandOnes), zero, zero)
	}
	k.op("ADDQ", imm(lanes), "R8")
}

// split leaves the signed codes of outputs 16c.. of a step in registers low and high.
func (k expander) split(c int, low, high string) {
	k.op("VMOVDQU32", mem(64*c, "SI"), low)
	k.op("VPSRLD", imm(4), low, high)
	for _, codes := range []string{low, high} {
		k.op("VPANDD", avx512.reg(expandNibbles), codes, codes)
		if !k.levels {
			k.op("VPSUBB", avx512.reg(expandZeros+c), codes, codes)
		}
	}
}

func (k expander) bytes() {
	for c := range 2 {
		low, high := avx512.reg(2*c), avx512.reg(2*c+1)
		k.split(c, low, high)
		k.op("VMOVDQU32", low, mem(64*c, "BX"))
		k.op("VMOVDQU32", high, mem(stepBytes+64*c, "BX"))
	}
	k.op("ADDQ", imm(2*stepBytes), "BX")
}

// bf16s looks every code up. An index is the lower bits of a word, so that a vector gives the first and the third of four codes, and shifted by a
// byte the second and the fourth.
func (k expander) bf16s() {
	for c := range 2 {
		low, high := avx512.reg(2*c), avx512.reg(2*c+1)
		k.split(c, low, high)
		for half, codes := range []string{low, high} {
			for pair := range 2 {
				if pair == 1 {
					k.op("VPSRLW", imm(8), codes, codes)
				}
				number := avx512.reg(4 + 4*c + 2*half + pair)
				k.op("VPERMW", avx512.reg(expandTable), codes, number)
				k.op("VMOVDQU32", number, mem((2*half+pair)*stepBytes+64*c, "BX"))
			}
		}
	}
	k.op("ADDQ", imm(4*stepBytes), "BX")
}

func (k expander) expandScales() {
	for c := range 2 {
		switch {
		case k.levels:
			k.op("VPMOVZXBD", mem(16*c, "R8"), "Z0")
			k.op("VPSLLD", imm(23), "Z0", "Z0")
		case k.scaleBytes == 2:
			k.op("VCVTPH2PS", mem(32*c, "SI"), "Z0")
		default:
			k.op("VMOVUPS", mem(64*c, "SI"), "Z0")
		}
		k.op("VMOVUPS", "Z0", mem(64*c, "DX"))
	}
	if k.levels {
		k.op("ADDQ", imm(lanes), "R8")
	} else {
		k.op("ADDQ", imm(lanes*k.scaleBytes), "SI")
	}
	k.op("ADDQ", imm(4*lanes), "DX")
}
