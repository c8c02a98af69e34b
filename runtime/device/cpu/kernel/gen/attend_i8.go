package main

import "fmt"

// Kernels for caches of 8-bit codes multiply integers, as those of 8-bit weights do: queries and softmax weights have two digits of 8 bits each,
// keys and values are unsigned codes, four to a lane. What the digits of a row stand for, and where sums start, is in its entry.

const (
	digitsI8 = 2
	quads    = positions / 4 // of a panel's positions
)

// int8Kernel is a kernel being written: sums are [digits][rows][nv] from register 0, as those of linearKernel.
type int8Kernel struct {
	linearKernel
	argsType string
}

func newInt8(name, doc, argsType string, t isa, rows int, stride string) *int8Kernel {
	f := newFunction(fmt.Sprintf("%sI8x%d%s", name, rows, t.name), doc, "a *"+argsType, "")
	k := &int8Kernel{linearKernel{function: f, isa: t, rows: rows, digits: digitsI8}, argsType}
	k.op("MOVQ", f.param("a"), args)
	k.loadStrides(k.field(stride), rows)
	return k
}

func (k *int8Kernel) field(name string) string { return field(k.argsType, name, args) }

// vectorsAtOnce is how many vectors of codes fit beside their sums and what a step needs, at most limit.
func (k *int8Kernel) vectorsAtOnce(limit int) int {
	n := limit
	for n > 1 && k.rows*digitsI8*n+k.temps(n) > k.registers {
		n /= 2
	}
	return n
}

// temps is the number of registers that a step needs for n vectors.
func (k *int8Kernel) temps(n int) int {
	switch {
	case k.vnni:
		return n + 2
	case k.wide():
		return 2*n + 3
	default:
		return 2*n + 2
	}
}

// start makes sums begin where codes' added 128 is undone; kernels that make signed numbers of codes begin at zero.
func (k *int8Kernel) start() {
	if !k.wide() {
		for i := range k.used() {
			k.op("VPXOR", k.reg(i), k.reg(i), k.reg(i))
		}
		return
	}
	k.op("MOVQ", k.field("entry"), entries)
	k.startAtBias()
}

// multiply is one step: the codes at vectors times the digits of the rows at x.
func (k *int8Kernel) multiply(vectors []string) {
	used, n := k.used(), len(vectors)
	first, second := func(c int) string { return k.temp(used, c) }, func(c int) string { return k.temp(used, n+c) }
	for c, at := range vectors {
		switch {
		case k.vnni:
			k.op(k.load(), at, first(c))
		case k.wide():
			k.op(k.load(), at, second(c))
			k.op("VPANDD.BCST", constant("evenBytes"), second(c), first(c))
			k.op("VPSRLW", imm(8), second(c), second(c))
		default:
			k.signed(at, first(c))
			k.op("VPABSB", first(c), second(c))
		}
	}
	v, w, product := k.temp(used, k.temps(n)-2), "", k.temp(used, k.temps(n)-1)
	if k.wide() && !k.vnni {
		w = k.temp(used, k.temps(n)-3)
	}
	k.eachDigit(0, func(r, d int, at string) {
		k.op("VPBROADCASTD", at, v)
		if w != "" {
			k.op("VPSLLW", imm(8), v, w)
			k.op("VPSRAW", imm(8), w, w)
			k.op("VPSRAW", imm(8), v, v)
		}
		for c := range vectors {
			sum := k.sum(r, d, c)
			switch {
			case k.vnni:
				k.op("VPDPBUSD", v, first(c), sum)
			case k.wide():
				k.op("VPMADDWD", first(c), w, product)
				k.op("VPADDD", product, sum, sum)
				k.op("VPMADDWD", second(c), v, product)
				k.op("VPADDD", product, sum, sum)
			default:
				k.addSigned(first(c), second(c), v, product, sum)
			}
		}
		if k.vnni { // the next number goes to the other register
			v, product = product, v
		}
	})
}

// scoreI8 multiplies query rows with panels of keys: all 16 positions of several panels, or half of one.
func scoreI8(t isa, rows int) *function {
	k := newInt8("score", fmt.Sprintf("multiplies the digits of %d query rows with panels of keys.", rows), "scoreArgs", t, rows, "qStride")
	k.op("MOVQ", k.field("panels"), panels)
	k.op("MOVQ", k.field("out"), output)
	for n := k.vectorsAtOnce(map[bool]int{true: 4, false: 1}[t.wide()]); n > 0; n /= 2 {
		k.nv = n
		k.panelLoop()
	}
	k.end()
	return k.function
}

// panelRegisters hold panels that are read together. At most six rows have strides in R8 to R10.
var panelRegisters = []string{panel, "R11", "R12", "R13"}

// panelLoop goes on while there are nv panels.
func (k *int8Kernel) panelLoop() {
	again, done := k.newLabel("panels"), k.newLabel("few")
	k.place(again)
	k.op("SUBQ", imm(k.nv), k.field("count"))
	k.op("JLT", done)
	for half := 0; half < 64; half += k.bytes {
		k.panelSums(half)
		k.storeScores(half)
	}
	k.op("ADDQ", imm(4*positions*k.nv), output)
	k.op("ADDQ", fmt.Sprintf("$(%d*scorePanel__size)", k.nv), panels)
	k.op("JMP", again)
	k.place(done)
	k.op("ADDQ", imm(k.nv), k.field("count"))
}

