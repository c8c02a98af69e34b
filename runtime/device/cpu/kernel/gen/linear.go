package main

import "fmt"

const (
	lanes     = 32        // outputs of a panel
	stepBytes = 4 * lanes // a step of a panel
	entry     = 16        // bytes of a layout.Entry
)

// Registers of linear kernels. R8 to R13 hold row strides (see rowRegisters); AVX2 kernels have few rows and use R11 and R12 otherwise.
const (
	args     = "DI"  // *linearArgs
	panel    = "SI"  // next step
	x        = "DX"  // row 0 at the next step
	entries  = "BX"  // row 0's entry of the segment or group
	steps    = "AX"  // steps (groups) left in the segment
	segments = "CX"  // segments left
	ahead    = "R14" // what to prefetch
	scratch  = "R15"
	column   = "R11" // byte offset of the pass in a step (only where a pass does not cover the panel)
)

// linearKernel is a micro-kernel being written: rows rows times one panel. The results are [rows][nv] vectors, from register 0.
// Where they do not fit for all 32 outputs, the kernel makes several passes over the panel, nv vectors of outputs each.
type linearKernel struct {
	*function
	isa
	rows, nv int
	digits   int // of x: 2 for quantized rows whose second codes hold what the first leave over
	early    int // bytes by which a stream of the panel is asked for ahead of itself
}

// passes is how often the kernel walks the panel.
func (k *linearKernel) passes() int { return lanes / (k.nv * k.lanes()) }

func (k *linearKernel) acc(r, c int) string { return k.reg(r*k.nv + c) }

// temp names the i-th register after the first used ones.
func (k *linearKernel) temp(used, i int) string { return k.reg(used + i) }

// newLinear starts kernel name for rows rows with the arguments loaded.
func newLinear(name string, t isa, rows, digits, nv int) *linearKernel {
	doc := fmt.Sprintf("multiplies %d rows with a panel of %s.", rows, name)
	if digits > 1 {
		doc = fmt.Sprintf("multiplies %d rows of %d digits with a panel of %s.", rows, digits, name)
		name += "digits"
	}
	f := newFunction(fmt.Sprintf("%sx%d%s", name, rows, t.name), doc, "a *linearArgs", "")
	k := &linearKernel{f, t, rows, nv, digits, streamAhead}
	k.op("MOVQ", k.param("a"), args)
	k.loadStrides(k.arg("xStride"), rows)
	return k
}

func (k *linearKernel) arg(name string) string { return field("linearArgs", name, args) }

// passLoop writes body once for each pass, as a loop.
func (k *linearKernel) passLoop(body func()) {
	if k.passes() == 1 {
		k.op("MOVQ", k.arg("panel"), panel)
		body()
		return
	}
	again := k.newLabel("pass")
	if k.streams() {
		k.op("MOVQ", k.arg("following"), ahead)
	}
	k.op("XORL", column, column)
	k.place(again)
	k.op("MOVQ", k.arg("panel"), panel)
	k.op("ADDQ", column, panel)
	body()
	k.op("ADDQ", imm(k.nv*k.bytes), column)
	k.op("CMPQ", column, imm(stepBytes))
	k.op("JNE", again)
}

// segmentLoop writes body once for each segment: body starts with the accumulators undefined and steps set, and leaves f32 sums in them.
func (k *linearKernel) segmentLoop(body func()) {
	k.op("MOVQ", k.arg("x"), x)
	k.op("MOVQ", k.arg("entry"), entries)
	k.op("MOVQ", k.arg("segments"), segments)
	k.op("MOVQ", k.arg("add"), steps)
	k.op("MOVQ", steps, k.arg("adding"))
	if !k.streams() {
		k.op("MOVQ", k.arg("ahead"), ahead)
		if k.passes() > 1 { // each its lines
			k.op("ADDQ", column, ahead)
		}
	}
	k.eachSegment(k.arg, func() {
		body()
		k.store()
	})
}

