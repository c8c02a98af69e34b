package cuda

import (
	"llmc/codegen/ptx"
)

// wideE4M3 multiplies codes with codes; see e4m3Reader. The products of a chunk are summed apart there too.
type wideE4M3 struct{ *wide }

func newWideE4M3(w *wide) wideReader {
	w.instruction.A = ptx.E4M3x4
	return wideE4M3{w}
}

func (r wideE4M3) multiply(at chunkPlace, part []ptx.Reg) {
	for i, v := range r.chunkSum(at) {
		r.Into(part[i]).Add(part[i], v)
	}
}

// chunkSum is the product of a chunk.
func (r wideE4M3) chunkSum(at chunkPlace) []ptx.Reg {
	sum := r.Zeros(ptx.F32, r.instruction.Accumulators())
	for s, words := range r.words(at) {
		r.step(sum, as(ptx.E4M3x4, words), at.b, s)
	}
	r.WgmmaCommit()
	r.WgmmaWait(0)
	return sum
}

func (r wideE4M3) factor(output ptx.Reg) func(n int) ptx.Reg { return r.codeFactor(output) }

// codeFactor is the scale of an output times that of the lane's token number n.
func (w *wide) codeFactor(output ptx.Reg) func(n int) ptx.Reg {
	scale := w.outputScale(output)
	first := w.Index(w.tokenScales, w.And(w.Lane(), 3), 8)
	return func(n int) ptx.Reg {
		return w.Mul(scale, w.Ld(ptx.F32, first.At(4*n)))
	}
}

// columnOf is the column of sum i, counted from that of the lane's first one.
func columnOf(i int) int { return i/4*8 + i%2 }

// tokenScales loads the scale of the thread's token, 0 behind the last one.
func (f *feeder) tokenScales() ptx.Reg {
	scale := f.mutable(ptx.F32, 0.0)
	if !f.coded() {
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
	if !f.coded() {
		return
	}
	f.If(f.Eq(f.ring, 0), func() {
		thread := f.And(f.TidX(), f.producers()-1)
		f.When(f.Lt(thread, f.wide.tokens)).St(f.Index(f.wide.tokenScales, thread, 4), scale)
		f.SyncWarp()
		f.If(f.Eq(f.lane, 0), func() { f.BarrierArrive(f.told) })
	})
}
