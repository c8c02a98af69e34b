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
	if s.raw() {
		s.clear("raw", engine.SampleAlternatives)
		s.clear("drawn", engine.SampleRanked)
	} else {
		cell = engine.FoundEdited
		s.leaveUnless(s.wants(engine.SampleEdited | engine.SampleMasked))
	}
	logit := s.logits()
	best := s.Const(ptx.U64, 0)
	s.chunk(func(id ptx.Reg) {
		v := logit(id)
		entry := s.Pack(ptx.U64, s.Invert(id), s.logitKey(v))
		bad := s.Cmp(ptx.GTU, v, math.MaxFloat32) // or not a number
		s.Into(best).Max(best, s.Select(bad, int64(-1), entry))
	})
	best = s.reduce64(best, s.Max)
	s.When(s.Eq(s.Lane(), 0)).RedMax(ptx.Relaxed, s.cell(cell), best)
}

// clear empties a histogram of rows that want it.
func (s *sampled) clear(role string, flag int) {
	hist, zero := s.entry.row(role, s.row), s.Const(ptx.U64, 0)
	s.If(s.wants(flag), func() {
		first := s.Mad(s.CtaX(), sampleThreads, s.TidX())
		s.For(ptx.Range{Name: role, From: first, To: 2 * engine.SampleBins, Step: s.Mul(s.GridX(), sampleThreads)}, func(i ptx.Reg) {
			s.St(s.Index(hist, i, 8), zero)
		})
	})
}

// chunk calls each for the ids of the CTA's part of the vocabulary.
func (s *sampled) chunk(each func(id ptx.Reg)) {
	base := s.Mul(s.CtaX(), sampleChunk)
	s.tokens(base, sampleChunk, each)
}

// tokens calls each for n ids from base on, those of the vocabulary.
func (s *sampled) tokens(base ptx.Reg, n int, each func(id ptx.Reg)) {
	end := s.Min(s.Add(base, n), s.cols("logits"))
	s.For(ptx.Range{Name: "tokens", From: s.Add(base, s.TidX()), To: end, Step: s.threads, Unroll: 4}, each)
}

// reduce64 combines a number of 64 bits of every lane.
func (e *entry) reduce64(x ptx.Reg, op func(x, y ptx.Operand) ptx.Reg) ptx.Reg {
	for mask := 16; mask >= 1; mask /= 2 {
		lo, hi := e.Unpack(ptx.U32, x)
		x = op(x, e.Pack(ptx.U64, e.ShflXor(lo, mask), e.ShflXor(hi, mask)))
	}
	return x
}