// eachSegment writes body for the segments that are left, with steps set. Results of those behind the first are added to what the one before stored.
func (f *function) eachSegment(arg func(name string) string, body func()) {
	again, whole := f.newLabel("segment"), f.newLabel("whole")
	f.place(again)
	f.op("MOVQ", arg("steps"), steps)
	f.op("CMPQ", segments, imm(1))
	f.op("JNE", whole)
	f.op("MOVQ", arg("lastSteps"), steps)
	f.place(whole)
	body()
	f.op("MOVQ", imm(1), arg("adding"))
	f.op("DECQ", segments)
	f.op("JNE", again)
}

// store writes the accumulators to y, or adds them to it.
func (k *linearKernel) store() {
	plain := k.newLabel("store")
	walk := func(visit func(r, c int, at string)) {
		k.op("MOVQ", k.arg("y"), scratch)
		if k.passes() > 1 {
			k.op("ADDQ", column, scratch)
		}
		for r := range k.rows {
			for c := range k.nv {
				visit(r, c, mem(c*k.bytes, scratch))
			}
			if r < k.rows-1 {
				k.op("ADDQ", steps, scratch)
			}
		}
	}
	k.op("MOVQ", k.arg("yStride"), steps)
	k.op("CMPQ", k.arg("adding"), imm(0))
	k.op("JEQ", plain)
	walk(func(r, c int, at string) { k.op("VADDPS", at, k.acc(r, c), k.acc(r, c)) })
	k.place(plain)
	walk(func(r, c int, at string) { k.op("VMOVUPS", k.acc(r, c), at) })
}

// stepLoop writes step, unrolled, for the steps of a segment. step gets the displacement in steps.
func (k *linearKernel) stepLoop(unroll int, step func(i int)) {
	again, tail, single, done := k.newLabel("steps"), k.newLabel("tail"), k.newLabel("single"), k.newLabel("done")
	advance := func(n int) {
		k.op("ADDQ", imm(n*stepBytes), panel)
		k.op("ADDQ", imm(n*4*k.digits), x)
	}
	k.op("SUBQ", imm(unroll), steps)
	k.op("JLT", tail)
	k.place(again)
	for i := range unroll {
		step(i)
	}
	advance(unroll)
	k.op("SUBQ", imm(unroll), steps)
	k.op("JGE", again)
	k.place(tail)
	k.op("ADDQ", imm(unroll), steps)
	k.op("JEQ", done)
	k.place(single)
	step(0)
	advance(1)
	k.op("DECQ", steps)
	k.op("JNE", single)
	k.place(done)
}

// streamAhead is how far ahead of itself a kernel of few rows prefetches, bytes. Processors prefetch by themselves, but not across
// 4 KiB pages.
const streamAhead = 1024

// streams tells whether the kernel is bound by reading the panel from memory: no others of the call will.
func (k *linearKernel) streams() bool { return k.rows <= 2 }

// prefetch asks, at step i of the round, for memory that will be wanted: a stream for its own, in several passes for the panel that follows (so
// that memory is busy in all of them), other kernels for what the driver says.
func (k *linearKernel) prefetch(i int) {
	switch {
	case k.streams() && k.passes() == 1:
		k.op("PREFETCHT1", mem(k.early+i*stepBytes, panel))
		k.op("PREFETCHT1", mem(k.early+i*stepBytes+64, panel))
	case k.streams():
		k.op("PREFETCHT1", mem(0, ahead))
		k.op("ADDQ", imm(64), ahead)
	default:
		k.op("PREFETCHT1", mem(0, ahead))
		k.op("ADDQ", k.arg("aheadStep"), ahead)
	}
}

// unroll is the number of steps in a round of the step loop.
func (k *linearKernel) unroll() int { return max(1, min(4, 8/(k.rows*k.digits))) }

// rowOp applies an instruction whose second source is a number of row r broadcast to all lanes: dst = op(number, src).
func (k *linearKernel) rowOp(mnemonic, at, src, dst, temp string) {
	if k.wide() {
		k.op(mnemonic+".BCST", at, src, dst)
		return
	}
	k.op("VPBROADCASTD", at, temp)
	k.op(mnemonic, temp, src, dst)
}
