package main

import "fmt"

// Registers of Hadamard transforms beside those of rows.
const (
	step   = "R9"  // bytes between numbers that meet
	triple = "R10" // three times that
	group  = "R11" // where the numbers of a group end
)

// swaps are the stages within a vector: the distance of lanes that meet, and the shuffle that swaps them.
func (k *rowKernel) swaps() []struct {
	mnemonic string
	imm      int
	self     bool // the vector is both sources
} {
	type swap = struct {
		mnemonic string
		imm      int
		self     bool
	}
	list := []swap{{"VPERMILPS", 0xb1, false}, {"VPERMILPS", 0x4e, false}}
	if k.wide() {
		return append(list, swap{"VSHUFF32X4", 0xb1, true}, swap{"VSHUFF32X4", 0x4e, true})
	}
	return append(list, swap{"VPERM2F128", 0x01, true})
}

// hadamardVectors multiplies each vector of x, times scale, with the matrix of its lanes. n is a multiple of the lanes.
func hadamardVectors(k *rowKernel) {
	const signs = 8 // first of the registers with -1 for the upper of two lanes that meet, 1 for the lower
	k.arguments("dst", out, "x", in, "n", count)
	k.broadcast("scale", k.reg(2))
	for i := range k.swaps() {
		k.op("VMOVUPS", fmt.Sprintf("laneSigns<>+%d(SB)", 64*i), k.reg(signs+i))
	}
	k.walk(f32s(out, in), 2, func() {
		v, other := k.reg(2*k.vectorIndex+3), k.reg(2*k.vectorIndex+4)
		k.load(in, v)
		k.op("VMULPS", k.reg(2), v, v)
		for i, s := range k.swaps() {
			if s.self {
				k.op(s.mnemonic, imm(s.imm), v, v, other)
			} else {
				k.op(s.mnemonic, imm(s.imm), v, other)
			}
			k.op("VFMADD213PS", other, k.reg(signs+i), v)
		}
		k.store(v, out)
	})
}

// hadamardPairs is a stage between vectors: numbers that are distance apart become their sum and their difference. n is a multiple of twice the
// distance, that of the lanes.
func hadamardPairs(k *rowKernel) {
	k.eachGroup(2, func() {
		a, b, sum := k.reg(0), k.reg(1), k.reg(2)
		second := indexed(0, in, step, 1)
		k.op("VMOVUPS", mem(0, in), a)
		k.op("VMOVUPS", second, b)
		k.op("VADDPS", b, a, sum)
		k.op("VSUBPS", b, a, b)
		k.op("VMOVUPS", sum, mem(0, in))
		k.op("VMOVUPS", b, second)
	})
}

// hadamardQuads is two such stages, with one and with twice the distance.
func hadamardQuads(k *rowKernel) {
	k.eachGroup(4, func() {
		at := []string{mem(0, in), indexed(0, in, step, 1), indexed(0, in, step, 2), indexed(0, in, triple, 1)}
		for i, a := range at {
			k.op("VMOVUPS", a, k.reg(i))
		}
		butterfly := func(a, b, sum, difference int) {
			k.op("VADDPS", k.reg(b), k.reg(a), k.reg(sum))
			k.op("VSUBPS", k.reg(b), k.reg(a), k.reg(difference))
		}
		butterfly(0, 1, 4, 5)
		butterfly(2, 3, 6, 7)
		butterfly(4, 6, 0, 2)
		butterfly(5, 7, 1, 3)
		for i, a := range at {
			k.op("VMOVUPS", k.reg(i), a)
		}
	})
}

// eachGroup writes body for each vector of the first of the size parts, distance apart, that a group of numbers consists of.
func (k *rowKernel) eachGroup(size int, body func()) {
	groups, vectors, done := k.newLabel("group"), k.newLabel("vector"), k.newLabel("done")
	k.arguments("x", in, "n", count, "distance", step)
	k.op("LEAQ", indexed(0, in, count, 4), out) // the end
	k.op("SHLQ", imm(2), step)
	k.op("LEAQ", indexed(0, step, step, 2), triple)
	k.place(groups)
	k.op("CMPQ", in, out)
	k.op("JGE", done)
	k.op("LEAQ", indexed(0, in, step, 1), group)
	k.place(vectors)
	body()
	k.op("ADDQ", imm(k.bytes), in)
	k.op("CMPQ", in, group)
	k.op("JLT", vectors)
	for range size - 1 {
		k.op("ADDQ", step, in)
	}
	k.op("JMP", groups)
	k.place(done)
}
