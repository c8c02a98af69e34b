package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// chunkPlace is a chunk that lies in a stage.
type chunkPlace struct {
	wide   *wide
	words  ptx.Reg // the lane's first 16 bytes of fragments
	b      ptx.Reg // descriptor of the tokens
	stage  ptx.Reg // of its weights
	panel  ptx.Reg // of the warp, among those of the stage
	number ptx.Reg // of the chunk
	first  ptx.Reg // the stage's first one
}

func (at chunkPlace) fragments() [][]ptx.Reg { return at.wide.wordsAt(at.words.At(0)) }

// group is that of a step, counted from the stage's first one.
func (at chunkPlace) group(step int) ptx.Reg {
	shift := log2(at.wide.w.Group / 16)
	return at.wide.Sub(at.wide.Shr(at.wide.Mad(at.number, chunkSteps, step), shift), at.wide.Shr(at.wide.Mul(at.first, chunkSteps), shift))
}

func (at chunkPlace) scale(step int, element ptx.Reg, bytes int) ptx.Addr {
	element = at.wide.Mad(at.wide.Mad(at.panel, at.wide.groups, at.group(step)), at.wide.w.GroupBytes()/bytes, element)
	return at.wide.Index(at.stage, element, bytes).At(at.wide.scalesAt)
}

func (at chunkPlace) zero(step int, element ptx.Reg) ptx.Addr {
	return at.wide.Add(at.stage, at.wide.Mad(at.wide.Mad(at.panel, at.wide.groups, at.group(step)), zeroRow, element)).At(at.wide.zerosAt)
}

func (at chunkPlace) tokenScales(block int) []ptx.Reg {
	token := at.wide.Mad(at.group(0), at.wide.tokens, at.wide.Shl(at.wide.And(at.wide.Lane(), 3), 1))
	return at.wide.LdV(ptx.F32, 2, at.wide.Index(at.stage, token, 4).At(at.wide.tokensAt+4*8*block))
}

// multiply is what a warpgroup does: its parts of K one after the other, then their sums.
func (w *wide) multiply() {
	w.awaitInputs()
	w.startFactors()
	w.Section("parts")
	warp, lane := w.And(w.Warp(), 3), w.Lane()
	panel := warp
	if w.rings == 1 {
		panel = w.Mad(w.group, widePanels, warp)
	}
	at := w.newStageCounter()
	total, part := w.Zeros(ptx.F32, w.instruction.Accumulators()), w.Zeros(w.reader.operandB().sums, w.instruction.Accumulators())
	within, opened := w.mutable(ptx.U32, 0), w.mutable(ptx.U32, 0)
	w.For(ptx.Range{Name: "parts", From: w.parts, To: w.ends, NoUnroll: true}, func(number ptx.Reg) {
		w.For(ptx.Range{Name: "chunks", From: w.partStart(number), To: w.partStart(w.Add(number, 1)), NoUnroll: true}, func(c ptx.Reg) {
			w.If(w.Eq(within, 0), func() {
				w.BarrierWait(w.Index(w.full, at.stage, 8), at.parity)
				w.Set(opened, c)
			})
			stage := w.Index(w.weightStages, at.stage, w.weightBytes)
			tokens := w.Index(w.tokenStages, at.stage, w.tokenBytes)
			place := chunkPlace{wide: w, stage: stage, panel: panel, number: c, first: opened}
			place.words = w.Index(w.Index(w.Index(stage, panel, panelBytes), within, w.chunkBytes()), lane, 16)
			place.b = w.Descriptor(ptx.KTile(ptx.Swizzle128), w.Index(tokens, within, w.chunkStep()))
			w.decode.multiply(place, part)
			w.Into(within).Add(within, 1)
			w.If(w.CmpOr(ptx.EQ, within, w.span, w.Eq(w.Add(c, 1), w.to)), func() {
				w.SyncWarp()
				w.If(w.Eq(lane, 0), func() { w.BarrierArrive(w.Index(w.empty, at.stage, 8)) })
				w.next(at)
				w.Set(within, 0)
			})
		})
		w.endPart(number, total, part)
	})
	if w.rowScaled() {
		w.BarrierWait(w.told, 0)
	}
	w.results(total, warp)
}

// chunkStep is how far a tile's chunk lies from the one before: within the rows of a tile, or in tiles of their own.
func (w *wide) chunkStep() int {
	if w.tileChunks() > 1 {
		return w.chunkRow
	}
	return w.tokens * tokenRow
}

