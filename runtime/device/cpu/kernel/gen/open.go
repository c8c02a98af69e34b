package main

import "strings"

// openVariant is a way to store weights whose numbers are made before they are multiplied: see layout/open.go.
type openVariant struct {
	kind   string // constant of package kernel
	name   string
	doc    string
	levels bool // codes are looked up, scales are f32; else codes have a fifth bit, scales and minimums are f16
	split  bool // of levels: groups have a second scale, and say from which k on
}

var openVariants = []openVariant{
	{"openLevels", "openLevels", "writes the numbers of codes that a table says, times a scale.", true, false},
	{"openFifths", "openFifths", "writes the numbers of codes of five bits, times a scale, plus a minimum.", false, false},
	{"openSplit", "openSplit", "writes the numbers of codes that a table says, times the first scale or the second.", true, true},
}

// Registers of such functions.
const (
	openGroup  = "SI" // steps of the group at hand
	openTo     = "DI"
	openGroups = "CX"
	openSteps  = "DX" // bytes of a group's steps
	openScales = "R8" // scales of the group at hand, or its fifth bits
	openFrom   = "R9"
	openDst    = "R10"
	openLeft   = "R11"
)

// openAhead is how far ahead panels are asked for, bytes.
const openAhead = 2048

type openKernel struct {
	*function
	isa
	openVariant
}

// Vector registers.
func (k *openKernel) codes() string    { return k.reg(0) }
func (k *openKernel) fifths() string   { return k.reg(1) }
func (k *openKernel) scale() string    { return k.reg(2) }
func (k *openKernel) minimum() string  { return k.reg(3) }
func (k *openKernel) table() string    { return k.reg(4) }
func (k *openKernel) low() string      { return k.reg(4) } // 15 in each lane
func (k *openKernel) sixteens() string { return k.reg(5) }
func (k *openKernel) free(i int) string {
	return k.reg(6 + i)
}

// open writes the numbers of whole groups, one vector of outputs of a group after the other.
func open(v openVariant, t isa) *function {
	k := &openKernel{newFunction(v.name+t.name, v.doc, "a *openArgs", ""), t, v}
	k.op("MOVQ", k.param("a"), "AX")
	k.op("MOVQ", field("openArgs", "panel", "AX"), openGroup)
	k.op("MOVQ", field("openArgs", "dst", "AX"), openTo)
	k.op("MOVQ", field("openArgs", "groups", "AX"), openGroups)
	k.op("MOVQ", field("openArgs", "steps", "AX"), openSteps)
	k.op("SHLQ", imm(7), openSteps)
	k.loadTables()
	group := k.newLabel("group")
	k.place(group)
	k.op("LEAQ", indexed(0, openGroup, openSteps, 1), openScales)
	for c := range lanes / k.lanes() {
		k.outputs(c)
	}
	k.note("on to the next group: eight k a step, of 128 bytes each")
	k.op("LEAQ", indexed(0, openTo, openSteps, 8), openTo)
	k.op("LEAQ", mem(k.behind(), openScales), openGroup)
	k.op("DECQ", openGroups)
	k.op("JNE", group)
	k.end()
	return k.function
}

// behind is what a group has behind its steps, bytes.
func (k *openKernel) behind() int {
	switch {
	case k.split:
		return 9 * lanes
	case k.levels:
		return 4 * lanes
	}
	return stepBytes + 2*2*lanes
}

func (k *openKernel) loadTables() {
	if !k.levels {
		k.op("VPBROADCASTD", constant("lowBits"), k.low())
		k.op("VPBROADCASTD", constant("sixteens"), k.sixteens())
		return
	}
	k.op("MOVQ", field("openArgs", "table", "AX"), "AX")
	if k.wide() {
		k.op("VMOVUPS", mem(0, "AX"), k.table())
		return
	}
	k.loadPlanes()
}