func (k *int8Kernel) panelField(name string, p int) string {
	return fmt.Sprintf("(%d*scorePanel__size+scorePanel_%s)(%s)", p, name, panels)
}

// panelSums multiplies the lanes from byte half of each step on.
func (k *int8Kernel) panelSums(half int) {
	inner := k.newLabel("lines")
	k.start()
	for p, register := range panelRegisters[:k.nv] {
		k.op("MOVQ", k.panelField("scales", p), register)
		k.op("PREFETCHT0", mem(0, register))
		k.op("MOVQ", k.panelField("k", p), register)
	}
	k.op("MOVQ", k.field("ahead"), ahead)
	k.op("MOVQ", k.field("q"), x)
	k.op("MOVQ", k.field("lines"), steps)
	k.place(inner)
	var vectors []string
	for _, register := range panelRegisters[:k.nv] {
		vectors = append(vectors, mem(half, register))
		k.op("PREFETCHT1", indexed(0, register, ahead, 1))
	}
	k.multiply(vectors)
	for _, register := range panelRegisters[:k.nv] {
		k.op("ADDQ", imm(4*positions), register)
	}
	k.op("ADDQ", imm(4*digitsI8), x)
	k.op("DECQ", steps)
	k.op("JNE", inner)
}

// storeScores turns sums into scores.
func (k *int8Kernel) storeScores(half int) {
	scale, factor := k.temp(k.used(), 0), k.temp(k.used(), 1)
	for p := range k.nv {
		k.op("MOVQ", k.panelField("scales", p), panel)
		k.op("VCVTPH2PS", mem(half/2, panel), scale)
		k.op("MOVQ", k.field("entry"), entries)
		k.op("MOVQ", output, x)
		for r := range k.rows {
			k.op("VBROADCASTSS", mem(entryScale, entries), factor)
			k.op("VMULPS", scale, factor, factor)
			v := k.join(k.sum, r, p)
			k.op("VMULPS", factor, v, v)
			k.op("VMOVUPS", v, mem(half+4*positions*p, x))
			k.op("ADDQ", k.field("outStride"), x)
			k.op("ADDQ", "R8", entries)
		}
	}
}

// valueI8 sums values weighted by rows of digits, for all channels.
func valueI8(t isa, rows int) *function {
	k := newInt8("value", fmt.Sprintf("sums values weighted by the digits of %d rows.", rows), "integerValueArgs", t, rows, "pStride")
	k.op("MOVQ", k.field("vStride"), valueRow)
	k.op("MOVQ", k.field("column"), column)
	for n := k.vectorsAtOnce(2); n > 0; n /= 2 {
		k.nv = n
		k.channelLoop()
	}
	k.end()
	return k.function
}

// channelLoop goes on while there are as many channels as nv vectors have.
func (k *int8Kernel) channelLoop() {
	again, next, inner, done := k.newLabel("channels"), k.newLabel("panel"), k.newLabel("quads"), k.newLabel("few")
	k.place(again)
	k.op("LEAQ", mem(k.nv*k.bytes, column), "AX")
	k.op("CMPQ", "AX", k.field("width"))
	k.op("JGT", done)
	k.start()
	k.op("MOVQ", k.field("panels"), "BX")
	k.op("MOVQ", k.field("count"), panels)
	k.op("MOVQ", k.field("p"), x)
	var vectors []string
	for c := range k.nv {
		vectors = append(vectors, mem(c*k.bytes, panel))
	}
	k.place(next)
	k.op("MOVQ", field("scorePanel", "v", "BX"), panel)
	k.op("ADDQ", column, panel)
	k.op("MOVQ", field("scorePanel", "ahead", "BX"), ahead)
	k.op("ADDQ", column, ahead)
	k.op("MOVQ", imm(quads), steps)
	k.place(inner)
	for line := 0; line < k.nv*k.bytes; line += 64 {
		k.op("PREFETCHT1", mem(line, ahead))
	}
	k.multiply(vectors)
	k.op("ADDQ", valueRow, ahead)
	k.op("ADDQ", valueRow, panel)
	k.op("ADDQ", imm(4*digitsI8), x)
	k.op("DECQ", steps)
	k.op("JNE", inner)
	k.op("ADDQ", "$scorePanel__size", "BX")
	k.op("DECQ", panels)
	k.op("JNE", next)
	k.storeValues()
	k.op("ADDQ", imm(k.nv*k.bytes), column)
	k.op("JMP", again)
	k.place(done)
}

// storeValues turns sums into values.
func (k *int8Kernel) storeValues() {
	scale := k.temp(k.used(), 0)
	k.op("MOVQ", k.field("entry"), entries)
	k.op("MOVQ", k.field("out"), output)
	k.op("ADDQ", column, output)
	for r := range k.rows {
		k.op("VBROADCASTSS", mem(entryScale, entries), scale)
		for c := range k.nv {
			v := k.join(k.sum, r, c)
			k.op("VMULPS", scale, v, v)
			k.op("VMOVUPS", v, mem(c*k.bytes, output))
		}
		k.op("ADDQ", k.field("outStride"), output)
		k.op("ADDQ", "R8", entries)
	}
}
