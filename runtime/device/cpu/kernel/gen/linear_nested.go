package main

// nestedGroup is the steps of u8 in a group: 32 k. A panel has half as many of its own.
const nestedGroup = 8

// Sizes of what a group has behind the scales: a byte with the steps of outputs i and 16+i, then offsets.
const (
	nestedSteps = lanes / 2
	nestedBytes = nestedSteps + lanes
)

// nestedAhead is streamAhead of u4n: Zen 4 does not prefetch the codes by itself where steps and offsets are read beside them.
const nestedAhead = 4096

// nested points to the steps of the group at hand.
const nested = "R13"

// nestedCodes makes codes of u8 out of those of u4n: code*step + offset, which are bytes. Words are multiplied: a product of 15*15 at most stays
// in its half.
type nestedCodes struct{ *linearKernel }

// Registers that hold what is the same for all steps of a group, and for all groups.
const (
	nestedOffset  = 30 // two, for 16 outputs each
	nestedFactor  = 28 // two
	nestedNibbles = 27
	nestedWords   = 26 // where each output's factor goes
	nestedByte    = 25 // where each output's offset goes
)

func (k nestedCodes) loadConstants() {
	k.op("VPBROADCASTD", constant("lowNibbles"), k.reg(nestedNibbles))
	k.op("VMOVDQU32", constant("spreadWords"), k.reg(nestedWords))
	k.op("VMOVDQU32", constant("spreadBytes"), k.reg(nestedByte))
}

// loadGroup loads the steps and offsets of the group at base+disp; temp is overwritten.
func (k nestedCodes) loadGroup(base string, disp int, temp string) {
	for c := range 2 {
		k.op("VBROADCASTI32X4", mem(disp, base), temp)
		if c > 0 {
			k.op("VPSRLW", imm(4), temp, temp)
		}
		k.op("VPANDD", k.reg(nestedNibbles), temp, temp)
		k.op("VPSHUFB", k.reg(nestedWords), temp, k.reg(nestedFactor+c))
		k.op("VBROADCASTI32X4", mem(disp+nestedSteps+lanes/2*c, base), temp)
		k.op("VPSHUFB", k.reg(nestedByte), temp, k.reg(nestedOffset+c))
	}
}

// codes leaves the codes of vector c in step i of the group in dst.
func (k nestedCodes) codes(i, c int, dst string) {
	k.op("VMOVDQU32", mem(i/2*stepBytes+c*k.bytes, panel), dst)
	if i%2 > 0 {
		k.op("VPSRLW", imm(4), dst, dst)
	}
	k.op("VPANDD", k.reg(nestedNibbles), dst, dst)
	k.op("VPMULLW", k.reg(nestedFactor+c), dst, dst)
	k.op("VPADDB", k.reg(nestedOffset+c), dst, dst)
}

// linearNested multiplies with u4n as linearU8 does with u8, to the same bits: with VPDPBUSD codes are made as they are multiplied, else the sums of
// groups are.
func linearNested(t isa, rows, digits int) *function {
	if !t.vnni {
		return linearNestedSums(t, rows, digits)
	}
	k := nestedCodes{newLinear("u4n", t, rows, digits, 2)}
	k.early = nestedAhead
	k.loadConstants()
	k.passLoop(func() {
		k.op("MOVQ", k.arg("nested"), nested)
		k.segmentLoop(func() {
			k.startAtBias()
			k.nestedLoop(func() {
				k.loadGroup(nested, 0, k.temp(k.used(), 0))
				for i := range nestedGroup {
					if i%2 == 0 {
						k.prefetch(i / 2)
					}
					k.stepDotU8(i, k.codes)
				}
			})
			k.scaleU8()
			k.op("ADDQ", imm(entry), entries)
		})
	})
	k.end()
	return k.function
}

// nestedLoop writes body for the groups of a segment.
func (k *linearKernel) nestedLoop(body func()) {
	group := k.newLabel("group")
	k.place(group)
	if k.streams() {
		k.note("steps and offsets lie apart from the stream: ask for the next panel's")
		k.op("MOVQ", k.arg("panelBytes"), scratch)
		k.op("PREFETCHT1", indexed(0, nested, scratch, 1))
	}
	body()
	k.op("ADDQ", imm(nestedGroup/2*stepBytes), panel)
	k.op("ADDQ", imm(nestedGroup*4*k.digits), x)
	k.op("ADDQ", imm(nestedBytes), nested)
	k.op("DECQ", steps)
	k.op("JNE", group)
}

// expandNested writes the codes of a panel as u8.
func expandNested(t isa) *function {
	f := newFunction("expandNested"+t.name, "writes the codes of groups of a panel of u4n as u8.", "dst, panel, nested unsafe.Pointer, groups int", "")
	k := nestedCodes{&linearKernel{function: f, isa: t, rows: 1, nv: 2, digits: 1}}
	k.loadConstants()
	for _, p := range (registers{{"dst", "DI"}, {"panel", panel}, {"nested", nested}, {"groups", steps}}) {
		k.op("MOVQ", k.param(p[0]), p[1])
	}
	group := k.newLabel("group")
	k.place(group)
	k.loadGroup(nested, 0, "Z0")
	for i := range nestedGroup {
		if i%2 == 0 {
			k.op("PREFETCHT0", mem(expandAhead+i/2*stepBytes, panel))
			k.op("PREFETCHT0", mem(expandAhead+i/2*stepBytes+64, panel))
		}
		for c := range 2 {
			k.codes(i, c, k.reg(c))
			k.op("VMOVUPS", k.reg(c), mem(i*stepBytes+c*k.bytes, "DI"))
		}
	}
	k.op("ADDQ", imm(nestedGroup*stepBytes), "DI")
	k.op("ADDQ", imm(nestedGroup/2*stepBytes), panel)
	k.op("ADDQ", imm(nestedBytes), nested)
	k.op("DECQ", steps)
	k.op("JNE", group)
	k.end()
	return k.function
}
