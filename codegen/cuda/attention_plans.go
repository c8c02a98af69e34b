package cuda

import (
	"llmc/codegen/ptx"
)

const (
	tileSteps  = attentionTile / 16 // of positions, in a product with V
	tileBlocks = attentionTile / 8
)

// fragments cuts pairs of weights, two for each block of positions, into operands A: a step has two blocks.
func fragments(pairs []ptx.Reg) (steps [][]ptx.Reg) {
	for i := 0; i < len(pairs); i += 4 {
		steps = append(steps, pairs[i:i+4])
	}
	return steps
}

// rowWarps gives each warp 16 rows and the whole of every tile: scores go from the accumulators to operand A in registers. Where the
// registers do not hold the result, neighbouring warps have the same rows and scores, each with a share of the channels.
type rowWarps struct {
	*rowState
	share                 ptx.Reg
	queries, keys, values ptx.Reg // the lane's places, of keys and values in a slot
	touched               ptx.Reg // some row of the warp sees something of the tile
	pairs                 []ptx.Reg
}

func newRowWarps(a *attend, item []ptx.Reg) *rowWarps {
	a.e.Section("rows of a warp")
	tile, share := a.e.Div(a.warp, a.shares), a.e.Rem(a.warp, a.shares)
	row := a.e.Mad(tile, 16, a.e.Shr(a.lane, 2))
	w := &rowWarps{rowState: newRowState(a, item, row, a.spanBlocks()*a.shareSteps()), share: share, pairs: a.e.Zeros(a.format.pair, 2*tileBlocks)}
	w.park(a.parkedBlocks())
	w.queries = w.queryPlace(a.q, tile, a.rowBytes())
	w.keys, w.values = w.keyPlace(), a.e.Mad(share, a.channelBytes(a.span()*a.shareSteps()), w.valuePlace())
	return w
}

// shareSteps is how many spans of channels a warp has of the result.
func (a *attend) shareSteps() int { return (a.dimPad()/a.span() + a.shares - 1) / a.shares }

// parkedBlocks is how many blocks of 8 channels of the results of rowWarps, or of latent values, do not fit registers beside those of a split.
func (a *attend) parkedBlocks() int {
	n := 4
	switch blocks := a.spanBlocks() * a.shareSteps(); {
	case a.latent():
		return a.latentParked
	case a.block*a.group <= 16 || blocks < 14: // there is room, or there are no rowWarps
		return 0
	case a.shares > 1:
		n = 6
	}
	return n + a.spanBlocks()/4 // products of wide spans and a table take registers, too
}

// parkedBytes is what they take of shared memory.
func (a *attend) parkedBytes() int { return 16 * attentionThreads * a.parkedBlocks() }

// ours runs then if the warp's share has its span of channels of that number: the last share may be short.
func (w *rowWarps) ours(step int, then func()) {
	if w.shares == 1 || (w.shares-1)*w.shareSteps()+step < w.dimPad()/w.span() {
		then()
		return
	}
	w.e.If(w.e.Lt(w.share, w.shares-1), then)
}

func (w *rowWarps) scores(slot, position ptx.Reg) {
	w.e.Section("scores")
	w.see(position)
	w.touched = w.e.VoteAny(w.e.Or(w.valid[0], w.valid[1]))
	w.e.If(w.touched, func() {
		var acc [][]ptx.Reg
		for range tileBlocks {
			acc = append(acc, w.e.Zeros(ptx.F32, 4))
		}
		keys := w.e.Add(slot, w.keys)
		for c := 0; c < w.dimPad(); c += w.keySpan() {
			query := w.queryOperand(w.queries, c)
			for step := range tileSteps {
				w.score(acc[2*step:2*step+2], query, keys.At(16*step*w.keyRowBytes()), c)
			}
		}
		w.exponents(acc, position, position, w.e.Add(slot, w.tileScale()))
		w.weights(acc, w.largestOf(acc), w.pairs)
	})
}

func (w *rowWarps) accumulate(slot ptx.Reg) {
	w.e.Section("values")
	w.e.If(w.touched, func() {
		steps := fragments(w.pairs)
		m := w.merge(steps)
		values, scales := w.e.Add(slot, w.values), w.valueScales(slot)
		blocks := w.spanBlocks()
		for n := 0; n < len(w.part); n += blocks {
			w.ours(n/blocks, func() { w.product(m, steps, w.part[n:n+blocks], values.At(w.channelBytes(8*n)), scales) })
		}
	})
}

func (w *rowWarps) blocks(each func(n int, column ptx.Reg)) {
	column, blocks := w.e.Mad(w.share, w.span()*w.shareSteps(), w.resultColumn()), w.spanBlocks()
	for n := range w.part {
		w.ours(n/blocks, func() { each(n, w.e.Add(column, w.span()*(n/blocks)+w.resultStep()*(n%blocks))) })
	}
}

func (w *rowWarps) spans(each func(q int, number ptx.Reg)) {
	first := w.e.Mul(w.share, w.shareSteps())
	for q := range w.shareSteps() {
		w.ours(q, func() { each(q, w.e.Add(first, q)) })
	}
}

func (w *rowWarps) holds() bool { return w.shares == 1 }

func (w *rowWarps) leads() ptx.Reg {
	return w.e.CmpAnd(ptx.EQ, w.share, 0, w.e.Eq(w.e.And(w.lane, 3), 0))
}

