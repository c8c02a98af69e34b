package main

import "fmt"

// turnChannels is how many channels of a panel of keys are turned into values at a time: a line of a row of values.
const turnChannels = 16

// turn makes values of the keys of 16 positions. A line of a panel has a pair or a quad of channels of each position; first these change places within
// their pair or quad of positions, then lines with rows, which have as many positions.
func turn(kind dotKind, t isa) *function {
	const order = 31
	lines := turnChannels / 2
	if kind.name == "i8" {
		lines = turnChannels / 4
	}
	f := newFunction("turn"+upper(kind.name)+t.name, "makes values, rows vRow bytes apart, of blocks of 16 channels of a panel of keys.",
		"dst, panel unsafe.Pointer, blocks, vRow int", "")
	for _, p := range (registers{{"dst", "DI"}, {"panel", "SI"}, {"blocks", "CX"}}) {
		f.op("MOVQ", f.param(p[0]), p[1])
	}
	f.loadStrides(f.param("vRow"), lines)
	f.op("VBROADCASTI32X4", constant("turn"+upper(kind.name)), t.reg(order))
	again := f.newLabel("block")
	f.place(again)
	for i := range lines {
		f.op("VMOVDQU32", mem(64*i, "SI"), t.reg(i))
		f.op("VPSHUFB", t.reg(order), t.reg(i), t.reg(i))
	}
	if lines == 4 {
		f.turnQuarters(t, 0, 1, 0, 1)
	} else {
		for i := 0; i < lines; i += 2 { // rows 2j and 2j+1 of two lines side by side
			f.op("VPUNPCKLQDQ", t.reg(i+1), t.reg(i), t.reg(lines+i))
			f.op("VPUNPCKHQDQ", t.reg(i+1), t.reg(i), t.reg(lines+i+1))
		}
		f.turnQuarters(t, lines, 2, 0, 2)
		f.turnQuarters(t, lines+1, 2, 1, 2)
	}
	f.op("ADDQ", imm(64*lines), "SI")
	f.op("ADDQ", imm(64), "DI")
	f.op("DECQ", "CX")
	f.op("JNE", again)
	f.end()
	return f
}

// turnQuarters stores the quarters of four registers, the first ones together, and so on: to row, and step rows on each time.
func (f *function) turnQuarters(t isa, register, apart, row, step int) {
	const even, odd = 0x88, 0xdd // the quarters 0 and 2, and 1 and 3, of both
	const halves, whole = 16, 20
	quarters := func(which, a, b, to int) {
		f.op("VSHUFI64X2", fmt.Sprintf("$0x%02x", which), t.reg(b), t.reg(a), t.reg(to))
	}
	for half := range 2 {
		a, b := register+2*half*apart, register+(2*half+1)*apart
		quarters(even, a, b, halves+2*half)
		quarters(odd, a, b, halves+2*half+1)
	}
	for q, from := range []struct{ which, half int }{{even, 0}, {even, 1}, {odd, 0}, {odd, 1}} {
		quarters(from.which, halves+from.half, halves+2+from.half, whole+q)
		f.op("VMOVDQU32", t.reg(whole+q), rowAt(0, "DI", row+q*step))
	}
}
