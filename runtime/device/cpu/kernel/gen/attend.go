package main

import (
	"fmt"
	"slices"
)

// Sizes of attention kernels.
const (
	positions = 16 // of a panel of keys
	wideNV    = 64 // channels of a wide value kernel
)

// Registers of attention kernels beside those of linear kernels: panel is the next key or value, x the queries or weights.
const (
	panels   = "CX" // runs left, or a panel
	output   = "R15"
	valueRow = "R13" // distance of values
	entryAt  = "BX"  // *scorePanel or *valueRun at hand
	narrowed = "R12" // column, in bytes of values
)

// keyPanels hold the addresses of panels that are read together, beside the row registers of as many rows as panelsAtOnce allows for.
var keyPanels = []string{panel, panels, "R13", "R12"}

// attendKernel multiplies rows rows with nv vectors at a time.
type attendKernel struct {
	*function
	isa
	kind     dotKind
	rows, nv int
}

func newAttend(name, doc, argsType string, kind dotKind, t isa, rows int) *attendKernel {
	f := newFunction(fmt.Sprintf("%s%sx%d%s", name, upper(kind.name), rows, t.name), doc, "a *"+argsType, "")
	f.op("MOVQ", f.param("a"), args)
	return &attendKernel{function: f, isa: t, kind: kind, rows: rows}
}

// step is one step with the given vectors and the rows' numbers at disp; the accumulators are [rows][nv] from register 0.
func (k *attendKernel) step(vectors []string, disp int) {
	s := dotStep{
		function: k.function, isa: k.isa, vectors: vectors, acc: func(r, c int) int { return r*k.nv + c }, used: k.rows * k.nv, widen: k.kind.widen,
	}
	for r := range k.rows {
		s.scalars = append(s.scalars, rowAt(disp, x, r))
	}
	k.kind.write(s)
}

// score multiplies query rows with panels of keys.
func score(kind dotKind, t isa, rows int) *function {
	k := newAttend("score", fmt.Sprintf("multiplies %d query rows with panels of keys.", rows), "scoreArgs", kind, t, rows)
	k.loadStrides(field("scoreArgs", "qStride", args), rows)
	k.op("MOVQ", field("scoreArgs", "panels", args), entryAt)
	k.op("MOVQ", field("scoreArgs", "out", args), output)
	k.op("MOVQ", field("scoreArgs", "ahead", args), ahead)
	for n := k.panelsAtOnce(); n > 0; n /= 2 {
		k.panelLoop(n)
	}
	k.end()
	return k.function
}

// panelsAtOnce is how many panels a row's numbers are loaded for: as many as there are registers for sums, and general ones for addresses.
func (k *attendKernel) panelsAtOnce() int {
	n := len(keyPanels)
	for n > 1 && ((k.rows+1)*n*positions/k.lanes()+2 > k.registers || k.usesAny(keyPanels[1:n])) {
		n /= 2
	}
	return n
}

// usesAny tells whether strides of rows lie in one of the registers.
func (k *attendKernel) usesAny(registers []string) bool {
	for _, r := range rowRegisters {
		if k.rows > r.multiple && slices.Contains(registers, r.register) {
			return true
		}
	}
	return false
}

// panelLoop goes on while there are n panels.
func (k *attendKernel) panelLoop(n int) {
	again, done := k.newLabel("panels"), k.newLabel("few")
	vectors := positions / k.lanes()
	k.nv = n * vectors
	k.place(again)
	k.op("SUBQ", imm(n), field("scoreArgs", "count", args))
	k.op("JLT", done)
	for p, register := range keyPanels[:n] {
		if k.kind.codes {
			k.op("MOVQ", k.panelField("scales", p), register)
			k.op("PREFETCHT0", mem(0, register))
		}
		k.op("MOVQ", k.panelField("k", p), register)
	}
	k.op("MOVQ", field("scoreArgs", "q", args), x)
	k.op("MOVQ", field("scoreArgs", "lines", args), steps)
	for i := range k.rows * k.nv {
		k.op("VXORPS", k.reg(i), k.reg(i), k.reg(i))
	}
	k.lineLoop(keyPanels[:n], vectors)
	if k.kind.codes {
		k.scaleScores(n, vectors)
	}
	k.op("MOVQ", output, x)
	k.op("MOVQ", field("scoreArgs", "outStride", args), steps)
	for r := range k.rows {
		for c := range k.nv {
			k.op("VMOVUPS", k.reg(r*k.nv+c), mem(c*k.bytes, x))
		}
		k.op("ADDQ", steps, x)
	}
	k.op("ADDQ", imm(4*positions*n), output)
	k.op("ADDQ", fmt.Sprintf("$(%d*scorePanel__size)", n), entryAt)
	k.op("JMP", again)
	k.place(done)
	k.op("ADDQ", imm(n), field("scoreArgs", "count", args))
}

// linesAtOnce is how many lines of panels a round takes, where words leave the loop as much to do as the products.
func (k *attendKernel) linesAtOnce() int {
	if k.kind.whole && !k.wide() {
		return 4
	}
	return 1
}

