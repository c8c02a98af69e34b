package cuda

import (
	"llmc/codegen/ptx"
)

// wideE4M3 multiplies codes with codes; see e4m3Reader. The products of a chunk are summed apart there too, for so many tokens at a time that the
// registers of the largest tile suffice.
type wideE4M3 struct {
	wide *wide
	most ptx.WGMMA
}

// apartTokens is how many tokens have sums of a chunk at a time.
const apartTokens = 64

func newWideE4M3(w *wide) wideReader {
	w.instruction.A = ptx.E4M3x4
	r := wideE4M3{w, w.instruction}
	r.most.N = min(w.instruction.N, apartTokens)
	return r
}

func (r wideE4M3) multiply(at chunkPlace, part []ptx.Reg) {
	r.chunkSums(at, func(first int, sums []ptx.Reg) {
		for i, v := range sums {
			r.wide.Into(part[first+i]).Add(part[first+i], v)
		}
	})
}

// chunkSums calls each with the product of a chunk for some tokens after the other: the first one's number among a lane's sums, and these.
func (r wideE4M3) chunkSums(at chunkPlace, each func(first int, sums []ptx.Reg)) {
	fragments := at.fragments()
	for token := 0; token < r.wide.instruction.N; token += r.most.N {
		sums := r.wide.Zeros(ptx.F32, r.most.Accumulators())
		tokens := r.wide.Advance(at.b, token*tokenRow)
		for s, words := range fragments {
			r.wide.WgmmaFence()
			r.wide.Wgmma(r.most, sums, as(ptx.E4M3x4, words), r.wide.Advance(tokens, 32*s), true)
		}
		r.wide.WgmmaCommit()
		r.wide.WgmmaWait(0)
		each(token/2, sums)
	}
}

// tokenScales loads the scale of the thread's token, 0 behind the last one.
func (f *feeder) tokenScales() ptx.Reg {
	scale := f.mutable(ptx.F32, 0.0)
	if !f.rowScaled() {
		return scale
	}
	thread := f.And(f.TidX(), f.producers()-1)
	token := f.Min(f.Add(f.token, thread), f.Sub(f.wide.rows("x"), 1))
	at := f.wide.row("x", token)
	f.When(f.Lt(thread, f.rows)).Into(scale).Ld(ptx.F32, at.At(f.codes().ScaleOffset()))
	return scale
}

// tellScales hands the scales of the CTA's tokens to the warpgroups that multiply: those of ring 0 do so for all.
func (f *feeder) tellScales(scale ptx.Reg) {
	if !f.rowScaled() {
		return
	}
	f.tell(func() {
		thread := f.And(f.TidX(), f.producers()-1)
		f.When(f.Lt(thread, f.wide.tokens)).St(f.Index(f.wide.tokenScales, thread, 4), scale)
	})
}

// tell stores scales of tokens and says so.
func (f *feeder) tell(store func()) {
	f.If(f.Eq(f.ring, 0), func() {
		store()
		f.SyncWarp()
		f.If(f.Eq(f.lane, 0), func() { f.BarrierArrive(f.told) })
	})
}

// rowScaled tells whether tokens are codes with one scale each.
func (p *product) rowScaled() bool { return p.coded() && p.w.Group == 0 }

// wideBlocks scales the sum of each chunk; see e4m3Blocks.
type wideBlocks struct{ wideE4M3 }

func newWideBlocks(w *wide) wideReader { return wideBlocks{newWideE4M3(w).(wideE4M3)} }

func (r wideBlocks) multiply(at chunkPlace, part []ptx.Reg) {
	weights := r.wide.groupScales(at)
	r.chunkSums(at, func(first int, sums []ptx.Reg) {
		var tokens []ptx.Reg // of columns 2t and 2t+1 of a block of 8
		for i, v := range sums {
			if i%4 == 0 {
				tokens = at.tokenScales((first + i) / 4)
			}
			r.wide.Into(part[first+i]).Fma(v, r.wide.Mul(weights[i%4/2], tokens[i%2]), part[first+i])
		}
	})
}

// copyGroupScales starts the copies of the scales that tokens have for the groups of a stage, one for a thread; zeros for tokens behind the last one.
func (f *feeder) copyGroupScales(c, count ptx.Reg) {
	if !f.coded() || f.rowScaled() {
		return
	}
	group, groups := f.groupsOf(c, count)
	stage := f.Index(f.weightStages, f.ahead.stage, f.weightBytes)
	for first := 0; first < f.groups*f.wide.tokens; first += f.producers() {
		i := f.Add(f.And(f.TidX(), f.producers()-1), first)
		n, token := f.Shr(i, log2(f.wide.tokens)), f.And(i, f.wide.tokens-1)
		have := f.sizeIf(f.Lt(token, f.rows), 4)
		row := f.wide.row("x", f.Add(f.token, f.Min(token, f.Sub(f.rows, 1))))
		from := f.Index(row, f.Add(group, n), 4)
		f.When(f.Lt(n, groups)).CopyAsyncZero(f.Index(stage, i, 4).At(f.tokensAt), from.At(f.codes().ScaleOffset()), 4, have)
	}
}
