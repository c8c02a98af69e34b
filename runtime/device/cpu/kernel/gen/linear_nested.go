package main

// nestedGroup is the steps of u8 in a group: 32 k. A panel has half as many of its own.
const nestedGroup = 8

// Sizes of what a group has behind the scales: a byte with the steps of outputs i and 16+i, then offsets.
const (
	nestedSteps = lanes / 2
	nestedBytes = nestedSteps + lanes
)

// nested points to the steps of the group at hand.
const nested = "R13"

// nestedCodes makes codes of u8 out of those of u4n: code*step + offset, which are bytes. Words are multiplied: a product of 15*15 at most stays
// in its half.
type nestedCodes struct {
	*linearKernel
	centred bool // 128 is taken off the codes
}

// Registers, from the last one down.
const (
	nestedOffsets = 2 // of both vectors
	nestedFactors = 4
	nestedMask    = 5 // and below only where there are 32 registers
	nestedSpread  = 7 // where each output's factor and offset go
)

func (k nestedCodes) last(i int) string { return k.reg(k.registers - i) }

func (k nestedCodes) factor(c int) string { return k.last(nestedFactors - c) }
func (k nestedCodes) offset(c int) string { return k.last(nestedOffsets - c) }

// spread is the operand that copies 16 bytes, one for each output, to the words (0) or bytes (1) of the outputs' lanes.
func (k nestedCodes) spread(kind, c int) string {
	if k.wide() {
		return k.last(nestedSpread - kind)
	}
	return constantAt([]string{"spreadWords", "spreadBytes"}[kind], c*k.bytes)
}

func (k nestedCodes) lowNibbles() string {
	if k.wide() {
		return k.last(nestedMask)
	}
	return constant("lowNibbles")
}

func (k nestedCodes) loadConstants() {
	if !k.wide() {
		return
	}
	k.op("VPBROADCASTD", constant("lowNibbles"), k.lowNibbles())
	k.op("VMOVDQU32", constant("spreadWords"), k.spread(0, 0))
	k.op("VMOVDQU32", constant("spreadBytes"), k.spread(1, 0))
}

// loadGroup loads the steps and offsets of the group at hand; temp and another are overwritten.
func (k nestedCodes) loadGroup(temp, another string) {
	if k.wide() {
		for c := range k.nv {
			k.op("VBROADCASTI32X4", mem(0, nested), temp)
			if c > 0 {
				k.op("VPSRLW", imm(4), temp, temp)
			}
			k.op("VPANDD", k.lowNibbles(), temp, temp)
			k.op("VPSHUFB", k.spread(0, c), temp, k.factor(c))
			k.op("VBROADCASTI32X4", mem(nestedSteps+lanes/2*c, nested), temp)
			k.op("VPSHUFB", k.spread(1, c), temp, k.offset(c))
		}
		return
	}
	k.note("a pass has 16 outputs: the lower halves of steps, or the upper ones")
	k.op("MOVQ", column, scratch)
	k.op("SHRQ", imm(4), scratch)
	k.op("VMOVQ", scratch, xmm(another))
	k.op("VBROADCASTI128", mem(0, nested), temp)
	k.op("VPSRLW", xmm(another), temp, temp)
	k.op("VPAND", k.lowNibbles(), temp, temp)
	k.op("VBROADCASTI128", indexed(nestedSteps, nested, scratch, 4), another)
	if k.centred {
		k.op("VPXOR", constant("signBytes"), another, another)
	}
	for c := range k.nv {
		k.op("VPSHUFB", k.spread(0, c), temp, k.factor(c))
		k.op("VPSHUFB", k.spread(1, c), another, k.offset(c))
	}
}

// codes leaves the codes of vector c in step i of the group in dst.
func (k nestedCodes) codes(i, c int, dst string) {
	k.op(k.load(), mem(i/2*stepBytes+c*k.bytes, panel), dst)
	if i%2 > 0 {
		k.op("VPSRLW", imm(4), dst, dst)
	}
	k.op(k.and(), k.lowNibbles(), dst, dst)
	k.op("VPMULLW", k.factor(c), dst, dst)
	k.op("VPADDB", k.offset(c), dst, dst)
}

// linearNested is linearU8 with codes that are made as they are multiplied.
func linearNested(t isa, rows, digits int) *function {
	k := nestedCodes{newLinear("u4n", t, rows, digits, 2), !t.wide()}
	start, step := k.methodsU8(k.codes)
	k.loadConstants()
	k.passLoop(func() {
		k.op("MOVQ", k.arg("nested"), nested)
		k.segmentLoop(func() {
			start()
			group := k.newLabel("group")
			k.place(group)
			k.loadGroup(k.temp(k.used(), 0), k.temp(k.used(), 1))
			if k.streams() {
				k.note("steps and offsets lie apart from the stream: ask for the next panel's")
				k.op("MOVQ", k.arg("panelBytes"), scratch)
				k.op("PREFETCHT1", indexed(0, nested, scratch, 1))
			}
			for i := range nestedGroup {
				if i%2 == 0 {
					k.prefetch(i / 2)
				}
				step(i)
			}
			k.op("ADDQ", imm(nestedGroup/2*stepBytes), panel)
			k.op("ADDQ", imm(nestedGroup*4*digits), x)
			k.op("ADDQ", imm(nestedBytes), nested)
			k.op("DECQ", steps)
			k.op("JNE", group)
			k.scaleU8()
			k.op("ADDQ", imm(entry), entries)
		})
	})
	k.end()
	return k.function
}

// expandNested writes the codes of a panel as u8.
func expandNested(t isa) *function {
	f := newFunction("expandNested"+t.name, "writes the codes of groups of a panel of u4n as u8.", "dst, panel, nested unsafe.Pointer, groups int", "")
	k := nestedCodes{&linearKernel{function: f, isa: t, rows: 1, nv: 2, digits: 1}, false}
	pass, group := k.newLabel("pass"), k.newLabel("group")
	k.loadConstants()
	k.op("XORL", column, column)
	k.place(pass)
	for _, p := range (registers{{"dst", "DI"}, {"panel", panel}, {"nested", nested}, {"groups", steps}}) {
		k.op("MOVQ", k.param(p[0]), p[1])
	}
	if k.passes() > 1 {
		k.op("ADDQ", column, "DI")
		k.op("ADDQ", column, panel)
	}
	k.place(group)
	k.loadGroup(k.reg(0), k.reg(1))
	for i := range nestedGroup {
		if i%2 == 0 {
			k.op("PREFETCHT0", mem(expandAhead+i/2*stepBytes, panel))
			k.op("PREFETCHT0", mem(expandAhead+i/2*stepBytes+64, panel))
		}
		for c := range k.nv {
			k.codes(i, c, k.reg(c))
			k.op("VMOVUPS", k.reg(c), mem(i*stepBytes+c*k.bytes, "DI"))
		}
	}
	k.op("ADDQ", imm(nestedGroup*stepBytes), "DI")
	k.op("ADDQ", imm(nestedGroup/2*stepBytes), panel)
	k.op("ADDQ", imm(nestedBytes), nested)
	k.op("DECQ", steps)
	k.op("JNE", group)
	if k.passes() > 1 {
		k.op("ADDQ", imm(k.nv*k.bytes), column)
		k.op("CMPQ", column, imm(stepBytes))
		k.op("JNE", pass)
	}
	k.end()
	return k.function
}
