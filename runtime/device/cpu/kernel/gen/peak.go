package main

// Peak kernels do nothing but one instruction, or one read after the other: what the machine can do at best.

// peakChains is the number of independent accumulators: latency times throughput of a multiply-add, with room to spare.
const peakChains = 12

// peakOperations are the multiply-add instructions that linear kernels are made of, on registers.
var peakOperations = []struct {
	name  string
	isa   isa
	write func(f *function, t isa, acc int)
}{
	{"fma", avx2, func(f *function, t isa, acc int) { f.op("VFMADD231PS", t.reg(14), t.reg(15), t.reg(acc)) }},
	{"maddNibbles", avx2, maddNibbles},
	{"maddBytes", avx2, maddBytes},
	{"maddNibbles", avx512, maddNibbles},
	{"maddBytes", avx512, maddBytes},
	{"fma", avx512, func(f *function, t isa, acc int) { f.op("VFMADD231PS", t.reg(14), t.reg(15), t.reg(acc)) }},
	{"dotBytes", vnni, func(f *function, t isa, acc int) { f.op("VPDPBUSD", t.reg(14), t.reg(15), t.reg(acc)) }},
	{"dotTiles", amx, func(f *function, _ isa, acc int) { f.tileDot(dotSigned, tileA+acc%2, tileB+acc/2%2, tileSum+acc%4) }},
	{"dotTilesBF16", amx, func(f *function, _ isa, acc int) { f.tileDot(dotBF16Tiles, tileA+acc%2, tileB+acc/2%2, tileSum+acc%4) }},
	{"dotBF16", bf16, func(f *function, t isa, acc int) { f.dotBF16(14, 15, acc) }},
}

// maddNibbles is the least that 4-bit weights take without VNNI.
func maddNibbles(f *function, t isa, acc int) {
	f.op("VPMADDUBSW", t.reg(14), t.reg(15), t.reg(13))
	f.op("VPADDW", t.reg(13), t.reg(acc), t.reg(acc))
}

// maddBytes is the least that 8-bit weights take without VNNI.
func maddBytes(f *function, t isa, acc int) {
	f.op("VPMADDUBSW", t.reg(14), t.reg(15), t.reg(13))
	f.op("VPMADDWD", t.reg(14), t.reg(13), t.reg(13))
	f.op("VPADDD", t.reg(13), t.reg(acc), t.reg(acc))
}

// peakUnit writes package roofline's assembly.
func peakUnit() unit {
	u := unit{file: "roofline/zpeak"}
	for _, o := range peakOperations {
		f := newFunction(o.name+o.isa.name, "runs rounds rounds of 12 independent instructions.", "rounds int", "")
		f.op("MOVQ", f.param("rounds"), "AX")
		for i := range 16 {
			f.op("VXORPS", o.isa.reg(i), o.isa.reg(i), o.isa.reg(i))
		}
		if o.isa.tiles {
			f.op("LEAQ", constant("wholeTiles"), "AX")
			f.tileConfigure()
			f.op("MOVQ", f.param("rounds"), "AX")
		}
		f.place("again")
		for i := range peakChains {
			o.write(f, o.isa, i)
		}
		f.op("DECQ", "AX")
		f.op("JNE", "again")
		if o.isa.tiles {
			f.tileRelease()
		}
		f.end()
		u.functions = append(u.functions, f)
	}
	u.functions = append(u.functions, readFunction())
	return u
}

// readFunction reads memory front to back with 32-byte loads, which every target has, eight lines a round.
func readFunction() *function {
	f := newFunction("readAVX2", "reads n bytes, a multiple of 512, and returns their exclusive or folded to 64 bits.", "p unsafe.Pointer, n int", "x uint64")
	f.op("MOVQ", f.param("p"), "SI")
	f.op("MOVQ", f.param("n"), "AX")
	for i := range 8 {
		f.op("VPXOR", avx2.reg(i), avx2.reg(i), avx2.reg(i))
	}
	f.place("again")
	for i := range 16 {
		f.op("VPXOR", mem(32*i, "SI"), avx2.reg(i%8), avx2.reg(i%8))
	}
	f.op("ADDQ", imm(512), "SI")
	f.op("SUBQ", imm(512), "AX")
	f.op("JNE", "again")
	for i := 1; i < 8; i++ {
		f.op("VPXOR", avx2.reg(i), avx2.reg(0), avx2.reg(0))
	}
	f.op("VMOVQ", "X0", "AX")
	f.op("MOVQ", "AX", f.param("x"))
	f.end()
	return f
}
