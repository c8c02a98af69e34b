package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// chunkPlace is a chunk that lies in shared memory.
type chunkPlace struct {
	fragments ptx.Reg // of the lane
	b         ptx.Reg // descriptor of the tokens
	stage     ptx.Reg // of its weights
	panel     ptx.Reg // of the warp, among those of the stage
	number    ptx.Reg // of the chunk
	first     ptx.Reg // the stage's first one
}

// multiply is what a warpgroup does: its parts of K one after the other, then their sums.
func (w *wide) multiply() {
	w.Section("parts")
	warp, lane := w.And(w.Warp(), 3), w.Lane()
	panel := warp
	if w.rings == 1 {
		panel = w.Mad(w.group, widePanels, warp)
	}
	at := w.newStageCounter()
	total, part := w.Zeros(ptx.F32, w.instruction.Accumulators()), w.Zeros(ptx.F32, w.instruction.Accumulators())
	within, opened := w.mutable(ptx.U32, 0), w.mutable(ptx.U32, 0)
	w.For(ptx.Range{Name: "parts", From: 0, To: wideParts / w.rings, NoUnroll: true}, func(v ptx.Reg) {
		number := w.Add(w.parts, v)
		w.For(ptx.Range{Name: "chunks", From: w.partStart(number), To: w.partStart(w.Add(number, 1)), NoUnroll: true}, func(c ptx.Reg) {
			w.If(w.Eq(within, 0), func() {
				w.BarrierWait(w.Index(w.full, at.stage, 8), at.parity)
				w.Set(opened, c)
			})
			stage := w.Index(w.weightStages, at.stage, w.weightBytes)
			tokens := w.Index(w.tokenStages, at.stage, w.tokenBytes)
			place := chunkPlace{stage: stage, panel: panel, number: c, first: opened}
			place.fragments = w.Index(w.Index(w.Index(stage, panel, panelBytes), within, w.chunkBytes()), lane, 16)
			place.b = w.Descriptor(ptx.KTile(ptx.Swizzle128), w.Index(tokens, within, w.tokens*tokenRow))
			w.decode.multiply(place, part)
			w.Into(within).Add(within, 1)
			w.If(w.CmpOr(ptx.EQ, within, w.span, w.Eq(w.Add(c, 1), w.to)), func() {
				w.SyncWarp()
				w.If(w.Eq(lane, 0), func() { w.BarrierArrive(w.Index(w.empty, at.stage, 8)) })
				w.next(at)
				w.Set(within, 0)
			})
		})
		w.endPart(v, total, part)
	})
	w.results(total, warp)
}

// endPart adds a part to those before it. Where other threads have those, it is kept for them.
func (w *wide) endPart(v ptx.Reg, total, part []ptx.Reg) {
	add := func() {
		for i := range part {
			w.Into(total[i]).Add(total[i], part[i])
		}
	}
	if w.rings == 1 {
		add()
	} else {
		w.IfElse(w.Eq(w.group, 0), add, func() {
			to := w.exchange(v, w.And(w.TidX(), 127), 128)
			for i := range part {
				w.St(to.At(4*128*i), part[i])
			}
		})
	}
	for i := range part {
		w.Set(part[i], 0)
	}
}

// Named barriers: of both warpgroups, and the first of those of one.
const (
	bothBarrier  = 1
	groupBarrier = 2
)

// exchangeBytes is the size of the memory for what threads tell each other at the end, once no stage is in use: the sums of the other
// warpgroup's parts (two rings), [part][sum][thread] f32; then what warps with outputs of up tell those with outputs of gate,
// [warpgroup][sum][64 threads] f32.
func (w *wide) exchangeBytes() int {
	sums, bytes := w.instruction.Accumulators(), 0
	if w.rings == 2 {
		bytes = 4 * 128 * sums * wideParts / 2
	}
	if w.swiglu && w.rings == 1 {
		bytes = 4 * 64 * sums * wideGroups
	}
	if w.swiglu && w.rings == 2 {
		bytes += 4 * 64 * sums
	}
	return bytes
}

