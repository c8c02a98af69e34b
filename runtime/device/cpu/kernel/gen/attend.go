package main

import "fmt"

// Sizes of attention kernels.
const (
	positions = 16 // of a panel of keys
	wideNV    = 64 // channels of a wide value kernel
)

// Registers of attention kernels beside those of linear kernels: panel is the next key or value, x the queries or weights.
const (
	panelBytes = "BX" // size of a panel of keys
	panels     = "CX" // panels left
	output     = "R15"
	valueRow   = "R13" // distance of values
)

// prefetch asks for n more lines, into the second-level cache: they are used after what is being read now.
func (k *attendKernel) prefetch(n int) {
	for i := range n {
		k.op("PREFETCHT1", mem(64*i, ahead))
	}
	k.op("ADDQ", imm(64*n), ahead)
}

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

// step is one step with the given vectors; the accumulators are [rows][nv] from register 0.
func (k *attendKernel) step(vectors []string) {
	s := dotStep{function: k.function, isa: k.isa, vectors: vectors, acc: func(r, c int) int { return r*k.nv + c }, used: k.rows * k.nv}
	for r := range k.rows {
		s.scalars = append(s.scalars, rowAt(0, x, r))
	}
	k.kind.write(s)
}

// score multiplies query rows with panels of keys.
func score(kind dotKind, t isa, rows int) *function {
	k := newAttend("score", fmt.Sprintf("multiplies %d query rows with panels of keys.", rows), "scoreArgs", kind, t, rows)
	k.loadStrides(field("scoreArgs", "qStride", args), rows)
	k.op("MOVQ", field("scoreArgs", "k", args), panel)
	k.op("MOVQ", field("scoreArgs", "out", args), output)
	k.op("MOVQ", field("scoreArgs", "panels", args), panels)
	k.op("MOVQ", field("scoreArgs", "steps", args), panelBytes)
	k.op("SHLQ", imm(6), panelBytes)
	k.op("MOVQ", field("scoreArgs", "ahead", args), ahead)
	if k.panelsAtOnce() == 2 {
		k.panelLoop(2)
	}
	k.panelLoop(1)
	k.end()
	return k.function
}

// panelsAtOnce is two where a single one would leave registers idle. Few rows are bound by memory, which likes one stream better.
func (k *attendKernel) panelsAtOnce() int {
	if k.rows > 9 {
		return 2
	}
	return 1
}

// panelLoop goes on while there are n panels.
func (k *attendKernel) panelLoop(n int) {
	again, inner, done := k.newLabel("panels"), k.newLabel("steps"), k.newLabel("few")
	vectors := positions / k.lanes()
	k.nv = n * vectors
	k.place(again)
	k.op("SUBQ", imm(n), panels)
	k.op("JLT", done)
	k.op("MOVQ", field("scoreArgs", "q", args), x)
	k.op("MOVQ", field("scoreArgs", "steps", args), steps)
	for i := range k.rows * k.nv {
		k.op("VXORPS", k.reg(i), k.reg(i), k.reg(i))
	}
	var operands []string
	for p := range n {
		for v := range vectors {
			operands = append(operands, panelAt(p, v*k.bytes))
		}
	}
	k.place(inner)
	k.step(operands)
	k.prefetch(n)
	k.op("ADDQ", imm(4*positions), panel)
	k.op("ADDQ", imm(4), x)
	k.op("DECQ", steps)
	k.op("JNE", inner)
	if n == 2 {
		k.op("ADDQ", panelBytes, panel) // past the second one
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
	k.op("JMP", again)
	k.place(done)
	k.op("ADDQ", imm(n), panels)
}

// panelAt is the operand disp bytes into panel p after the one at hand, 0 or 1.
func panelAt(p, disp int) string {
	if p == 0 {
		return mem(disp, panel)
	}
	return indexed(disp, panel, panelBytes, 1)
}

// value adds up values weighted by rows of weights, for channels channels: run after run of positions, the sums staying in registers.
func value(name string, channels int) func(kind dotKind, t isa, rows int) *function {
	return func(kind dotKind, t isa, rows int) *function {
		k := newAttend(name, fmt.Sprintf("adds the values of %d channels, weighted by %d rows, to out.", channels, rows), "valueArgs", kind, t, rows)
		k.nv = min(channels/t.lanes(), max(1, (t.registers-3)/(rows+1)))
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
	k.op("MOVQ", field("valueArgs", "runs", args), "BX")
	k.op("MOVQ", field("valueArgs", "count", args), panels)
	k.place(again)
	k.op("MOVQ", field("valueRun", "v", "BX"), panel)
	k.op("ADDQ", column, panel)
	k.op("MOVQ", field("valueRun", "ahead", "BX"), ahead)
	k.op("MOVQ", field("valueRun", "steps", "BX"), steps)
	var operands []string
	for c := range k.nv {
		operands = append(operands, mem(c*k.bytes, panel))
	}
	k.place(inner)
	k.step(operands)
	k.prefetch(max(1, k.nv*k.bytes/64))
	k.op("ADDQ", valueRow, panel)
	k.op("ADDQ", imm(4), x)
	k.op("DECQ", steps)
	k.op("JNE", inner)
	k.op("ADDQ", "$valueRun__size", "BX")
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
