package main

import "fmt"

// Rows become tiles before they are multiplied: a tile holds one digit of 64 bytes of 16 rows (of 32 bytes, where a group of 4-bit weights is
// no longer), and the tiles that a kernel reads follow each other.

// packRow writes the blocks of one row to its place in tiles. A block is 64 k (bf16: 32): digits*64 bytes. In tiles of 32 it becomes two.
func packRow(length, digits int) *function {
	name := fmt.Sprintf("packRow%dx%d", length, digits)
	f := newFunction(name+"AMX", "packs a row of blocks of 64 codes a digit; next is the distance of blocks in dst.",
		"dst, src unsafe.Pointer, blocks, next int", "")
	for _, p := range [][2]string{{"dst", "DI"}, {"src", "SI"}, {"blocks", "CX"}, {"next", "DX"}} {
		f.op("MOVQ", f.param(p[0]), p[1])
	}
	if digits == 2 {
		f.op("VPMOVZXBD", constant("evenWords"), "Z4")
		f.op("VPMOVZXBD", constant("oddWords"), "Z5")
	}
	again := f.newLabel("block")
	f.place(again)
	f.op("VMOVDQU32", "(SI)", "Z0")
	if digits == 2 {
		f.op("VMOVDQU32", "64(SI)", "Z2")
		f.op("VMOVDQA64", "Z0", "Z1")
		f.op("VPERMT2D", "Z2", "Z4", "Z0")
		f.op("VPERMT2D", "Z2", "Z5", "Z1")
	}
	for d := range digits {
		if length == 64 {
			f.op("VMOVDQU32", avx512.reg(d), mem(d*tileBytes, "DI"))
			continue
		}
		const half = tileBytes / 2
		f.op("VMOVDQU", fmt.Sprintf("Y%d", d), mem(d*half, "DI"))
		f.op("VEXTRACTI64X4", imm(1), avx512.reg(d), mem((digits+d)*half, "DI"))
	}
	f.op("ADDQ", imm(64*digits), "SI")
	f.op("ADDQ", "DX", "DI")
	f.op("DECQ", "CX")
	f.op("JNE", again)
	f.end()
	return f
}

// expand writes a panel's 4-bit codes as signed bytes, their zero points taken off, and the scales of its groups as f32.
func expand(v u4Variant) *function {
	f := newFunction("expand"+v.name+"AMX", "expands the groups of a panel to signed bytes and f32 scales.", "a *expandArgs", "")
	arg := func(name string) string { return field("expandArgs", name, "DI") }
	f.op("MOVQ", f.param("a"), "DI")
	for _, p := range [][2]string{{"panel", "SI"}, {"dst", "BX"}, {"scales", "DX"}, {"zeros", "R8"}, {"groups", "CX"}} {
		f.op("MOVQ", arg(p[0]), p[1])
	}
	f.op("VPBROADCASTD", constant("lowNibbles"), "Z4")
	f.op("VPBROADCASTD", constant("eights"), "Z5")
	f.op("VMOVDQA64", "Z5", "Z6")
	f.op("VPBROADCASTD", constant("oneBytes"), "Z7")
	group, step, whole := f.newLabel("group"), f.newLabel("step"), f.newLabel("whole")
	f.place(group)
	if v.zeros {
		for c := range 2 {
			f.op("VPMOVZXBD", mem(16*c, "R8"), avx512.reg(5+c))
			f.op("VPMULLD", "Z7", avx512.reg(5+c), avx512.reg(5+c))
		}
		f.op("ADDQ", imm(lanes), "R8")
	}
	f.op("MOVQ", arg("groupSteps"), "AX")
	f.op("CMPQ", "CX", imm(1))
	f.op("JNE", whole)
	f.op("MOVQ", arg("lastGroupSteps"), "AX")
	f.place(whole)
	f.place(step)
	f.op("PREFETCHT0", mem(expandAhead, "SI"))
	f.op("PREFETCHT0", mem(expandAhead+64, "SI"))
	for c := range 2 {
		low, high, zero := avx512.reg(2*c), avx512.reg(2*c+1), avx512.reg(5+c)
		f.op("VMOVDQU32", mem(64*c, "SI"), low)
		f.op("VPSRLD", imm(4), low, high)
		f.op("VPANDD", "Z4", low, low)
		f.op("VPANDD", "Z4", high, high)
		f.op("VPSUBB", zero, low, low)
		f.op("VPSUBB", zero, high, high)
		f.op("VMOVDQU32", low, mem(64*c, "BX"))
		f.op("VMOVDQU32", high, mem(stepBytes+64*c, "BX"))
	}
	f.op("ADDQ", imm(stepBytes), "SI")
	f.op("ADDQ", imm(2*stepBytes), "BX")
	f.op("DECQ", "AX")
	f.op("JNE", step)
	for c := range 2 {
		if v.scaleBytes == 2 {
			f.op("VCVTPH2PS", mem(32*c, "SI"), "Z0")
		} else {
			f.op("VMOVUPS", mem(64*c, "SI"), "Z0")
		}
		f.op("VMOVUPS", "Z0", mem(64*c, "DX"))
	}
	f.op("ADDQ", imm(lanes*v.scaleBytes), "SI")
	f.op("ADDQ", imm(4*lanes), "DX")
	f.op("DECQ", "CX")
	f.op("JNE", group)
	f.end()
	return f
}

// expandAhead is how far ahead of itself expand prefetches, bytes.
const expandAhead = 2048