// exchange is where a thread's first sum of one of the blocks lies, which have so many threads.
func (w *wide) exchange(block, thread ptx.Reg, threads int) ptx.Reg {
	return w.Index(w.Index(w.exchanged, block, 4*threads*w.instruction.Accumulators()), thread, 4)
}

// results adds what the other warpgroup has and stores.
func (w *wide) results(total []ptx.Reg, warp ptx.Reg) {
	w.Section("results")
	if w.rings == 1 {
		w.store(total, warp)
		return
	}
	w.SyncSome(bothBarrier, 128*wideGroups)
	w.If(w.Eq(w.group, 0), func() {
		thread := w.And(w.TidX(), 127)
		for v := range wideParts / 2 {
			from := w.exchange(w.Const(ptx.U32, v), thread, 128)
			for i := range total {
				w.Into(total[i]).Add(total[i], w.Ld(ptx.F32, from.At(4*128*i)))
			}
		}
		w.store(total, warp)
	})
}

// store writes a warpgroup's outputs: sum 4j+i of a lane is row g + 8*(i/2) of its panel and token 8j + 2t + i%2.
func (w *wide) store(total []ptx.Reg, warp ptx.Reg) {
	lane := w.Lane()
	row := w.Mad(warp, layout.FragmentRows, w.Shr(lane, 2))
	first := w.Mul(w.CtaY(), w.outputs())
	if w.rings == 1 {
		first = w.Mad(w.group, wideRows, first)
	}
	for h := range 2 {
		output := w.Add(first, w.Add(row, 8*h))
		w.finish(total, h, output)
	}
	if !w.swiglu {
		w.write2(total, w.Add(first, row))
		return
	}
	thread := w.And(w.TidX(), 63)
	block := w.group
	if w.rings == 2 {
		block = w.Const(ptx.U32, wideParts/2*2) // behind the parts, which have twice the threads
	}
	at := w.exchange(block, thread, 64)
	up := w.Ge(warp, widePanels/2)
	w.If(up, func() {
		for i := range total {
			w.St(at.At(4*64*i), total[i])
		}
	})
	w.SyncSome(w.Add(w.group, groupBarrier), 128)
	w.If(up.Not(), func() {
		for i := range total {
			w.Into(total[i]).Mul(w.activate(total[i]), w.Ld(ptx.F32, at.At(4*64*i)))
		}
		w.write2(total, w.Add(w.Shr(first, 1), row))
	})
}

// finish makes of the sums of one output of a lane what they stand for. Outputs behind the last one are given that one's.
func (w *wide) finish(total []ptx.Reg, h int, output ptx.Reg) {
	n, _ := w.weight("w").Type.Rows().IsConst()
	output = w.Min(output, int(n)-1)
	scale, scaled := w.decode.scale(output)
	var bias ptx.Reg
	if w.has("bias") {
		bias = w.Ld(ptx.F32, w.Index(w.pointers["bias"], output, 4))
	}
	for i := range total {
		if i%4/2 != h {
			continue
		}
		if scaled {
			w.Into(total[i]).Mul(total[i], scale)
		}
		if w.has("bias") {
			w.Into(total[i]).Add(total[i], bias)
		}
		if w.applies() {
			w.Set(total[i], w.activate(total[i]))
		}
	}
}

// write2 stores columns column and column+8 of y.
func (w *wide) write2(total []ptx.Reg, column ptx.Reg) {
	token := w.Shl(w.And(w.Lane(), 3), 1)
	rows := w.Sub(w.rows("y"), w.token)
	stride := int(w.buffer("y").Stride)
	size := w.buffer("y").DType.Size()
	base := w.Index(w.row("y", w.Add(w.token, token)), column, size)
	inside := [2]ptx.Reg{w.Lt(column, w.cols("y")), w.Lt(w.Add(column, 8), w.cols("y"))}
	for i := range total {
		n, h := i/4*8+i%2, i%4/2
		wanted := w.When(w.CmpAnd(ptx.LT, w.Add(token, n), rows, inside[h]))
		w.storeResult(wanted, base.At(n*stride+8*size*h), total[i])
	}
}
