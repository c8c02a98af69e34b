package main

import (
	"fmt"

	"llmc/engine/layout"
	"llmc/internal/quant"
)

// What is written to caches of codes whose scales are looked for: what a row would lose with a scale, codes of 4 bits, and what kernels make of these.

const greater = 14 // of floating point comparisons

// lossOf adds up the squares of what rounded leaves of magnitudes times inverse. rounded turns register 0's copy, in the register that it is given, into
// what its code stands for; registers from scratch on are its own.
func lossOf(rounded func(k *rowKernel, v, copied string, scratch int)) func(k *rowKernel) {
	return func(k *rowKernel) {
		sums := sumLanes / k.lanes()
		v, copied, inverse := k.reg(sums), k.reg(sums+1), k.reg(sums+2)
		k.arguments("x", in, "n", count)
		k.broadcast("inverse", inverse)
		k.sumInLanes(f32s(in), "squares", func(sum string) {
			k.load(in, v)
			k.op("VMULPS", inverse, v, v)
			k.op(k.bcst("VANDPS"), constant("absBits"), v, v)
			rounded(k, v, copied, sums+3)
			switch { // a lane beyond the row has a number, but loses nothing
			case !k.masked:
				k.op("VSUBPS", v, copied, copied)
			case k.wide():
				k.op("VSUBPS.Z", v, copied, "K1", copied)
			default:
				k.op("VSUBPS", v, copied, copied)
				k.op("VANDPS", k.tail(), copied, copied)
			}
			k.op("VFMADD231PS", copied, copied, sum)
		})
	}
}

// roundE4M3 rounds magnitudes as codeE4M3 does.
func roundE4M3(k *rowKernel, v, copied string, scratch int) {
	small, odd := k.reg(scratch), k.reg(scratch+1)
	k.op(k.bcst("VMINPS"), constant("e4m3Most"), v, copied)
	k.op(k.bcst("VADDPS"), constant("e4m3Magic"), copied, small)
	k.op(k.bcst("VSUBPS"), constant("e4m3Magic"), small, small)
	k.op("VPSRLD", imm(20), copied, odd)
	k.op(k.bcst(k.and()), constant("oneBit"), odd, odd)
	k.op(k.bcst("VPADDD"), constant("e4m3Half"), odd, odd)
	k.op("VPADDD", copied, odd, odd)
	k.op(k.bcst(k.and()), constant("e4m3Kept"), odd, odd)
	if k.wide() {
		k.above(copied, "e4m3Small", "", "K3")
		k.op("VMOVAPS", small, copied)
		k.op("VMOVAPS", odd, "K3", copied)
		return
	}
	k.above(copied, "e4m3Small", copied, "")
	k.op("VBLENDVPS", copied, odd, small, copied)
}

// aboveBound compares magnitudes v with a bound of int4: in a mask register of AVX-512, else in lanes.
func aboveBound(k *rowKernel, i int, v, lanes string) {
	bound := constant(fmt.Sprint("kvBound", i))
	if k.wide() {
		k.op("VCMPPS.BCST", imm(greater), bound, v, "K2")
		return
	}
	k.op("VCMPPS", imm(greater), bound, v, lanes)
}

// levelU4 is the level of magnitudes.
func levelU4(k *rowKernel, v, copied string, scratch int) {
	above := k.reg(scratch)
	k.op("VBROADCASTSS", constant("one"), copied)
	for i := range quant.KVBounds {
		step := constant(fmt.Sprint("kvStep", i))
		aboveBound(k, i, v, above)
		if k.wide() {
			k.op("VADDPS.BCST", step, copied, "K2", copied)
			continue
		}
		k.op("VANDPS", step, above, above)
		k.op("VADDPS", above, copied, copied)
	}
}

// codesU4 stores codes of 4 bits, each in a byte, of numbers times inverse.
func codesU4(k *rowKernel) {
	v, inverse, codes, above := k.reg(0), k.reg(1), k.reg(2), k.reg(3)
	k.arguments("dst", out, "x", in, "n", count)
	k.broadcast("inverse", inverse)
	k.walk([]pointer{{in, 4}, {out, 1}}, 1, func() {
		k.load(in, v)
		k.op("VMULPS", inverse, v, v)
		k.op("VPSRLD", imm(31), v, codes)
		k.op("VPSLLD", imm(3), codes, codes)
		k.op(k.bcst("VANDPS"), constant("absBits"), v, v)
		for i := range quant.KVBounds {
			aboveBound(k, i, v, above)
			if k.wide() {
				k.op("VPADDD.BCST", constant("oneBit"), codes, "K2", codes)
			} else {
				k.op("VPSUBD", above, codes, codes)
			}
		}
		if k.wide() {
			k.op("VPMOVDB", codes, xmm(codes))
		} else {
			k.op("VEXTRACTI128", imm(1), codes, xmm(above))
			k.op("VPACKUSDW", xmm(above), xmm(codes), xmm(codes))
			k.op("VPACKUSWB", xmm(codes), xmm(codes), xmm(codes))
		}
		k.storeElements(xmm(codes), 1)
	})
}

// openU4 makes two lines of codes of i8 of each line of codes of 4 bits: of the lower halves of its bytes, then of the upper ones.
func openU4(k *rowKernel) {
	k.arguments("dst", out, "src", in, "lines", count, "ahead", other)
	levels, low := k.reg(0), k.reg(1)
	if k.wide() {
		k.op("VBROADCASTI32X4", constant("kvLevels"), levels)
	} else {
		k.op("VMOVDQU", constant("kvLevels"), levels)
	}
	k.op("VPBROADCASTD", constant("lowNibbles"), low)
	again := k.newLabel("line")
	k.place(again)
	k.op("PREFETCHT0", mem(0, other))
	for c := range layout.Align / k.bytes {
		a, b := k.reg(2+2*c), k.reg(3+2*c)
		k.op(k.isa.load(), mem(c*k.bytes, in), a)
		k.op("VPSRLW", imm(4), a, b)
		for i, v := range []string{a, b} {
			k.op(k.and(), low, v, v)
			k.op("VPSHUFB", v, levels, v)
			k.op(k.isa.load(), v, mem(i*layout.Align+c*k.bytes, out))
		}
	}
	k.op("ADDQ", imm(layout.Align), in)
	k.op("ADDQ", imm(layout.Align), other)
	k.op("ADDQ", imm(2*layout.Align), out)
	k.op("DECQ", count)
	k.op("JNE", again)
}
