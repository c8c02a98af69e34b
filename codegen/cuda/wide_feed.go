package cuda

import (
	"llmc/codegen/ptx"
)

// feed brings a ring's stages, one after the other, as they become free. The weights of the first ones are under way before the tokens are there.
//
// Bulk copies count their bytes at the barrier themselves. Copies of tokens are followed by the threads that made them: those of the
// last lag stages are under way; when those before have landed, the threads let the async proxy see them and arrive.
func (w *wide) feed() {
	f := &feeder{wide: w, ahead: w.newStageCounter(), behind: w.newStageCounter(), open: w.mutable(ptx.U32, 0), lag: max(1, w.stages-1)}
	f.start("x", 16)
	begun := f.firstWeights()
	w.awaitInputs()
	scale := f.tokenScales()
	w.For(ptx.Range{Name: "stages", From: w.from, To: w.to, Step: w.span, NoUnroll: true}, func(c ptx.Reg) {
		count := w.Min(w.Sub(w.to, c), w.span)
		w.BarrierWait(w.Index(w.empty, f.ahead.stage, 8), w.Xor(f.ahead.parity, 1))
		w.If(w.CmpAnd(ptx.GE, c, begun, w.Eq(f.warp, 0)), func() { f.weights(c, count) })
		f.tokens(c, count)
		f.copyGroupScales(c, count)
		w.CopyCommit()
		w.next(f.ahead)
		w.Into(f.open).Add(f.open, 1)
		w.If(w.Gt(f.open, f.lag-1), func() {
			w.CopyWait(f.lag - 1)
			f.arrive()
		})
	})
	w.CopyWait(0)
	w.While("last_stages", func() ptx.Reg { return w.Gt(f.open, 0) }, f.arrive)
	f.tellScales(scale)
}

// feeder is what the threads that feed a ring know.
type feeder struct {
	*wide
	lag           int // stages whose tokens may be under way
	ahead, behind stageCounter
	open          ptx.Reg // stages between the two
	warp, lane    ptx.Reg // among those of the ring
	panel         ptx.Reg // of the lane: address in the weight
	tokenShare
	place  ptx.Reg // of the thread's first unit in a tile
	within ptx.Reg // the chunk of a tile that it is of
}

// start finds the thread's part of tokens in a role, of which it reads so many bytes at a time.
func (f *feeder) start(role string, bytes int) {
	thread := f.And(f.TidX(), f.producers()-1)
	f.warp, f.lane = f.And(f.Warp(), f.producers()/32-1), f.Lane()
	number := f.Min(f.Mad(f.piece.column, f.panels, f.lane), f.w.Panels()-1) // those behind the last one are dropped in the end
	f.panel = f.Index(f.pointers["w"], number, f.w.PanelBytes())
	f.tokenShare = f.newTokenShare(role, f.token, thread, f.producers(), tokenRow/16, bytes)
	f.place = f.Swizzled(ptx.Swizzle128, f.Mad(f.row, tokenRow, f.Mul(f.unit, 16)))
	f.within = f.Shr(f.unit, log2(f.chunkRow/16))
}

// firstWeights starts the copies of weights that find their stages free, and returns the chunk behind them.
func (f *feeder) firstWeights() (begun ptx.Reg) {
	begun = f.Min(f.Add(f.from, f.stages*f.span), f.to)
	early := *f
	early.ahead = f.newStageCounter()
	f.If(f.Eq(f.warp, 0), func() {
		f.For(ptx.Range{Name: "first_weights", From: f.from, To: begun, Step: f.span, NoUnroll: true}, func(c ptx.Reg) {
			early.weights(c, f.Min(f.Sub(f.to, c), f.span))
			f.next(early.ahead)
		})
	})
	return begun
}

// weights starts the bulk copies of a stage, those of a panel by a lane.
func (f *feeder) weights(c, count ptx.Reg) {
	place, full := f.Index(f.weightStages, f.ahead.stage, f.weightBytes), f.Index(f.full, f.ahead.stage, 8)
	bytes := f.Mul(count, f.chunkBytes())
	all := bytes
	var group, scales ptx.Reg
	if f.groups > 0 {
		group, scales = f.groupsOf(c, count)
		all = f.Mad(scales, f.groupBytes(), bytes)
	}
	f.If(f.Eq(f.lane, 0), func() { f.BarrierArriveExpect(full, f.Mul(all, f.panels)) })
	f.SyncWarp()
	f.If(f.Lt(f.lane, f.panels), func() {
		from := f.Index(f.panel, c, f.chunkBytes())
		f.BulkLoad(f.Index(place, f.lane, panelBytes), from, bytes, full)
		if f.groups == 0 {
			return
		}
		to := f.Index(place, f.lane, f.groups*f.w.GroupBytes()).At(f.scalesAt)
		f.BulkLoad(to, f.Index(f.panel, group, f.w.GroupBytes()).At(f.w.ScaleOffset(0)), f.Mul(scales, f.w.GroupBytes()), full)
		if f.w.Zeros {
			to := f.Index(place, f.lane, f.groups*zeroRow).At(f.zerosAt)
			f.BulkLoad(to, f.Index(f.panel, group, zeroRow).At(f.w.ZeroOffset(0)), f.Mul(scales, zeroRow), full)
		}
	})
}

// groupsOf is the first group of some chunks, and how many they have of it and others.
func (w *wide) groupsOf(c, count ptx.Reg) (group, groups ptx.Reg) {
	shift := log2(w.w.Group / 32) // k/32 are exact
	group = w.Shr(w.Mul(c, chunk/32), shift)
	end := w.Add(w.Shr(w.Sub(w.Mul(w.Add(c, count), chunk/32), 1), shift), 1)
	return group, w.Sub(end, group)
}

// groupBytes is what a group has for a panel.
func (w *wide) groupBytes() int {
	if w.w.Zeros {
		return w.w.GroupBytes() + zeroRow
	}
	return w.w.GroupBytes()
}

// tokens starts the copies of a stage's tokens: eight threads bring the 128 bytes that one has in a tile. Rows of x are padded with zeros to a
// multiple of 64 columns, so whole chunks are read.
func (f *feeder) tokens(c, count ptx.Reg) {
	place := f.Index(f.tokenStages, f.ahead.stage, f.tokenBytes)
	to, from := f.Add(place, f.place), f.Index(f.source, c, f.chunkRow)
	stride := int(f.buffer("x").Stride)
	for first := 0; first < f.wide.tokens; first += f.apart {
		have := f.sizeIf(f.there(f.tokenShare, first), 16)
		for s := 0; s < f.span; s += f.tileChunks() {
			b := f.Builder
			if s > 0 || f.tileChunks() > 1 {
				b = f.When(f.Gt(count, f.Add(f.within, s)))
			}
			tile := s / f.tileChunks()
			b.CopyAsyncZero(to.At((tile*f.wide.tokens+first)*tokenRow), from.At(first*stride+tile*tokenRow), 16, have)
		}
	}
}

// arrive says that the tokens of the oldest open stage are there.
func (f *feeder) arrive() {
	f.FenceAsyncShared()
	f.SyncWarp()
	f.If(f.Eq(f.lane, 0), func() { f.BarrierArrive(f.Index(f.full, f.behind.stage, 8)) })
	f.next(f.behind)
	f.Into(f.open).Sub(f.open, 1)
}