// outputs writes vector c of a group.
func (k *openKernel) outputs(c int) {
	if k.levels {
		k.op("VMOVUPS", mem(c*k.bytes, openScales), k.scale())
	} else {
		k.op(k.load(), mem(c*k.bytes, openScales), k.fifths())
		k.op("VCVTPH2PS", mem(stepBytes+c*k.bytes/2, openScales), k.scale())
		k.op("VCVTPH2PS", mem(stepBytes+2*lanes+c*k.bytes/2, openScales), k.minimum())
	}
	if k.split {
		k.op("VMOVUPS", mem(4*lanes+c*k.bytes, openScales), k.second())
		k.op("VPMOVZXBD", mem(8*lanes+c*k.lanes(), openScales), k.left())
	}
	k.op("LEAQ", mem(c*k.bytes, openGroup), openFrom)
	k.op("LEAQ", mem(c*k.bytes, openTo), openDst)
	k.op("MOVQ", openSteps, openLeft)
	step := k.newLabel("step")
	k.place(step)
	if c*k.bytes%64 == 0 {
		k.op("PREFETCHT0", mem(openAhead, openFrom))
	}
	k.op(k.load(), mem(0, openFrom), k.codes())
	if k.levels && !k.wide() {
		k.planeLevels()
	} else {
		for i := range 8 {
			if k.levels {
				k.level(i)
			} else {
				k.fifth(i)
			}
		}
	}
	if !k.levels {
		k.op("VPSRLD", imm(8), k.fifths(), k.fifths())
	}
	k.op("ADDQ", imm(stepBytes), openFrom)
	k.op("ADDQ", imm(8*stepBytes), openDst)
	k.op("SUBQ", imm(stepBytes), openLeft)
	k.op("JNE", step)
}

// shifted leaves the codes of k i of a step in the low bits of lanes, of which others are not zero, and returns where.
func (k *openKernel) shifted(i int, free string) string {
	at := i%4*8 + i/4*4
	if at == 0 {
		return k.codes()
	}
	k.op("VPSRLD", imm(at), k.codes(), free)
	return free
}

// level looks up the numbers of k i of a step: VPERMPS takes the lowest bits of a lane as the index.
func (k *openKernel) level(i int) {
	v := k.free(i % 2)
	k.op("VPERMPS", k.table(), k.shifted(i, v), v)
	k.op("VMULPS", k.scale(), v, v)
	k.op("VMOVUPS", v, mem(i*stepBytes, openDst))
}

// fifth puts the codes of k i of a step together and makes numbers of them.
func (k *openKernel) fifth(i int) {
	v, bit := k.free(2*(i%2)), k.free(2*(i%2)+1)
	and, or := k.and(), strings.Replace(k.and(), "AND", "OR", 1)
	k.op(and, k.low(), k.shifted(i, v), v)
	switch {
	case i < 4:
		k.op("VPSLLD", imm(4-i), k.fifths(), bit)
	case i > 4:
		k.op("VPSRLD", imm(i-4), k.fifths(), bit)
	}
	from := bit
	if i == 4 {
		from = k.fifths()
	}
	k.op(and, k.sixteens(), from, bit)
	k.op(or, bit, v, v)
	k.op("VCVTDQ2PS", v, v)
	k.op("VFMADD213PS", k.minimum(), k.scale(), v)
	k.op("VMOVUPS", v, mem(i*stepBytes, openDst))
}

// openUnits writes one file per instruction set.
func openUnits() []unit {
	var units []unit
	for _, t := range []isa{avx2, avx512} {
		u := unit{file: "zopen_" + strings.ToLower(t.name)}
		u.table = "// openKernels" + t.name + " make numbers of codes.\nvar openKernels" + t.name + " = [openKinds]openFunc{\n"
		add := func(kind string, f *function) {
			u.functions = append(u.functions, f)
			u.table += "\t" + kind + ": " + f.name + ",\n"
		}
		for _, v := range openVariants {
			if v.split && t.wide() {
				u.table += "\t" + v.kind + ": " + v.name + avx2.name + ",\n"
				continue
			}
			add(v.kind, open(v, t))
		}
		add("openOrdered", openOrdered(t, false))
		add("openOrderedBytes", openOrdered(t, true))
		add("openFloat8", openFloat8(t))
		u.table += "}\n"
		units = append(units, u)
	}
	return units
}
