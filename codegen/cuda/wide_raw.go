package cuda

import (
	"llmc/codegen/ptx"
)

// rawFeeder is a feeder that makes the codes of tokens on their way: it reads numbers one stage ahead, and writes their codes into the tile.
// Eight threads have a token, each 16 of the 128 k of a stage.
type rawFeeder struct {
	feeder *feeder
	quantizer
	values  [][]ptx.Reg // of the next stage: [tokens of the thread][16]
	inverse []ptx.Reg   // what the numbers of a token are multiplied with
}

// rawUnit is how many k a thread has of a stage.
const rawUnit = 16

// feedRaw is feed for inputs that are numbers. The weights of the first stages are under way before the scales are known.
func (w *wide) feedRaw() {
	f := &rawFeeder{feeder: &feeder{wide: w, ahead: w.newStageCounter()}, quantizer: quantizers[w.codes().Name]}
	f.feeder.behind, f.feeder.open = f.feeder.ahead, w.mutable(ptx.U32, 0) // a stage's codes are there before the next one's are made
	f.feeder.start("raw", 4*rawUnit)
	begun := f.feeder.firstWeights()
	w.awaitInputs()
	f.tellScales(f.startTokens())
	f.load(w.from)
	w.For(ptx.Range{Name: "stages", From: w.from, To: w.to, Step: w.span, NoUnroll: true}, func(c ptx.Reg) {
		w.BarrierWait(w.Index(w.empty, f.feeder.ahead.stage, 8), w.Xor(f.feeder.ahead.parity, 1))
		w.If(w.CmpAnd(ptx.GE, c, begun, w.Eq(f.feeder.warp, 0)), func() { f.feeder.weights(c, w.Min(w.Sub(w.to, c), w.span)) })
		codes := f.codes16()
		f.load(w.Add(c, w.span))
		f.store(codes)
		f.feeder.arrive()
	})
}

// startTokens finds the scales of the thread's tokens.
func (f *rawFeeder) startTokens() (scales []ptx.Reg) {
	unit := f.feeder.And(f.feeder.TidX(), 7)
	for first := 0; first < f.feeder.wide.tokens; first += f.feeder.apart {
		token := f.feeder.Min(f.feeder.Add(f.feeder.row, first), f.feeder.Sub(f.feeder.rows, 1))
		most := f.feeder.rowMaximum(f.feeder.wide.row("raw", f.feeder.Add(f.feeder.token, token)), unit, 8)
		scale, inverse := f.scales(f.feeder.entry, most.As(ptx.F32))
		scales, f.inverse = append(scales, scale), append(f.inverse, inverse)
		f.values = append(f.values, f.feeder.Zeros(ptx.F32, rawUnit))
	}
	return scales
}

// load reads the thread's numbers of the stage that begins with a chunk, zeros of tokens and chunks that are not there.
func (f *rawFeeder) load(c ptx.Reg) {
	from := f.feeder.Index(f.feeder.source, c, 4*chunk)
	there := f.feeder.Lt(f.feeder.Add(c, f.feeder.within), f.feeder.to)
	for i, values := range f.values {
		for _, v := range values {
			f.feeder.Set(v, 0)
		}
		wanted := f.feeder.When(f.feeder.CmpAnd(ptx.LT, f.feeder.Add(f.feeder.row, i*f.feeder.apart), f.feeder.rows, there))
		for at := 0; at < rawUnit; at += 4 {
			wanted.Into(values[at:at+4]...).LdV(ptx.F32, 4, from.At(i*f.feeder.apart*int(f.feeder.buffer("raw").Stride)+4*at))
		}
	}
}

// codes16 makes the codes of what was read.
func (f *rawFeeder) codes16() [][]ptx.Reg {
	var codes [][]ptx.Reg
	for i, values := range f.values {
		var words []ptx.Reg
		for at := 0; at < rawUnit; at += 4 {
			words = append(words, f.quad(f.feeder.entry, values[at:at+4], f.inverse[i]))
		}
		codes = append(codes, words)
	}
	return codes
}

// store writes codes into the tile of the stage.
func (f *rawFeeder) store(codes [][]ptx.Reg) {
	to := f.feeder.Add(f.feeder.Index(f.feeder.tokenStages, f.feeder.ahead.stage, f.feeder.tokenBytes), f.feeder.place)
	for i, words := range codes {
		f.feeder.StV(to.At(i*f.feeder.apart*tokenRow), words)
	}
}

// tellScales hands those of the thread's tokens to the warpgroups that multiply.
func (f *rawFeeder) tellScales(scales []ptx.Reg) {
	f.feeder.tell(func() {
		for i, scale := range scales {
			f.feeder.When(f.feeder.Eq(f.feeder.And(f.feeder.TidX(), 7), 0)).St(f.feeder.Index(f.feeder.wide.tokenScales, f.feeder.row, 4).At(4*i*f.feeder.apart), scale)
		}
	})
}