// endPart adds a part to those before it. Where other threads or CTAs have those, it is kept for them.
func (w *wide) endPart(number ptx.Reg, total, part []ptx.Reg) {
	sums := w.numbers(part)
	add := func() {
		for i := range sums {
			w.Into(total[i]).Add(total[i], sums[i])
		}
	}
	keep := add
	if w.rings > 1 {
		keep = func() {
			w.IfElse(w.Eq(w.group, 0), add, func() {
				to := w.exchange(w.Sub(number, w.parts), w.And(w.TidX(), 127))
				for i := range sums {
					w.St(to.At(4*128*i), sums[i])
				}
			})
		}
	}
	if w.cuts() {
		w.IfElse(w.piece.cut, func() { w.storePart(number, sums) }, keep)
	} else {
		keep()
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

// exchangeBytes is the size of the memory for what threads tell each other at the end, once no stage is in use: with two rings the sums of the
// other warpgroup's parts, [part][sum][thread] f32.
func (w *wide) exchangeBytes() int {
	if w.rings == 1 {
		return 0
	}
	return 4 * 128 * w.instruction.Accumulators() * kParts / 2
}

// exchange is where a thread's first sum of a part lies.
func (w *wide) exchange(part, thread ptx.Reg) ptx.Reg {
	return w.Index(w.Index(w.exchanged, part, 4*128*w.instruction.Accumulators()), thread, 4)
}

// results adds what others have and stores. Of CTAs with pieces of one tile the last one does.
func (w *wide) results(total []ptx.Reg, warp ptx.Reg) {
	w.piece, _ = w.findPiece()
	w.Section("results")
	last := w.mutable(ptx.U32, 1)
	if w.cuts() {
		w.IfElse(w.piece.cut, func() {
			w.Set(last, w.countPiece())
			w.If(w.stores(last), func() { w.addParts(total) })
		}, func() { w.addOther(total) })
	} else {
		w.addOther(total)
	}
	w.If(w.stores(last), func() { w.store(total, warp) })
}

// stores tells whether the thread's warpgroup stores results.
func (w *wide) stores(last ptx.Reg) ptx.Reg {
	mine := w.Eq(w.Assume(ptx.CTAUniform, last), 1)
	if w.rings == 1 {
		return mine
	}
	return w.CmpAnd(ptx.EQ, w.group, 0, mine)
}

// addOther adds the parts of the other warpgroup.
func (w *wide) addOther(total []ptx.Reg) {
	if w.rings == 1 {
		return
	}
	w.SyncSome(bothBarrier, 128*wideGroups)
	w.If(w.Eq(w.group, 0), func() {
		thread := w.And(w.TidX(), 127)
		for v := range kParts / 2 {
			from := w.exchange(w.Const(ptx.U32, v), thread)
			for i := range total {
				w.Into(total[i]).Add(total[i], w.Ld(ptx.F32, from.At(4*128*i)))
			}
		}
	})
}

// store gives a warpgroup's outputs to the finisher: sum 4j+i of a lane is row g + 8*(i/2) of its panel and token 8j + 2t + i%2.
func (w *wide) store(total []ptx.Reg, warp ptx.Reg) {
	w.reload()
	lane := w.Lane()
	first := w.Mul(w.piece.column, w.outputs())
	if w.rings == 1 {
		first = w.Mad(w.group, wideRows, first)
	}
	token := w.Shl(w.And(lane, 3), 1)
	at := resultPlace{
		row: w.Add(first, w.Mad(warp, layout.FragmentRows, w.Shr(lane, 2))), token: w.Add(w.token, token), lanes: []int{4, 8, 16},
	}
	f := columnFactors{scales: w.tokenScales}
	if w.has("squares") {
		w.SyncSome(w.Add(w.group, groupBarrier), 128)
		f.norms = w.factors
	}
	w.finishColumns(at, total, token, f)
}

// startFactors makes the norms of the CTA's tokens, for those warpgroups that store.
func (w *wide) startFactors() {
	if !w.has("squares") {
		return
	}
	w.Section("norms")
	groups := wideGroups / w.rings
	all := w.Addr(w.Static("factors", 4*groups*w.tokens, 16))
	w.factors = all
	if groups > 1 {
		w.factors = w.Index(all, w.group, 4*w.tokens)
	}
	w.If(w.Lt(w.group, groups), func() { w.storeNormFactors(w.factors, w.And(w.TidX(), 127), 128, w.piece.row, w.tokens) })
}