// sharedRows gives all warps the same 16 rows. Warp w has the scores of positions 16w to 16w+15 of a tile, and of the results channels
// 16w to 16w+15, then 64 further, and so on. The numbers are those of rowWarps, made of the same operands in the same order.
type sharedRows struct {
	*rowState
	queries, keys, values ptx.Reg
	mine                  ptx.Reg // where the lane's weights go
	theirs                ptx.Reg // where it reads those of all
}

func newSharedRows(a *attend, item []ptx.Reg) *sharedRows {
	a.e.Section("shared rows")
	row := a.e.Shr(a.lane, 2)
	w := &sharedRows{rowState: newRowState(a, item, row, a.warpBlocks())}
	if a.latent() {
		w.park(a.parkedBlocks())
	}
	w.queries = w.queryPlace(a.q, a.e.Const(ptx.U32, 0), a.rowBytes())
	w.keys = a.e.Mad(a.warp, 16*a.keyRowBytes(), w.keyPlace())
	w.values = a.e.Mad(a.warp, a.channelBytes(a.span()), w.valuePlace())
	w.mine = a.e.Add(a.e.Mad(row, weightRowBytes, a.p), a.e.Mad(a.warp, 32, a.e.Shl(a.e.And(a.lane, 3), 2)))
	w.theirs = w.queryPlace(a.p, a.e.Const(ptx.U32, 0), weightRowBytes)
	return w
}

// warpBlocks is how many blocks of 8 channels of results a warp has of shared rows.
func (a *attend) warpBlocks() int {
	return a.spanBlocks() * ((a.valuesPad()/a.span() + attentionWarps - 1) / attentionWarps)
}

func (w *sharedRows) scores(slot, position ptx.Reg) {
	w.e.Section("scores")
	w.see(position)
	acc := [][]ptx.Reg{w.e.Zeros(ptx.F32, 4), w.e.Zeros(ptx.F32, 4)}
	keys := w.e.Add(slot, w.keys)
	for c := 0; c < w.dimPad(); c += w.keySpan() {
		w.score(acc, w.queryOperand(w.queries, c), keys.At(0), c)
	}
	w.exponents(acc, position, w.e.Add(position, w.e.Shl(w.warp, 4).As(ptx.S32)), w.e.Mad(w.warp, 16*kvScaleBytes, w.e.Add(slot, w.tileScale())))
	top := w.exchange(w.largestOf(acc))
	pairs := w.e.Regs(w.format.pair, 4)
	w.weights(acc, top, pairs)
	for n := range acc {
		for i := range 2 {
			w.e.St(w.mine.At(16*n+8*i*weightRowBytes), pairs[2*n+i])
		}
	}
}

// exchange makes the largest exponents of the warps' positions those of the tile.
func (w *sharedRows) exchange(top [2]ptx.Reg) [2]ptx.Reg {
	row := w.e.Index(w.tops, w.number, 4)
	own := w.e.Index(row, w.warp, 64)
	first := w.e.Eq(w.e.And(w.lane, 3), 0)
	for i := range top {
		w.e.When(first).St(own.At(32*i), top[i])
	}
	w.e.Sync()
	for i := range top {
		top[i] = w.e.Ld(ptx.F32, row.At(32*i))
		for v := 1; v < attentionWarps; v++ {
			top[i] = w.e.Max(top[i], w.e.Ld(ptx.F32, row.At(64*v+32*i)))
		}
	}
	return top
}

func (w *sharedRows) accumulate(slot ptx.Reg) {
	w.e.Section("values")
	var steps [][]ptx.Reg
	for step := range tileSteps {
		steps = append(steps, w.e.Ldmatrix(w.format.pair, 4, false, w.theirs.At(32*step)))
	}
	m := w.merge(steps)
	values, scales := w.e.Add(slot, w.values), w.valueScales(slot)
	blocks := w.spanBlocks()
	for n := 0; n < len(w.part); n += blocks {
		w.ours(n/blocks, func() { w.product(m, steps, w.part[n:n+blocks], values.At(w.channelBytes(8*attentionWarps*n)), scales) })
	}
}

// ours runs then if the warp has its span of channels of that number.
func (w *sharedRows) ours(q int, then func()) {
	all := w.valuesPad() / w.span()
	if (q+1)*attentionWarps <= all {
		then()
		return
	}
	w.e.If(w.e.Lt(w.warp, all-q*attentionWarps), then)
}

func (w *sharedRows) blocks(each func(n int, column ptx.Reg)) {
	column, blocks := w.e.Mad(w.warp, w.span(), w.resultColumn()), w.spanBlocks()
	for n := range w.part {
		w.ours(n/blocks, func() { each(n, w.e.Add(column, w.span()*attentionWarps*(n/blocks)+w.resultStep()*(n%blocks))) })
	}
}

func (w *sharedRows) spans(each func(q int, number ptx.Reg)) {
	for q := range len(w.part) / w.spanBlocks() {
		w.ours(q, func() { each(q, w.e.Add(w.warp, q*attentionWarps)) })
	}
}

func (w *sharedRows) holds() bool { return false }

func (w *sharedRows) leads() ptx.Reg {
	return w.e.CmpAnd(ptx.EQ, w.warp, 0, w.e.Eq(w.e.And(w.lane, 3), 0))
}

// partTokens is the most tokens of a sequence for which a part of a persistent kernel does with rows that all warps share, which takes fewer
// registers; 0 where even one token has more rows than these, or no item has.
func (a *attend) partTokens() int {
	if a.block*a.group <= 16 {
		return 0
	}
	return 16 / a.group
}
