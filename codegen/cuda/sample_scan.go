package cuda

import (
	"math"

	"llmc/codegen/ptx"
	"llmc/engine"
)

var negInf = math.Inf(-1)

// sampleScan finds the greatest logit of a row: a CTA has a chunk and keeps the greatest of it, warps put theirs into the row's cell. What is
// kept, the key above the inverted id, has no equal, so the order does not matter.
func sampleScan(e *entry) {
	s := newSampled(e, e.CtaY())
	cell := engine.FoundBest
	if s.e.raw() {
		s.clear("raw", engine.SampleAlternatives)
		s.clear("drawn", engine.SampleRanked)
	} else {
		cell = engine.FoundEdited
		s.leaveUnless(s.wants(engine.SampleChanged))
	}
	logit := s.logits()
	best := s.e.Const(ptx.U64, 0)
	s.chunk(func(id ptx.Reg) {
		v := logit(id)
		entry := s.e.Pack(ptx.U64, s.e.Invert(id), s.e.logitKey(v))
		bad := s.e.Cmp(ptx.GTU, v, math.MaxFloat32) // or not a number
		s.e.Into(best).Max(best, s.e.Select(bad, int64(-1), entry))
	})
	best = s.e.reduce64(best, s.e.Max)
	s.e.When(s.e.Eq(s.e.Lane(), 0)).RedMax(ptx.Relaxed, s.cell(cell), best)
}

// clear empties a histogram of rows that want it.
func (s *sampled) clear(role string, flag int) {
	hist, zero := s.e.row(role, s.row), s.e.Const(ptx.U64, 0)
	s.e.If(s.wants(flag), func() {
		first := s.e.Mad(s.e.CtaX(), sampleThreads, s.e.TidX())
		s.e.For(ptx.Range{Name: role, From: first, To: 2 * engine.SampleBins, Step: s.e.Mul(s.e.GridX(), sampleThreads)}, func(i ptx.Reg) {
			s.e.St(s.e.Index(hist, i, 8), zero)
		})
	})
}

// chunk calls each for the ids of the CTA's part of the vocabulary.
func (s *sampled) chunk(each func(id ptx.Reg)) {
	base := s.e.Mul(s.e.CtaX(), sampleChunk)
	s.tokens(base, sampleChunk, each)
}

// tokens calls each for n ids from base on, those of the vocabulary.
func (s *sampled) tokens(base ptx.Reg, n int, each func(id ptx.Reg)) {
	end := s.e.Min(s.e.Add(base, n), s.e.cols("logits"))
	s.e.For(ptx.Range{Name: "tokens", From: s.e.Add(base, s.e.TidX()), To: end, Step: s.e.threads, Unroll: 4}, each)
}

// reduce64 combines a number of 64 bits of every lane.
func (e *entry) reduce64(x ptx.Reg, op func(x, y ptx.Operand) ptx.Reg) ptx.Reg {
	for mask := 16; mask >= 1; mask /= 2 {
		lo, hi := e.Unpack(ptx.U32, x)
		x = op(x, e.Pack(ptx.U64, e.ShflXor(lo, mask), e.ShflXor(hi, mask)))
	}
	return x
}