// lineLoop multiplies all lines of the panels at registers, each of so many vectors a step.
func (k *attendKernel) lineLoop(registers []string, vectors int) {
	stepsOfLine := 4 / k.kind.lane
	round := func(lines int) {
		for line := range lines {
			for _, register := range registers {
				k.op("PREFETCHT1", indexed(4*positions*line, register, ahead, 1))
			}
			for step := range stepsOfLine {
				var operands []string
				for _, register := range registers {
					for v := range vectors {
						operands = append(operands, mem(4*positions*line+(step*positions+v*k.lanes())*k.kind.lane, register))
					}
				}
				k.step(operands, 4*(line*stepsOfLine+step))
			}
		}
		for _, register := range registers {
			k.op("ADDQ", imm(4*positions*lines), register)
		}
		k.op("ADDQ", imm(4*stepsOfLine*lines), x)
	}
	single, most := k.newLabel("lines"), k.linesAtOnce()
	if most == 1 {
		k.place(single)
		round(1)
		k.op("DECQ", steps)
		k.op("JNE", single)
		return
	}
	several, tail, done := k.newLabel("several"), k.newLabel("tail"), k.newLabel("done")
	k.op("SUBQ", imm(most), steps)
	k.op("JLT", tail)
	k.place(several)
	round(most)
	k.op("SUBQ", imm(most), steps)
	k.op("JGE", several)
	k.place(tail)
	k.op("ADDQ", imm(most), steps)
	k.op("JEQ", done)
	k.place(single)
	round(1)
	k.op("DECQ", steps)
	k.op("JNE", single)
	k.place(done)
}

// panelField is a field of panel p after the one at hand.
func (k *attendKernel) panelField(name string, p int) string {
	return fmt.Sprintf("(%d*scorePanel__size+scorePanel_%s)(%s)", p, name, entryAt)
}

// scaleScores multiplies the sums with the scales of their panels.
func (k *attendKernel) scaleScores(n, vectors int) {
	scale, factor := k.reg(k.rows*k.nv), k.reg(k.rows*k.nv+1)
	for p := range n {
		k.op("MOVQ", k.panelField("scales", p), x)
		if k.kind.whole {
			k.op("MOVQ", field("scoreArgs", "entry", args), steps)
		}
		for v := range vectors {
			k.op("VCVTPH2PS", mem(2*v*k.lanes(), x), scale)
			for r := range k.rows {
				sum := k.reg(r*k.nv + p*vectors + v)
				if !k.kind.whole {
					k.op("VMULPS", scale, sum, sum)
					continue
				}
				k.op("VBROADCASTSS", rowAt(entryScale, steps, r), factor)
				k.op("VMULPS", scale, factor, factor)
				k.op("VCVTDQ2PS", sum, sum)
				k.op("VMULPS", factor, sum, sum)
			}
		}
	}
}

// value adds up values weighted by rows of weights, for channels channels: run after run of positions, the sums staying in registers.
func value(name string, channels int) func(kind dotKind, t isa, rows int) *function {
	return func(kind dotKind, t isa, rows int) *function {
		k := newAttend(name, fmt.Sprintf("adds the values of %d channels, weighted by %d rows, to out.", channels, rows), "valueArgs", kind, t, rows)
		free := 3
		if !t.wide() {
			free = 1 // six rows have two vectors then
		}
		k.nv = min(channels/t.lanes(), max(1, (t.registers-free)/(rows+1)))
		for channels/t.lanes()%k.nv != 0 {
			k.nv--
		}
		k.loadStrides(field("valueArgs", "pStride", args), rows)
		k.op("MOVQ", field("valueArgs", "vStride", args), valueRow)
		k.op("XORL", column, column)
		again := k.newLabel("pass")
		k.place(again)
		k.eachSum(func(sum, at string) { k.op("VMOVUPS", at, sum) })
		k.runLoop()
		k.eachSum(func(sum, at string) { k.op("VMOVUPS", sum, at) })
		k.op("ADDQ", imm(k.nv*k.bytes), column)
		k.op("CMPQ", column, imm(4*channels))
		k.op("JNE", again)
		k.end()
		return k.function
	}
}

// runLoop goes through the runs and their steps.
func (k *attendKernel) runLoop() {
	again, inner := k.newLabel("run"), k.newLabel("steps")
	k.op("MOVQ", field("valueArgs", "p", args), x)
	k.op("MOVQ", field("valueArgs", "runs", args), entryAt)
	k.op("MOVQ", field("valueArgs", "count", args), panels)
	k.op("MOVQ", column, narrowed)
	if shift := map[int]int{2: 1, 1: 2}[k.kind.lane]; shift > 0 {
		k.op("SHRQ", imm(shift), narrowed)
	}
	k.place(again)
	k.op("MOVQ", field("valueRun", "v", entryAt), panel)
	k.op("ADDQ", narrowed, panel)
	k.op("MOVQ", field("valueRun", "ahead", entryAt), ahead)
	k.op("MOVQ", field("valueRun", "steps", entryAt), steps)
	var operands []string
	size := k.lanes() * k.kind.lane
	for c := range k.nv {
		operands = append(operands, mem(c*size, panel))
	}
	k.place(inner)
	k.step(operands, 0)
	for line := 0; line < k.nv*size; line += 64 {
		k.op("PREFETCHT1", mem(line, ahead))
	}
	k.op("ADDQ", imm(k.nv*size), ahead)
	k.op("ADDQ", valueRow, panel)
	k.op("ADDQ", imm(4), x)
	k.op("DECQ", steps)
	k.op("JNE", inner)
	k.op("ADDQ", "$valueRun__size", entryAt)
	k.op("DECQ", panels)
	k.op("JNE", again)
}

// eachSum visits the accumulators and their places in out.
func (k *attendKernel) eachSum(visit func(sum, at string)) {
	k.op("MOVQ", field("valueArgs", "out", args), output)
	k.op("ADDQ", column, output)
	k.op("MOVQ", field("valueArgs", "outStride", args), "BX")
	for r := range k.rows {
		for c := range k.nv {
			visit(k.reg(r*k.nv+c), mem(c*k.bytes, output))
		}
		if r < k.rows-1 {
			k.op("ADDQ", "BX", output)
		}
	}
}
